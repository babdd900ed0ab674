"""A robot seen from above: its fixed description, how to read it, how to command it."""
