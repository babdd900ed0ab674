"""What may move: limits, clearances, the vetting of decisions, the guard of every tick."""
