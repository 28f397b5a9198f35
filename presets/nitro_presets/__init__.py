"""The built-in presets, found through the same entry points as everybody's."""
