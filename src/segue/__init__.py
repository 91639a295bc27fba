"""Segue: transformers for sequential recommendation, trained on a log of events.

    import segue

    data = segue.prepare("ml-1m/", "data/ml-1m")
    run = segue.train(data, "runs/ml-1m", preset="sasrec")
    model = segue.Recommender.load(run)
    model.recommend(["1193", "661"], k=10)

A public name is imported when it is first used, so ``import segue`` loads no heavy library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from segue.config import Config, EvaluationConfig, PrepareConfig, load_config, presets
    from segue.dataset import Dataset
    from segue.errors import SegueError
    from segue.evaluation import compare, evaluate
    from segue.preparation import prepare
    from segue.recommender import Recommender
    from segue.trainer import train

_MODULE_OF = {
    "Config": "segue.config",
    "EvaluationConfig": "segue.config",
    "PrepareConfig": "segue.config",
    "load_config": "segue.config",
    "presets": "segue.config",
    "Dataset": "segue.dataset",
    "prepare": "segue.preparation",
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
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'segue' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
