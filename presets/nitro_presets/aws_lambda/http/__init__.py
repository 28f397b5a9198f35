"""The HTTP function: HTTP APIs, Function URLs, REST APIs and load balancers, answered whole or streamed."""
