"""Tables in files: their types and columns, how DuckDB reads them, and copies of others."""
