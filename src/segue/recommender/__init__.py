"""The ``Recommender``: a trained model with its encoder, exact search, ensemble and generation.

The same object serves requests, validates during training and is evaluated as a ranker. A name is
imported when it is first used, so that the types of answers load no model code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segue.recommender.answers import Answer, Answers, Explanation, Recommendation
    from segue.recommender.encoder import Encoder, prompt_layout
    from segue.recommender.ensemble import Ensemble
    from segue.recommender.explaining.reasons import Reason, Why
    from segue.recommender.members import ItemBias, PureSVD, SparseMember
    from segue.recommender.model_ranker import ModelRanker
    from segue.recommender.recommender import Recommender
    from segue.recommender.run import Run
    from segue.recommender.second_transformer import SecondTransformer
    from segue.recommender.session import Session
    from segue.recommender.stored_members import Members, load_members, write_members

_MODULE_OF = {
    "Answer": "answers",
    "Answers": "answers",
    "Encoder": "encoder",
    "Ensemble": "ensemble",
    "Explanation": "answers",
    "ItemBias": "members",
    "Members": "stored_members",
    "ModelRanker": "model_ranker",
    "PureSVD": "members",
    "Reason": "explaining.reasons",
    "Recommendation": "answers",
    "Recommender": "recommender",
    "Run": "run",
    "SecondTransformer": "second_transformer",
    "Session": "session",
    "SparseMember": "members",
    "Why": "explaining.reasons",
    "load_members": "stored_members",
    "prompt_layout": "encoder",
    "write_members": "stored_members",
}

__all__ = [
    "Answer",
    "Answers",
    "Encoder",
    "Ensemble",
    "Explanation",
    "ItemBias",
    "Members",
    "ModelRanker",
    "PureSVD",
    "Reason",
    "Recommendation",
    "Recommender",
    "Run",
    "SecondTransformer",
    "Session",
    "SparseMember",
    "Why",
    "load_members",
    "prompt_layout",
    "write_members",
]


if not TYPE_CHECKING:  # to a type checker, a function would give the package every name

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'segue.recommender' has no attribute {name!r}")
        return getattr(importlib.import_module(f"segue.recommender.{_MODULE_OF[name]}"), name)
