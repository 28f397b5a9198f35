"""The runtime client of a function: from the Runtime API to the handler and back."""
