"""Optimizers: AdamW with schedules, and sparse Adam for embedding tables."""

from segue.optimizers.dense import learning_rate_schedule, optimizer, sparse_update_modes
from segue.optimizers.sparse import (
    SparseTable,
    scale_by_rowwise_adam,
    scale_by_sparse_adam,
    sparse_table_of,
)

__all__ = [
    "SparseTable",
    "learning_rate_schedule",
    "optimizer",
    "scale_by_rowwise_adam",
    "scale_by_sparse_adam",
    "sparse_table_of",
    "sparse_update_modes",
]
