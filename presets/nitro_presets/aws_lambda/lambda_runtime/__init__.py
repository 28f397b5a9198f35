"""A Lambda runtime client, in place of awslambdaric: from the Runtime API to the handler and back."""
