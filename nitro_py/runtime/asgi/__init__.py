"""The app as an ASGI application, for any ASGI server."""
