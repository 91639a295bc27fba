"""``AnswerBuilder``: ranked item indices to answers with ids, titles and notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from segue.dataset import Items
from segue.ranking import Ranked
from segue.recommender.answers import Answer, Answers, Recommendation, short_list_notes
from segue.recommender.control_options import restriction
from segue.recommender.probabilities import NOT_CALIBRATED
from segue.recommender.requests import Request
from segue.tokens import N_SPECIALS


@dataclass(frozen=True)
class AnswerBuilder:
    """Builds the answers of a model.

    Attributes:
        items: the items of the model.
        catalogue: the mask of the items that are never recommended, as in ``masks``.
        n_truncated: the number of events of a history, by its length, that do not fit in the
            context.
        model: name in answers.
        is_calibrated: whether a temperature of the probabilities was fitted.
    """

    items: Items
    catalogue: UInt8[np.ndarray, " bytes"]
    n_truncated: Callable[[int], int]
    model: str
    is_calibrated: bool

    def answers(
        self,
        ranked: Ranked,
        requests: Sequence[Request],
        includes_seen: bool | None,
        took_ms: float,
        probabilities: Float32[np.ndarray, "batch k"] | None = None,
    ) -> Answers:
        """The answer to each request.

        Args:
            ranked: one list per request.
            requests: the requests.
            includes_seen: whether items of the history were candidates; None without a history.
            took_ms: time taken, in milliseconds.
            probabilities: those of the items, if requested.
        """
        titles = self.items.titles(ranked.items.ravel())  # of all rows in one call
        k = ranked.items.shape[1]
        return Answers(
            self._answer(
                Ranked(ranked.items[row], ranked.scores[row]),
                titles[row * k : (row + 1) * k],
                request,
                includes_seen,
                took_ms,
                None if probabilities is None else probabilities[row],
            )
            for row, request in enumerate(requests)
        )

    def _answer(
        self,
        ranked: Ranked,
        titles: Sequence[str],
        request: Request,
        includes_seen: bool | None,
        took_ms: float,
        probabilities: Float32[np.ndarray, " k"] | None,
    ) -> Answer:
        items, scores = ranked
        of_items = [None] * len(items) if probabilities is None else probabilities.tolist()
        ids = self.items.ids
        columns = zip(items.tolist(), titles, scores.tolist(), of_items, strict=True)
        shown = [values for values in columns if values[0] >= N_SPECIALS]
        notes = request.notes + short_list_notes(
            items, includes_seen, lambda: restriction(request.controls, self.catalogue)
        )
        if probabilities is not None and not self.is_calibrated:
            notes.append(NOT_CALIBRATED)
        return Answer(
            items=[
                Recommendation(ids[index - N_SPECIALS], title, score, rank, probability)
                for rank, (index, title, score, probability) in enumerate(shown, start=1)
            ],
            unknown_items=request.unknown_items,
            truncated=self.n_truncated(len(request.history)),
            model=self.model,
            took_ms=took_ms,
            notes=notes,
            seen=None if includes_seen is None else "include" if includes_seen else "exclude",
        )
