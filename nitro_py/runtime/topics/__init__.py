"""Topics: their subscribers in this process, and the connection to other processes."""
