"""Text tables: encodings, separators, headers, and an exact reader of every form."""
