"""Routes: the router, the loader of their files, and the call of their handlers."""
