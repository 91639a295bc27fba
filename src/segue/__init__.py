"""Segue learns what comes next: from a log of sequences to a transformer that continues them.

    import segue

    data = segue.prepare("ml-1m/", "data/ml-1m")
    run = segue.train(data, "runs/ml-1m", preset="sasrec")
    model = segue.Recommender.load(run)
    model.recommend(["1193", "661"], k=10)

Public names are imported when first used, so that ``import segue`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from segue.config import Config, EvaluationConfig, PrepareConfig, load_config, presets
    from segue.dataset import Dataset, prepare
    from segue.errors import SegueError
    from segue.evaluation import compare, evaluate
    from segue.recommender import Recommender
    from segue.trainer import train

_HOMES = {
    "Config": "segue.config",
    "EvaluationConfig": "segue.config",
    "PrepareConfig": "segue.config",
    "load_config": "segue.config",
    "presets": "segue.config",
    "Dataset": "segue.dataset",
    "prepare": "segue.dataset",
    "SegueError": "segue.errors",
    "compare": "segue.evaluation",
    "evaluate": "segue.evaluation",
    "Recommender": "segue.recommender",
    "train": "segue.trainer",
}

__all__ = [
    "Config",
    "Dataset",
    "EvaluationConfig",
    "PrepareConfig",
    "Recommender",
    "SegueError",
    "compare",
    "evaluate",
    "load_config",
    "prepare",
    "presets",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segue' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
