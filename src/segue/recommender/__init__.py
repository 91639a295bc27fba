"""The ``Recommender``: a trained model with its encoder, exact search, ensemble and generation.

The same object serves requests, validates during training and is evaluated as a ranker.
"""

from segue.recommender.answers import Answer, Answers, Recommendation
from segue.recommender.encoder import Encoder, prompt_layout
from segue.recommender.ensemble import Ensemble
from segue.recommender.explaining.explanation import Explanation
from segue.recommender.explaining.why import Reason, Why
from segue.recommender.members import ItemBias, PureSVD, SparseMember
from segue.recommender.model_ranker import ModelRanker
from segue.recommender.recommender import Recommender
from segue.recommender.run import Run
from segue.recommender.second_transformer import SecondTransformer
from segue.recommender.session import Session
from segue.recommender.stored_members import Members, load_members, write_members

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
