"""The picture of a list: what there was, and what is recommended after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segue.axes import UNK
from segue.errors import RequestError
from segue.pictures.canvas import PIXELS_PER_INCH, POINTS_PER_INCH, Drawn, check_format
from segue.pictures.card_page import Section, draw_cards
from segue.pictures.cards import HEIGHT, WIDTH, Card
from segue.pictures.posters import Posters
from segue.recommender import Recommender

MOST_RECOMMENDED = 100
MOST_SHOWN = 14
"""Events of a history on a picture, its last ones: two rows."""
POSTER_PIXELS = tuple(round(side * PIXELS_PER_INCH / POINTS_PER_INCH) for side in (WIDTH, HEIGHT))
"""Width and height that a poster has room for."""


def draw_list(
    model: Recommender,
    file: str | Path,
    items: Sequence[str] = (),
    k: int = 10,
    *,
    user: str | None = None,
    about: Mapping[str, str] | None = None,
    include_seen: bool = False,
    posters: str | Path | None = None,
) -> Drawn:
    """Draw a history and the ``k`` items most likely to come next, as rows of cards.

    Args:
        model: what recommends.
        file: where the picture goes; .png, .svg or .pdf.
        items: a history as item ids, oldest first.
        k: how many, 100 at most.
        user: the id of a sequence of the training dataset; its history comes before ``items``.
        about: what is known of the sequence, as in ``Recommender.recommend``.
        include_seen: whether items of the history may be recommended again.
        posters: a folder of images ``ITEM_ID.jpg``, ``.png`` or ``.webp``. An item without
            one, or with one that cannot be read, gets a card with its title.

    Returns:
        The file, and notes on unknown items, posters and characters that were not drawn.

    Raises:
        RequestError: as ``Recommender.recommend``; another ending of the file; ``k`` above
            100; no such folder of posters.
        StorageError: the file cannot be written.
    """
    file, folder = check_format(file), Posters(posters)
    if k > MOST_RECOMMENDED:
        message = f"k is {k}, a picture has room for {MOST_RECOMMENDED}"
        raise RequestError(message, "ask for fewer, or list them with `segue recommend`")
    answer = model.recommend(items, k, user=user, about=about, include_seen=include_seen)
    events = list(enumerate(_history(model, items, user), start=1))
    history = [_card(model, *event, place) for place, event in events[-MOST_SHOWN:]]
    indices = model.items.find([found.item_id for found in answer.items]).tolist()
    recommended = [
        _card(model, found.item_id, index, found.rank, f"score {found.score:.2f}")
        for found, index in zip(answer.items, indices, strict=True)
    ]
    images, notes = folder.read([card.item_id for card in history + recommended], *POSTER_PIXELS)
    history, recommended = (
        [card._replace(poster=images.get(card.item_id)) for card in cards]
        for cards in (history, recommended)
    )
    sections = [
        Section("History", _extent(len(history), len(events)), history),
        Section("What comes next", f"the best first, by {model.name}", recommended),
    ]
    notes += draw_cards(file, [section for section in sections if section.cards])
    return Drawn(str(file), answer.notes + notes)


def kin_of(known: Mapping[str, Any]) -> str:
    """What decides an item's colour: its artist, or else its first genre; empty without either."""
    return known.get("artist") or next(iter(known.get("genres") or ()), "")


def _history(
    model: Recommender, items: Sequence[str], user: str | None
) -> Iterator[tuple[str, int]]:
    """Id and index of each event, oldest first; ``UNK`` where the model knows no such item."""
    if user is not None:
        sequences = model.dataset.sequences
        row = sequences.find(user)
        for index in [] if row is None else sequences.row(row).tolist():
            yield model.items.describe(index)["item_id"], index
    yield from zip(items, model.items.find(list(items)).tolist(), strict=True)


def _extent(shown: int, events: int) -> str:
    if shown < events:
        return f"the last {shown} of {events:,} events, oldest first"
    return "one event" if events == 1 else f"{events} events, oldest first"


def _card(model: Recommender, item_id: str, index: int, place: int, score: str = "") -> Card:
    known = {} if index == UNK else model.items.describe(index)
    credit, genres = known.get("artist", ""), known.get("genres") or []
    is_known = index != UNK and index < model.network.layout.table_size
    details = [str(known["year"])] if "year" in known else []
    details += [", ".join(genres)] if genres else []
    return Card(
        item_id=item_id,
        title=known.get("title") or item_id,
        credit=credit,
        details=" · ".join(details) if is_known else "unknown to the model",
        kin=kin_of(known) or item_id,
        place=str(place),
        score=score,
        is_known=is_known,
    )
