"""The HTTP and WebSocket server on uvicorn. Ships where sockets live in a process."""
