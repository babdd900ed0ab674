"""The page about a result file: its rates, its failures and what happened in them, and the page's own files."""
