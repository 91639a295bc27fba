"""How gradients become updates: schedules, AdamW, and what tables of rows have instead."""

from segue.optimizers.chain import optimizer, schedule
from segue.optimizers.rows import is_of_table, scale_by_lean_rows, scale_by_rows

__all__ = ["is_of_table", "optimizer", "scale_by_lean_rows", "scale_by_rows", "schedule"]
