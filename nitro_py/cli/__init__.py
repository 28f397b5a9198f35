"""The command `nitropy`."""
