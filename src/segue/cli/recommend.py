"""``segue recommend``: what is most likely to come next."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.cli.options import ItemIds, ItemList, Json, Run, User, item_ids


def recommend(
    run: Run,
    items: ItemList = "",
    item: ItemIds = None,
    user: User = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Items of the history may come again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the items most likely to come next."""
    from segue.cli.answer_report import print_answer
    from segue.recommender import Recommender

    model = Recommender.load(run)
    answer = model.recommend(item_ids(items, item), k, user=user, include_seen=include_seen)
    print_answer(answer, model, as_json)
