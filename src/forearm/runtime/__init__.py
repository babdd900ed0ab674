"""Running: the loop, what feeds it, what watches it, and the session around it."""
