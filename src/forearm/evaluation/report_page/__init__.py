"""What the report page shows, from a run's log: numbers for its script, and the page's own files."""
