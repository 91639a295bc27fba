"""``segue recommend``: the items most likely to come next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segue.cli import batch, options
from segue.cli.console import percent, print_json, stderr, stdout, table
from segue.errors import RequestError, quantity

if TYPE_CHECKING:
    from pathlib import Path

    from segue.recommender import Answer, Explanation, Recommender

GENRES_WIDTH = 100
"""Columns of a terminal from which tables of items have their genres."""
LISTED_IDS, LISTED_LENGTH = 20, 200
"""Unknown items that are named, and the characters of each; with --json all are."""


def recommend(  # noqa: PLR0913 - one parameter per option
    *,
    run: options.RunPath,
    items: options.ItemList = None,
    item: options.SingleItems = None,
    user: options.User = None,
    title: options.Title = None,
    sequence_features: options.SequenceFeatures = None,
    k: Annotated[
        int | None, typer.Option("-k", min=1, help="Number of items; 10 unless given.")
    ] = None,
    include_seen: options.IncludeSeen = None,
    exclude: options.Exclude = None,
    only: options.Only = None,
    where: options.Where = None,
    cap: options.Cap = None,
    diversity: options.Diversity = None,
    popularity: options.Popularity = None,
    like: options.Like = None,
    unlike: options.Unlike = None,
    query: options.QueryFile = None,
    why: Annotated[
        bool, typer.Option("--why", help="Say because of which item of the history.")
    ] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Add the probability to be the next item.")
    ] = False,
    source: batch.Input = None,
    output: batch.Output = None,
    id_column: batch.IdColumn = None,
    before: batch.Before = None,
    overwrite: batch.Overwrite = False,
    without_ensemble: options.WithoutEnsemble = False,
    window: options.Window = "last",
    as_json: options.Json = False,
) -> None:
    """List the items most likely to come next, for one history or for all of a file.

    With --input FILE --output FILE, every row of a file is a request. A batch that was stopped
    continues with the same command.
    """
    features = options.sequence_features(title, sequence_features) or None
    given = options.without_none(
        items=options.item_ids(items, item) or None,
        k=k,
        user=user,
        sequence_features=features,
        include_seen=include_seen,
        probabilities=probabilities or None,
    )
    given |= options.controls(exclude, only, where, cap, diversity, popularity, like, unlike)
    if why and source is not None:
        raise RequestError("--why is for one history, not for a file", "leave it out")

    from segue.recommender.early_checks import check_arguments

    of_query = {} if query is None else _of_query(query, why=why, of_file=source is not None)
    request = of_query | given
    in_rows = {name: request.get(name) for name in ("items", "user")}
    files = batch.batch_files(source, output, id_column, before, overwrite, **in_rows)
    check_arguments(run, request)
    from segue.recommender import Recommender  # loads JAX, which takes seconds

    model = Recommender.load(run, without_ensemble=without_ensemble, window=window)
    if files is not None:
        arguments = {name: value for name, value in request.items() if name not in in_rows}
        batch.run_batch(
            lambda watch: model.recommend_file(**files.arguments, **arguments, watch=watch), as_json
        )
        return
    print_answer((model.explain if why else model.recommend)(**request), model, as_json)


def _of_query(query: Path, *, why: bool, of_file: bool) -> dict[str, Any]:
    """The request of a --query file, whose keys are those of ``explain`` with --why.

    Args:
        of_file: whether it is for the histories of a file, which have no --why.
    """
    from segue.recommender.request_body import ExplainBody, RecommendBody, read_body

    request = read_body(query, ExplainBody)
    of_why = [name for name in request if name not in RecommendBody.model_fields]
    if of_why and not why:
        message = f"the --query file has the key {of_why[0]}, which is for --why"
        hint = "leave the key out" if of_file else "add --why, or leave the key out"
        raise RequestError(message, hint)
    return request


def _listed(ids: Sequence[str]) -> str:
    """The first ids, and how many more there are."""
    n_more = len(ids) - LISTED_IDS
    names = [i if len(i) <= LISTED_LENGTH else f"{i[:LISTED_LENGTH]}..." for i in ids[:LISTED_IDS]]
    return ", ".join(names) + (f" and {n_more:,} more" if n_more > 0 else "")


def _with_attributes(
    answer: Answer | Explanation, attributes: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """An answer as JSON, whose items have the attributes that tables show."""
    content = answer.to_dict()
    for item, of_item in zip(content["items"], attributes, strict=True):
        if of_item:
            item["attributes"] = of_item
    return content


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def print_answer(result: Answer | Explanation, model: Recommender, as_json: bool) -> None:
    """Print the items of an answer or explanation on stdout, and its notes on stderr."""
    from segue.recommender import Explanation
    from segue.recommender.shown_attributes import SHOWN, shown_attributes

    answer = result.answer if isinstance(result, Explanation) else result
    member_ranks = result.member_ranks if isinstance(result, Explanation) else None
    if answer.unknown_items:
        unknown = _listed(answer.unknown_items)
        stderr().print(f"unknown items were replaced by <unk>: {unknown}")
    if answer.truncated:
        oldest = quantity(answer.truncated, "oldest event", "oldest events")
        stderr().print(f"the {oldest} did not fit into the model's context")
    for note in answer.notes:
        stderr().print(note, soft_wrap=True)
    if not answer.items and not as_json:
        return  # the notes say why
    indices = model.items.find([item.item_id for item in answer.items])
    attributes = shown_attributes(model.items, indices)
    if as_json:
        print_json(_with_attributes(result, attributes))
        return
    shown = [name for name in SHOWN if any(name in of_item for of_item in attributes)]
    if stdout().width < GENRES_WIDTH and "genres" in shown:
        shown.remove("genres")  # titles would be cut off
    rows = []
    for item, of_item in zip(answer.items, attributes, strict=True):
        values = [_text(of_item.get(name, "")) for name in shown]
        values.append(f"{item.score:.3f}")
        if item.probability is not None:
            values.append(percent(item.probability))
        rows.append([str(item.rank), item.item_id, item.title, *values])
    has_probability = any(item.probability is not None for item in answer.items)
    columns = ("rank", "id", "title", *shown, "score", *["probability"] * has_probability)
    stdout().print(table(columns, rows, text_columns=("id", "title", "artist", "genres")))
    for item in answer.items:  # sentences, which a column would cut off
        if item.why is not None:
            stdout().print(f"{item.rank:>4}   {item.why.text}", soft_wrap=True, highlight=False)
    if member_ranks is not None:
        stdout().print("rank by each member alone:")
        # A table of its own: the one above has no room for a column per member.
        ranks = zip(*member_ranks.values(), strict=True)
        rows = [
            [str(item.rank), item.item_id, *map(str, of_item)]
            for item, of_item in zip(answer.items, ranks, strict=True)
        ]
        stdout().print(table(("rank", "id", *member_ranks), rows, text_columns=("id",)))
