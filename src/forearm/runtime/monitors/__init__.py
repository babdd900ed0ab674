"""Knowing what one does not know: signals of trouble, what they are when all goes well, and the alarms between."""
