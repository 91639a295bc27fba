"""``draw_list``: a picture of a history and the recommended items, as rows of cards."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segue.errors import RequestError
from segue.pictures.cards import HEIGHT, WIDTH, Card, CardSection, draw_cards
from segue.pictures.figures import PIXELS_PER_INCH, POINTS_PER_INCH, Picture, check_format
from segue.pictures.posters import Posters
from segue.recommender import Recommender
from segue.tokens import UNK

MAX_RECOMMENDED = 100
MAX_HISTORY = 14
"""Maximum number of events of the history that a picture shows, the most recent ones: two rows."""
POSTER_PIXELS = tuple(round(side * PIXELS_PER_INCH / POINTS_PER_INCH) for side in (WIDTH, HEIGHT))
"""Maximum width and height of a poster, in pixels."""


def draw_list(
    model: Recommender,
    out: str | os.PathLike[str],
    items: Sequence[str] = (),
    k: int = 10,
    *,
    user: str | None = None,
    sequence_features: Mapping[str, str] | None = None,
    include_seen: bool | None = None,
    posters: str | os.PathLike[str] | None = None,
) -> Picture:
    """Draw a history and the ``k`` best next items as rows of cards.

    Args:
        model: the model.
        out: the .png, .svg or .pdf file to write.
        items: item ids of the history, oldest first.
        k: number of recommended items, at most 100.
        user: id of a sequence of the training dataset; its events precede ``items``.
        sequence_features: values of sequence features, as in ``Recommender.recommend``.
        include_seen: whether items of the history may be recommended; by default as the audit of
            the training dataset recommends.
        posters: a folder of images ``ITEM_ID.jpg``, ``.png`` or ``.webp``. An item without
            one, or with one that cannot be read, gets a card with its title.

    Returns:
        The file, and notes on unknown items, missing posters and characters without a glyph.

    Raises:
        RequestError: as ``Recommender.recommend``; the suffix of the file is not supported;
            ``k`` is above 100; the folder of posters does not exist.
        StorageError: the file cannot be written.
    """
    file, poster_images = check_format(out), Posters(posters)
    if k > MAX_RECOMMENDED:
        message = f"k is {k}, a picture has at most {MAX_RECOMMENDED} items"
        raise RequestError(message, "ask for fewer, or list them with `segue recommend`")
    answer = model.recommend(
        items, k, user=user, sequence_features=sequence_features, include_seen=include_seen
    )
    events = list(enumerate(_history(model, items, user), start=1))
    history = [_card(model, *event, number) for number, event in events[-MAX_HISTORY:]]
    indices = model.items.find([item.item_id for item in answer.items]).tolist()
    recommended = [
        _card(model, item.item_id, index, item.rank, f"score {item.score:.2f}")
        for item, index in zip(answer.items, indices, strict=True)
    ]
    item_ids = [card.item_id for card in history + recommended]
    images, notes = poster_images.read(item_ids, *POSTER_PIXELS)
    history, recommended = (
        [card._replace(poster=images.get(card.item_id)) for card in cards]
        for cards in (history, recommended)
    )
    sections = [
        CardSection("History", _history_remark(len(history), len(events)), history),
        CardSection("What comes next", f"the best first, by {model.name}", recommended),
    ]
    notes += draw_cards(file, [section for section in sections if section.cards])
    return Picture(str(file), answer.notes + notes)


def colour_key_of(item: Mapping[str, Any]) -> str:
    """The attribute that selects an item's colour: artist, or first genre, or empty."""
    return item.get("artist") or next(iter(item.get("genres") or ()), "")


def _history(
    model: Recommender, items: Sequence[str], user: str | None
) -> Iterator[tuple[str, int]]:
    """Id and index of each event, oldest first; the index of an unknown item is ``UNK``."""
    if user is not None:
        sequences = model.dataset.sequences
        row = sequences.find(user)
        for index in [] if row is None else sequences.row(row).tolist():
            yield model.items.describe(index)["item_id"], index
    yield from zip(items, model.items.find(list(items)).tolist(), strict=True)


def _history_remark(n_shown: int, n_events: int) -> str:
    if n_shown < n_events:
        return f"the last {n_shown} of {n_events:,} events, oldest first"
    return "one event" if n_events == 1 else f"{n_events} events, oldest first"


def _card(model: Recommender, item_id: str, index: int, number: int, score: str = "") -> Card:
    item = {} if index == UNK else model.items.describe(index)
    artist, genres = item.get("artist", ""), item.get("genres") or []
    is_known = index != UNK and index < model.encoder.layout.vocabulary_size
    details = [str(item["year"])] if "year" in item else []
    details += [", ".join(genres)] if genres else []
    return Card(
        item_id=item_id,
        title=item.get("title") or item_id,
        artist=artist,
        details=" · ".join(details) if is_known else "unknown to the model",
        colour_key=colour_key_of(item) or item_id,
        number=str(number),
        score=score,
        is_known=is_known,
    )
