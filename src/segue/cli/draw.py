"""``segue draw``: pictures of a run: recommendations, training curves, reliability, model graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segue.cli import options
from segue.cli.console import print_json, stderr, stdout
from segue.cli.option_values import parse_path
from segue.errors import RequestError

DEFAULT_K = 10


def draw(  # noqa: PLR0913 - one parameter per option
    *,
    run: options.RunPath,
    kind: Annotated[
        Literal["list", "curves", "reliability", "model"],
        typer.Argument(
            metavar="list|curves|reliability|model",
            help="A list of recommendations for a history, the training curves, the reliability "
            "of the probabilities, or the graph of the model.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            parser=parse_path,
            metavar="FILE",
            help="The .png, .svg or .pdf file to write.",
        ),
    ],
    items: options.ItemList = None,
    item: options.SingleItems = None,
    user: options.User = None,
    title: options.Title = None,
    sequence_features: options.SequenceFeatures = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", help=f"Number of items (list).  [default: {DEFAULT_K}]", show_default=False
        ),
    ] = None,
    include_seen: options.IncludeSeen = None,
    posters: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FOLDER",
            help="Images ITEM_ID.jpg, .png or .webp to show as cards (list).",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Draw recommendations, curves, reliability or model of a run.

    Needs the extra `pictures`: pip install "segue[pictures]".
    """
    from segue import pictures
    from segue.recommender import Recommender

    list_options = {
        "--items": items,
        "--item": item,
        "--user": user,
        "--title": title,
        "--sequence-feature": sequence_features,
        "-k": k,
        "--exclude-seen" if include_seen is False else "--include-seen": include_seen,
        "--posters": posters,
    }
    given = [name for name, value in list_options.items() if value not in (None, [])]
    if kind != "list" and given:
        hint = "it is an option of `segue draw RUN list`"
        raise RequestError(f"{given[0]} cannot be used with {kind}", hint)
    pictures.check_format(out)
    if kind == "curves":
        picture = pictures.draw_curves(run, out)
    elif kind == "reliability":
        picture = pictures.draw_reliability(run, out)
    elif kind == "model":
        picture = pictures.draw_model(Recommender.load(run), out)
    else:
        history = options.item_ids(items, item)
        features = options.sequence_features(title, sequence_features)
        picture = pictures.draw_list(
            Recommender.load(run),
            out,
            history,
            DEFAULT_K if k is None else k,
            user=user,
            sequence_features=features,
            include_seen=include_seen,
            posters=posters,
        )
    for note in picture.notes:
        stderr().print(note, soft_wrap=True)
    if as_json:
        print_json({"what": kind, "file": picture.file, "notes": picture.notes})
    else:
        stdout().print(picture.file, soft_wrap=True)
