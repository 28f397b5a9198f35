"""The HTTP function: requests of every kind of gateway, answered whole or streamed."""
