"""From demonstrations to weights."""
