"""The recommender: a trained model that answers in the caller's own ids.

What users hold, what the trainer validates with and what a server serves are one object.
"""

from segue.recommender.answers import Answer, Recommendation
from segue.recommender.blend import Blend
from segue.recommender.model_ranker import ModelRanker
from segue.recommender.network import Network
from segue.recommender.recommender import Recommender

__all__ = ["Answer", "Blend", "ModelRanker", "Network", "Recommendation", "Recommender"]
