"""Segue: transformers for sequential recommendation, trained on a log of events.

    import segue

    data = segue.prepare("ml-1m/", "data/ml-1m", split="leave-one-out")
    run = segue.train(data, "runs/ml-1m", preset="sasrec")
    model = run.load()
    model.recommend(["1193", "661"], k=10)
    segue.evaluate(model, data)

The names in ``segue.__all__`` are the public interface; ``docs/reference.md`` documents them. The
sub-modules are private and may change without notice. A public name is imported when it is first
used, so ``import segue`` loads no heavy library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from segue.client import Client
    from segue.config import Config, load_config, presets
    from segue.dataset import Dataset
    from segue.errors import (
        ConfigError,
        DatasetError,
        EventStoreError,
        NotFiniteError,
        RequestError,
        ResourceError,
        RunError,
        SegueError,
        ServerError,
        SourceError,
        StorageError,
    )
    from segue.evaluation import Evaluation, compare, evaluate
    from segue.preparation import prepare
    from segue.ranking import Query
    from segue.recommender import Answer, Answers, Recommender, Run
    from segue.trainer import train
    from segue.trainer.plan import plan

_MODULE_OF = {
    "Answer": "segue.recommender",
    "Answers": "segue.recommender",
    "Client": "segue.client",
    "Config": "segue.config",
    "ConfigError": "segue.errors",
    "Dataset": "segue.dataset",
    "DatasetError": "segue.errors",
    "Evaluation": "segue.evaluation",
    "EventStoreError": "segue.errors",
    "NotFiniteError": "segue.errors",
    "Query": "segue.ranking",
    "Recommender": "segue.recommender",
    "RequestError": "segue.errors",
    "ResourceError": "segue.errors",
    "Run": "segue.recommender",
    "RunError": "segue.errors",
    "SegueError": "segue.errors",
    "ServerError": "segue.errors",
    "SourceError": "segue.errors",
    "StorageError": "segue.errors",
    "compare": "segue.evaluation",
    "evaluate": "segue.evaluation",
    "load_config": "segue.config",
    "plan": "segue.trainer.plan",
    "prepare": "segue.preparation",
    "presets": "segue.config",
    "train": "segue.trainer",
}

__all__ = [
    "Answer",
    "Answers",
    "Client",
    "Config",
    "ConfigError",
    "Dataset",
    "DatasetError",
    "Evaluation",
    "EventStoreError",
    "NotFiniteError",
    "Query",
    "Recommender",
    "RequestError",
    "ResourceError",
    "Run",
    "RunError",
    "SegueError",
    "ServerError",
    "SourceError",
    "StorageError",
    "compare",
    "evaluate",
    "load_config",
    "plan",
    "prepare",
    "presets",
    "train",
]


if not TYPE_CHECKING:  # to a type checker, a function would give the package every name

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'segue' has no attribute {name!r}")
        return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
