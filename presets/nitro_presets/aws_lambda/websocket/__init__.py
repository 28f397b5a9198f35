"""The WebSocket function: API Gateway's events to hooks, and peers behind the `@connections` API."""
