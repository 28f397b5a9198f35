"""Metrics of a running app, for Prometheus, if the setting `metrics` is on."""
