"""How gradients become updates: schedules, AdamW, and what tables of rows have instead."""

from segue.optimizers.chain import by_rows_of, optimizer, schedule
from segue.optimizers.rows import Table, scale_by_lean_rows, scale_by_rows, table_of

__all__ = [
    "Table",
    "by_rows_of",
    "optimizer",
    "scale_by_lean_rows",
    "scale_by_rows",
    "schedule",
    "table_of",
]
