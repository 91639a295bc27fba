"""The ``Recommender``: a trained model with its encoder, exact search, ensemble and generation.

The same object serves requests, validates during training and is evaluated as a ranker.
"""

from segue.recommender.answers import Answer, Recommendation
from segue.recommender.encoder import Encoder, prompt_layout
from segue.recommender.ensemble import PureSVD
from segue.recommender.model_ranker import ModelRanker
from segue.recommender.recommender import Recommender
from segue.recommender.run import Run

__all__ = [
    "Answer",
    "Encoder",
    "ModelRanker",
    "PureSVD",
    "Recommendation",
    "Recommender",
    "Run",
    "prompt_layout",
]
