"""Storage drivers. Ships where a bundle may keep values outside of its target's own store."""
