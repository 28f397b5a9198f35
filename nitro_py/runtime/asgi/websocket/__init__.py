"""Our own WebSocket protocol for uvicorn: frames, handshake, and a channel that writes without a task."""
