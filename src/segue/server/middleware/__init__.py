"""Around every request: its record, access control, and the reading of its body."""
