"""What ships in a bundle: routing, dispatch, connections and topics, the same on every target."""
