"""The app as an ASGI application: HTTP, event streams and sockets on any ASGI server."""
