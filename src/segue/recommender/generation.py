"""Autoregressive generation of sequences: greedy decoding and top-k sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from segue.errors import RequestError
from segue.ragged import Ragged
from segue.ranking import Ranked
from segue.tokens import END, INDEX_DTYPE, N_SPECIALS

NextItems = Callable[[Ragged, int], tuple[Ranked, Float32[np.ndarray, " batch"]]]
"""``(histories, k)`` to the k best next items of each history, without repeats, and the scores of
END."""

MAX_OPTION = 1e30
"""Largest temperature and end weight; larger values overflow."""


@dataclass(frozen=True)
class Sampling:
    """How the next item is selected from the model's distribution.

    Attributes:
        temperature: divides the scores; 0 always takes the best item, 1 samples from the
            model's distribution, values above 1 from a flatter one.
        top_k: number of best items to sample from.
        end_weight: factor on the probability of END; 0 never ends the sequence.
        seed: the same seed gives the same sequence.
    """

    temperature: float = 1.0
    top_k: int = 50
    end_weight: float = 0.0
    seed: int = 0

    def check(self, *, has_end: bool) -> None:
        """Validate the options.

        Args:
            has_end: whether the model was trained to predict END.

        Raises:
            RequestError: an option is out of range.
        """
        if self.top_k < 1:
            raise RequestError(f"top_k is {self.top_k}, expected 1 or more", "50 is usual")
        for name, value in (("temperature", self.temperature), ("end_weight", self.end_weight)):
            if not 0 <= value <= MAX_OPTION:
                message = f"{name} is {value}, expected a number from 0 to {MAX_OPTION:g}"
                raise RequestError(message, "0 and 1 are usual")
        if self.end_weight and not has_end:
            raise RequestError(
                f"end_weight is {self.end_weight}, but the model does not predict END",
                "leave it out, or train with model.end=true",
            )
        if self.seed < 0:
            raise RequestError(f"seed is {self.seed}, expected 0 or more", "give another one")


def generate_sequences(
    next_items: NextItems, histories: Ragged, length: int, sampling: Sampling
) -> Ranked:
    """Generate ``length`` items after each history, without repeats.

    Returns:
        The generated items in order, and the score of each when it was selected. If END was
        generated, it follows the last item. Positions after END, or after all items of the
        catalogue are used, are PAD with the score -inf.
    """
    rng = np.random.default_rng(sampling.seed)
    greedy = sampling.temperature == 0
    sequences = [histories.row(i).tolist() for i in range(histories.n_rows)]
    items = np.zeros((len(sequences), length), INDEX_DTYPE)
    scores = np.full((len(sequences), length), -np.inf, np.float32)
    active = np.arange(len(sequences))
    for position in range(length):
        best, end_scores = next_items(Ragged.from_rows(sequences), 1 if greedy else sampling.top_k)
        candidates = _with_end(best, end_scores, sampling)
        selected = _sample(candidates.scores, sampling.temperature, rng)[active]
        items[active, position] = candidates.items[active, selected]
        scores[active, position] = candidates.scores[active, selected]
        active = active[items[active, position] >= N_SPECIALS]
        for row in active.tolist():
            sequences[row].append(int(items[row, position]))
        if not len(active):
            break
    return Ranked(items, scores)


def _with_end(
    best: Ranked, end_scores: Float32[np.ndarray, " batch"], sampling: Sampling
) -> Ranked:
    """Append END to the best items of each row where it scores at least as high as the last one.

    Its score counts with or without ``end_weight``, whichever is higher.

    The log of the weight is multiplied by the temperature, by which all scores are divided
    later, so that the weight is a factor on the probability at any temperature. For greedy
    decoding it is a factor on the probability at temperature 1.
    """
    if sampling.end_weight == 0:
        return best
    weighted = end_scores + np.float32((sampling.temperature or 1.0) * np.log(sampling.end_weight))
    is_in_top_k = np.maximum(end_scores, weighted) >= best.scores[:, -1]
    end_column = np.where(is_in_top_k, weighted, -np.inf).astype(np.float32)[:, None]
    items = np.pad(best.items, ((0, 0), (0, 1)), constant_values=END)
    return Ranked(items, np.concatenate([best.scores, end_column], axis=1))


def _sample(
    scores: Float32[np.ndarray, "batch k"], temperature: float, rng: np.random.Generator
) -> Int64[np.ndarray, " batch"]:
    """Sample a column per row from the softmax of ``scores / temperature`` (Gumbel-max trick).

    The noise is multiplied by the temperature instead of dividing the scores by it, which would
    overflow at temperatures near 0.
    """
    return np.argmax(scores + temperature * rng.gumbel(size=scores.shape), axis=1)
