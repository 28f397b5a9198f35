"""Topics: their subscribers in this process, and the way to other processes."""
