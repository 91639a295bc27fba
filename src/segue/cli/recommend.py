"""``segue recommend``: what is most likely to come next."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.cli.options import (
    About,
    IncludeSeen,
    ItemIds,
    ItemList,
    Json,
    Run,
    Title,
    User,
    item_ids,
)
from segue.cli.options import about as known_of


def recommend(  # noqa: PLR0913 - a parameter an option
    *,
    run: Run,
    items: ItemList = None,
    item: ItemIds = None,
    user: User = None,
    title: Title = None,
    about: About = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    include_seen: IncludeSeen = False,
    as_json: Json = False,
) -> None:
    """List the items most likely to come next."""
    from segue.cli.answer_report import print_answer
    from segue.recommender import Recommender

    ids, known = item_ids(items, item), known_of(title, about)
    model = Recommender.load(run)
    answer = model.recommend(ids, k, user=user, about=known, include_seen=include_seen)
    print_answer(answer, model, as_json)
