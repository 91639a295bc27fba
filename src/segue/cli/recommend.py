"""``segue recommend``: what is most likely to come next."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.cli import options


def recommend(  # noqa: PLR0913 - a parameter an option
    *,
    run: options.Run,
    items: options.ItemList = None,
    item: options.ItemIds = None,
    user: options.User = None,
    title: options.Title = None,
    about: options.About = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    include_seen: options.IncludeSeen = False,
    as_json: options.Json = False,
) -> None:
    """List the items most likely to come next."""
    from segue.cli.answer_report import print_answer
    from segue.recommender import Recommender

    ids, known = options.item_ids(items, item), options.about(title, about)
    model = Recommender.load(run)
    answer = model.recommend(ids, k, user=user, about=known, include_seen=include_seen)
    print_answer(answer, model, as_json)
