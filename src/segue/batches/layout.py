"""How a model wants its tokens: item indices cut to the context, all of one shape.

A sequence becomes the tokens START, its events, END (where the model has them). Short ones
are filled at the end with PAD. Items outside the catalogue stand as UNK.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int32, Int64

from segue.axes import END, PAD, START, UNK, Ragged
from segue.config import ModelConfig


@dataclass(frozen=True)
class Layout:
    """How a model wants its tokens: the same for training, evaluation and serving."""

    context: int
    table_size: int
    start: bool
    """Whether something can be predicted from no event at all."""
    end: bool
    fills: bool = False
    """Whether a short prompt is filled up in front with START instead of behind with PAD: what
    the head ``flatten`` reads must stand at the end."""

    @classmethod
    def of(cls, model: ModelConfig, table_size: int) -> Layout:
        fills = model.head == "flatten"
        return cls(model.context, table_size, model.start, model.end, fills)

    def tokens(
        self,
        flat: Int32[np.ndarray, " events"],
        begins: Int64[np.ndarray, " batch"],
        lengths: Int64[np.ndarray, " batch"],
        first: Int64[np.ndarray, " batch"],
        width: int,
    ) -> Int32[np.ndarray, "batch width"]:
        """Tokens ``first`` up to ``first + width`` of each sequence, padded at the end.

        Args:
            flat: events of all sequences end to end.
            begins: where each sequence's events begin in ``flat``.
            lengths: how many events each sequence has.
            first: the first token wanted, counted with START as token 0 if there is one.
            width: how many tokens.
        """
        place = self.places(first, width)
        tokens = rows_at(flat, begins, lengths, place, PAD)
        tokens[tokens >= self.table_size] = UNK
        if self.start:
            tokens[place == -1] = START
        if self.end:
            tokens[place == lengths[:, None]] = END
        return tokens

    def places(
        self, first: Int64[np.ndarray, " batch"], width: int
    ) -> Int64[np.ndarray, "batch width"]:
        """Which event of its sequence each token is; -1 for START."""
        return first[:, None] + np.arange(width) - int(self.start)

    def prompts(
        self, histories: Ragged
    ) -> tuple[Int32[np.ndarray, "batch length"], Int32[np.ndarray, " batch"]]:
        """Model input for predicting what follows each history; see ``inputs_before``."""
        begins = histories.offsets[:-1]
        return self.inputs_before(histories.values, begins, np.diff(histories.offsets))

    def inputs_before(
        self,
        flat: Int32[np.ndarray, " events"],
        begins: Int64[np.ndarray, " batch"],
        lengths: Int64[np.ndarray, " batch"],
    ) -> tuple[Int32[np.ndarray, "batch length"], Int32[np.ndarray, " batch"]]:
        """Model input for predicting what follows ``lengths`` events from ``begins`` on.

        Returns:
            The tokens, and the position of each row's last one, whose hidden state predicts
            the next item. No events at all give only START, or nothing (position 0, PAD)
            where the model has no START.
        """
        first = lengths + int(self.start) - self.context
        if not self.fills:
            first = np.maximum(first, 0)
        tokens = replace(self, end=False).tokens(flat, begins, lengths, first, self.context)
        if self.fills:
            tokens[tokens == PAD] = START
        return tokens, np.maximum(lengths + int(self.start) - first - 1, 0).astype(np.int32)

    def truncated(self, length: int) -> int:
        """How many events of a history of ``length`` are out of the model's sight."""
        return max(length - self.context, 0)


def rows_at(
    flat: np.ndarray,
    begins: Int64[np.ndarray, " batch"],
    lengths: Int64[np.ndarray, " batch"],
    place: Int64[np.ndarray, "batch width"],
    missing: int | float,
) -> np.ndarray:
    """The values at some places of rows that lie end to end; ``missing`` outside them."""
    inside = (place >= 0) & (place < lengths[:, None])
    found = np.full(place.shape, missing, flat.dtype)
    found[inside] = flat[(begins[:, None] + place)[inside]]
    return found
