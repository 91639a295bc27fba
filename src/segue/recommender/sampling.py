"""Sampling of the next item: temperature, top-k, top-p and a weight of END."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from segue.errors import RequestError
from segue.ranking import Ranked
from segue.tokens import END

MAX_OPTION = 1e30
"""Largest temperature and end weight; larger values overflow."""


@dataclass(frozen=True)
class Sampling:
    """How the next item is selected from the model's distribution.

    Attributes:
        temperature: divides the scores; 0 always takes the best item, 1 samples from the
            model's distribution, values above 1 from a flatter one.
        top_k: number of best items to sample from.
        top_p: of these, sample from the smallest number of best items whose probabilities sum to at
            least this share; 1 for all. Source: nucleus sampling of Holtzman et al., The curious
            case of neural text degeneration, ICLR 2020; here within the best ``top_k``.
        end_weight: factor on the probability of END; 0 never ends the sequence.
        seed: the same seed gives the same sequence.
    """

    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    end_weight: float = 0.0
    seed: int = 0

    def check(self, *, has_end: bool) -> None:
        """Validate the options.

        Args:
            has_end: whether the model was trained to predict END.

        Raises:
            RequestError: an option is out of range, or the model does not predict END.
        """
        self.check_ranges()
        if self.end_weight and not has_end:
            raise RequestError(
                f"end_weight is {self.end_weight}, but the model does not predict END",
                "leave it out, or train with model.end=true",
            )

    def check_ranges(self) -> None:
        """Validate the options as far as that is possible without the model.

        Raises:
            RequestError: an option is out of range.
        """
        for name, kinds in (
            ("top_k", (int, np.integer)),
            ("seed", (int, np.integer)),
            ("temperature", (int, float, np.integer, np.floating)),
            ("top_p", (int, float, np.integer, np.floating)),
            ("end_weight", (int, float, np.integer, np.floating)),
        ):
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                kind = "a number" if float in kinds else "an integer"
                raise RequestError(f"{name} is {value!r}, expected {kind}", "see generate")
        if self.top_k < 1:
            raise RequestError(f"top_k is {self.top_k}, expected 1 or more", "50 is usual")
        if not 0 < self.top_p <= 1:
            message = f"top_p is {self.top_p}, expected a number above 0 and up to 1"
            raise RequestError(message, "1 samples from all of the top_k items, 0.9 is usual")
        for name, value in (("temperature", self.temperature), ("end_weight", self.end_weight)):
            if not 0 <= value <= MAX_OPTION:
                message = f"{name} is {value}, expected a number from 0 to {MAX_OPTION:g}"
                raise RequestError(message, "0 and 1 are usual")
        if self.seed < 0:
            raise RequestError(f"seed is {self.seed}, expected 0 or more", "give another one")


def with_end(
    best: Ranked,
    end_scores: Float32[np.ndarray, " batch"],
    may_end: Bool[np.ndarray, " batch"],
    sampling: Sampling,
) -> Ranked:
    """Append END to the best items of each row where it scores at least as high as the last one.

    Its score counts with or without ``end_weight``, whichever is higher.

    The log of the weight is multiplied by the temperature, by which all scores are divided
    later, so that the weight is a factor on the probability at any temperature. For greedy
    decoding it is a factor on the probability at temperature 1.

    Args:
        may_end: the rows that may end here.
    """
    weighted = end_scores + np.float32((sampling.temperature or 1.0) * np.log(sampling.end_weight))
    is_in_top_k = may_end & (np.maximum(end_scores, weighted) >= best.scores[:, -1])
    end_column = np.where(is_in_top_k, weighted, -np.inf).astype(np.float32)[:, None]
    items = np.pad(best.items, ((0, 0), (0, 1)), constant_values=END)
    return Ranked(items, np.concatenate([best.scores, end_column], axis=1))


def sample(
    scores: Float32[np.ndarray, "batch k"], sampling: Sampling, rngs: list[np.random.Generator]
) -> Int64[np.ndarray, " batch"]:
    """Sample a column per row from the softmax of ``scores / temperature`` (Gumbel-max trick).

    The noise is multiplied by the temperature instead of dividing the scores by it, which would
    overflow at temperatures near 0.
    """
    noise = np.stack([rng.gumbel(size=scores.shape[1]) for rng in rngs])
    if sampling.top_p < 1 and sampling.temperature:
        is_outside = ~_nucleus(scores, sampling.temperature, sampling.top_p)
        scores = np.where(is_outside, np.float32(-np.inf), scores)
    return np.argmax(scores + sampling.temperature * noise, axis=1)


def _nucleus(
    scores: Float32[np.ndarray, "batch k"], temperature: float, top_p: float
) -> Bool[np.ndarray, "batch k"]:
    """The fewest best columns of each row with probabilities that sum to ``top_p``."""
    order = np.argsort(-scores, axis=1, kind="stable")
    probabilities = _softmax(np.take_along_axis(scores, order, axis=1), temperature)
    before = np.cumsum(probabilities, axis=1) - probabilities
    nucleus = np.zeros(scores.shape, bool)
    np.put_along_axis(nucleus, order, before < top_p, axis=1)
    return nucleus


def _softmax(
    scores: Float32[np.ndarray, "batch k"], temperature: float
) -> Float[np.ndarray, "batch k"]:
    """Probabilities in float64; those of a row without a finite score are uniform."""
    best = scores.max(axis=1, keepdims=True)
    differences = np.zeros(scores.shape)
    np.subtract(scores, best, out=differences, where=np.isfinite(best))
    # Differences are 0 or below, so that a division by a tiny temperature gives -inf at most.
    with np.errstate(over="ignore"):
        exponentials = np.exp(differences / temperature)
    return exponentials / exponentials.sum(axis=1, keepdims=True)
