"""Backplanes on brokers, and the connection to each. Ships where sockets live in a process."""
