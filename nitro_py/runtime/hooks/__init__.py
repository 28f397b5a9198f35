"""WebSocket hooks: the upgrade, the session of a peer, and what happens when a hook fails."""
