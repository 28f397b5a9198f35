"""Topics across processes: the hub, its link to the broker, and the brokers that come with nitro-py."""
