"""A strict stand-in for CloudFront, API Gateway, SQS and Lambda, for previews and tests; it never ships."""
