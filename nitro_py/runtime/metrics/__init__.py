"""Figures of a running app, for Prometheus: measured only where the setting `metrics` is on."""
