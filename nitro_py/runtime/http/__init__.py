"""HTTP requests: from the route to the answer, complete or in pieces."""
