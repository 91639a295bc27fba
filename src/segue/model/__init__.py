"""The model: a causal transformer over items, which ends at the hidden states."""

from segue.model.transformer import Transformer

__all__ = ["Transformer"]
