"""WebSocket: the protocol of a connection, its frames, and its bridge to ASGI (RFC 6455)."""
