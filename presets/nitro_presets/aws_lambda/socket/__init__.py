"""The WebSocket function: API Gateway's events on one side, hooks, peers and topics on the other."""
