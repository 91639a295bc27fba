"""Preparation: read an interaction log, filter it, split it and write a prepared dataset."""

from segue.preparation.pipeline import prepare

__all__ = ["prepare"]
