"""Routes: finding the one of a request, loading its file, calling its handler."""
