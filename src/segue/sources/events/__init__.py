"""The format tabular: events in tables, checked and sorted into sequences."""
