"""``segue generate``: continue a sequence item by item."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.cli import batch, options
from segue.cli.recommend import print_answer
from segue.errors import RequestError


def generate(  # noqa: PLR0913 - one parameter per option
    *,
    run: options.RunPath,
    items: options.ItemList = None,
    item: options.SingleItems = None,
    user: options.User = None,
    title: options.Title = None,
    sequence_features: options.SequenceFeatures = None,
    length: Annotated[int, typer.Option(min=1, help="Number of items to add.")] = 20,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Sampling temperature, 1 unless given; 0 always takes the most likely item.",
        ),
    ] = None,
    top_k: Annotated[
        int, typer.Option(min=1, help="Sample only among this number of most likely items.")
    ] = 50,
    top_p: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Of these, sample from the fewest most likely ones whose probabilities sum to "
            "this share.",
        ),
    ] = 1.0,
    end_weight: Annotated[
        float,
        typer.Option(
            min=0,
            help="Factor on the probability that the sequence ends, for a model that predicts END; "
            "0 never ends it.",
        ),
    ] = 0.0,
    greedy: Annotated[bool, typer.Option("--greedy", help="The same as --temperature 0.")] = False,
    lock: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RANK=ID",
            help="Put an item at a rank of the list, from 1; the others are filled; repeatable.",
        ),
    ] = None,
    include_seen: options.IncludeSeen = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the sampling; the same seed gives the same items.")
    ] = 0,
    exclude: options.Exclude = None,
    only: options.Only = None,
    where: options.Where = None,
    cap: options.Cap = None,
    popularity: options.Popularity = None,
    like: options.Like = None,
    unlike: options.Unlike = None,
    source: batch.Input = None,
    output: batch.Output = None,
    id_column: batch.IdColumn = None,
    before: batch.Before = None,
    overwrite: batch.Overwrite = False,
    without_ensemble: options.WithoutEnsemble = False,
    window: options.Window = "last",
    as_json: options.Json = False,
) -> None:
    """Continue a sequence item by item, or all of a file; no item is generated twice.

    With --input FILE --output FILE, every row of a file is continued. A batch that was stopped
    continues with the same command.
    """
    if greedy and temperature is not None:
        raise RequestError("--greedy and --temperature are both given", "leave one out")
    history = options.item_ids(items, item)
    features = options.sequence_features(title, sequence_features)
    locked = options.locked_items(lock, length)
    controls = options.controls(exclude, only, where, cap, None, popularity, like, unlike)
    files = batch.batch_files(
        source, output, id_column, before, overwrite, items=history, user=user, locked=locked
    )
    arguments = {
        "length": length,
        "sequence_features": features,
        "temperature": 0.0 if greedy else 1.0 if temperature is None else temperature,
        "top_k": top_k,
        "top_p": top_p,
        "end_weight": end_weight,
        "include_seen": include_seen,
        "seed": seed,
        **controls,
    }
    from segue.recommender import Recommender

    model = Recommender.load(run, without_ensemble=without_ensemble, window=window)
    if files is not None:
        batch.run_batch(
            lambda watch: model.generate_file(**files.arguments, **arguments, watch=watch), as_json
        )
        return
    answer = model.generate(history, user=user, locked=locked, **arguments)
    print_answer(answer, model, as_json)
