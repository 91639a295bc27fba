"""``segue generate``: continue a sequence item by item."""

from __future__ import annotations

from typing import Annotated

import typer

from segue.cli import batch, options
from segue.cli.recommend import print_answer
from segue.errors import RequestError

DEFAULT_LENGTH = 20


def generate(  # noqa: PLR0913 - one parameter per option
    *,
    run: options.RunPath,
    items: options.ItemList = None,
    item: options.SingleItems = None,
    user: options.User = None,
    title: options.Title = None,
    sequence_features: options.SequenceFeatures = None,
    length: Annotated[
        int | None, typer.Option(min=1, help="Number of items to add; 20 unless given.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Sampling temperature, 1 unless given; 0 always takes the most likely item.",
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1, help="Sample only among this number of most likely items; 50 unless given."
        ),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Of these, sample from the fewest most likely ones whose probabilities sum to "
            "this share; 1 unless given.",
        ),
    ] = None,
    end_weight: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Factor on the probability that the sequence ends, for a model that predicts END; "
            "0, unless given, never ends it.",
        ),
    ] = None,
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
        int | None,
        typer.Option(
            min=0, help="Seed of the sampling, 0 unless given; the same seed gives the same items."
        ),
    ] = None,
    exclude: options.Exclude = None,
    only: options.Only = None,
    where: options.Where = None,
    cap: options.Cap = None,
    popularity: options.Popularity = None,
    like: options.Like = None,
    unlike: options.Unlike = None,
    query: options.QueryFile = None,
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
    given = options.without_none(
        items=options.item_ids(items, item) or None,
        length=length,
        user=user,
        sequence_features=options.sequence_features(title, sequence_features) or None,
        temperature=0.0 if greedy else temperature,
        top_k=top_k,
        top_p=top_p,
        end_weight=end_weight,
        include_seen=include_seen,
        seed=seed,
    )
    given |= options.controls(exclude, only, where, cap, None, popularity, like, unlike)
    from segue.recommender.early_checks import check_arguments
    from segue.recommender.request_body import GenerateBody, read_body

    request = ({} if query is None else read_body(query, GenerateBody)) | given
    if lock:
        request["locked"] = options.locked_items(lock, request.get("length", DEFAULT_LENGTH))
    in_rows = {name: request.get(name) for name in ("items", "user", "locked")}
    files = batch.batch_files(source, output, id_column, before, overwrite, **in_rows)
    check_arguments(run, request)
    from segue.recommender import Recommender  # loads JAX, which takes seconds

    model = Recommender.load(run, without_ensemble=without_ensemble, window=window)
    if files is not None:
        arguments = {name: value for name, value in request.items() if name not in in_rows}
        batch.run_batch(
            lambda watch: model.generate_file(**files.arguments, **arguments, watch=watch), as_json
        )
        return
    print_answer(model.generate(**request), model, as_json)
