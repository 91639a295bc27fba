"""Batch: requests from a file or a dataset, their lists to a file; streamed and resumable."""

from segue.recommender.batch.answering import Lists
from segue.recommender.batch.job import BatchProgress, BatchSummary, Watch
from segue.recommender.batch.row_options import GENERATE_COLUMNS, RECOMMEND_COLUMNS
from segue.recommender.batch.run_batch import BatchModel, BatchOptions, run_batch

__all__ = [
    "GENERATE_COLUMNS",
    "RECOMMEND_COLUMNS",
    "BatchModel",
    "BatchOptions",
    "BatchProgress",
    "BatchSummary",
    "Lists",
    "Watch",
    "run_batch",
]
