"""Connections and their topics in DynamoDB."""
