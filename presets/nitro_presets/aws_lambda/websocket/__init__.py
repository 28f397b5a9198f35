"""The WebSocket function: events of API Gateway to hooks, and peers behind the management API."""
