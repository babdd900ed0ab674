"""From weights to numbers that a sceptic accepts."""
