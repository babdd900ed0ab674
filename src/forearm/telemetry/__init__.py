"""What a run did: recorded without holding it up, readable however it ended."""
