"""Our own client of Lambda's Runtime API: it can stream, and it needs nothing but the standard library."""
