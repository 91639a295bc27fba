"""The model: a causal transformer over items, from item indices to hidden states."""

from segue.model.heads import HEADS, Head
from segue.model.static_graph import StaticGraph
from segue.model.transformer import Transformer

__all__ = ["HEADS", "Head", "StaticGraph", "Transformer"]
