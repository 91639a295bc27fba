"""Batch: requests from a file or a dataset, their lists to a file; streamed and resumable."""

from segue.recommender.batch.summary import BatchProgress, BatchSummary, Watch

__all__ = ["BatchProgress", "BatchSummary", "Watch"]
