"""The portable part of a bundle: routing, HTTP, hooks, topics and metrics, the same on every target."""
