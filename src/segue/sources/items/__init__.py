"""Items files: attributes and vectors of items from a table."""
