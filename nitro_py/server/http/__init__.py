"""HTTP/1.1: the protocol of a connection, its requests, and its limits (RFC 9112)."""
