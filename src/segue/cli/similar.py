"""``segue similar``: the items most similar to one."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.cli import options
from segue.cli.recommend import print_answer


def similar(
    *,
    run: options.RunPath,
    item: Annotated[str, typer.Option("--item", metavar="ID", help="An item of the catalogue.")],
    k: Annotated[int, typer.Option("-k", help="Number of items.")] = 10,
    exclude: options.Exclude = None,
    only: options.Only = None,
    where: options.Where = None,
    without_ensemble: options.WithoutEnsemble = False,
    as_json: options.Json = False,
) -> None:
    """List the items most similar to one, by the cosine of their vectors."""
    from segue.recommender.early_checks import check_arguments

    filters = options.filters(exclude, only, where)
    check_arguments(run, {"k": k, **filters})
    from segue.recommender import Recommender  # loads JAX, which takes seconds

    model = Recommender.load(run, without_ensemble=without_ensemble)
    print_answer(model.similar_items(item, k, **filters), model, as_json)
