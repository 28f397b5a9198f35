"""Publishing to many peers, in one invocation or in a tree of invocations."""
