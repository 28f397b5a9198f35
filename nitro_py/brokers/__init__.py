"""Backplanes on brokers. Ships where a backplane is configured."""
