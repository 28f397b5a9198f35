"""The preset `asgi`: a bundle that runs by itself on uvicorn, or on any ASGI server."""
