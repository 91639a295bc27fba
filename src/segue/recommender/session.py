"""``Session``: a history that grows, with recommendations after any of its events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segue.errors import quantity
from segue.recommender.answers import Answer
from segue.recommender.ids import Id, id_string

SHOWN_EVENTS = 5
"""Events that the text of a session names."""


class Session:
    """A history that grows: one more event costs the transformers one position.

    Create one with ``Recommender.session``. At every length, its lists are those of
    ``Recommender.recommend`` for the same history. Beyond the context, the transformers read the
    last events, which all have another position after each event, so the context is computed
    again; in a session of ``Recommender.with_window("moving")`` the window moves by a quarter of
    the context at a time, and most events cost one position there, too.

    A session keeps keys and values on the device. It is for one thread at a time.
    """

    def __init__(
        self,
        recommend: Callable[..., Answer],
        items: Sequence[str],
        user: Id | None,
        sequence_features: Mapping[str, str] | None,
    ) -> None:
        """Start a session.

        Args:
            recommend: ``Recommender.recommend`` of a model whose ensemble is for histories that
                grow; see ``Ensemble.caching``.
            items: item ids, oldest first.
            user: as in ``Recommender.recommend``.
            sequence_features: as in ``Recommender.recommend``.
        """
        self._recommend = recommend
        self._items = list(items)
        self._request = {"user": user, "sequence_features": sequence_features}

    def __repr__(self) -> str:
        """The number of events, the last ones, and whose history they continue."""
        last = ", ".join(map(repr, self._items[-SHOWN_EVENTS:]))
        shown = f": ..., {last}" if len(self._items) > SHOWN_EVENTS else f": {last}" * bool(last)
        of_user = "" if self._request["user"] is None else f" of user {self._request['user']!r}"
        return f"Session{of_user} with {quantity(len(self._items), 'event')}{shown}"

    def __len__(self) -> int:
        """Number of item ids given so far; the stored events of a user do not count."""
        return len(self._items)

    @property
    def items(self) -> list[str]:
        """The item ids given so far, oldest first."""
        return list(self._items)

    def append(self, item: Any) -> None:
        """Add the next event.

        Args:
            item: an item id, a string or an integer; an unknown one is reported by ``recommend``.

        Raises:
            RequestError: it is neither a string nor an integer.
        """
        self._items.append(id_string(item, "item"))

    def recommend(self, k: int = 10, **options: Any) -> Answer:
        """Recommend the ``k`` items most likely to come next.

        Args:
            k: number of items.
            options: those of ``Recommender.recommend``, except ``user`` and ``sequence_features``.

        Raises:
            RequestError: as in ``Recommender.recommend``.
        """
        return self._recommend(self._items, k, **self._request, **options)
