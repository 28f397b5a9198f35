"""HTTP requests: from the route to the answer, whole or streamed."""
