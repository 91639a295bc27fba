"""``segue draw``: pictures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segue.cli import options
from segue.errors import RequestError

USUAL_K = 10


def draw(  # noqa: PLR0913 - a parameter an option
    *,
    run: options.Run,
    what: Annotated[
        Literal["list", "curves", "model"],
        typer.Argument(
            metavar="list|curves|model",
            help="What is recommended after a history; the curves of the training; the graph "
            "of the model.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A .png, .svg or .pdf file.")
    ],
    items: options.ItemList = None,
    item: options.ItemIds = None,
    user: options.User = None,
    title: options.Title = None,
    about: options.About = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k", help=f"How many to recommend (list).  [default: {USUAL_K}]", show_default=False
        ),
    ] = None,
    include_seen: options.IncludeSeen = False,
    posters: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Images ITEM_ID.jpg, .png or .webp, shown as cards (list)."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Draw what a run recommends, how it was trained, or how its model is built.

    Needs the extra `pictures`: pip install "segue[pictures]".
    """
    from segue import pictures
    from segue.cli.console import notes, print_json, results
    from segue.recommender import Recommender

    given = {"--items": items, "--item": item, "--user": user, "--title": title}
    given |= {
        "--about": about,
        "-k": k,
        "--include-seen": include_seen or None,
        "--posters": posters,
    }
    wrong = [name for name, value in given.items() if value not in (None, [])]
    if what != "list" and wrong:
        raise RequestError(f"{wrong[0]} is of no use for {what}", "it belongs to `segue draw list`")
    pictures.check_format(output)
    if what == "curves":
        drawn = pictures.draw_curves(run, output)
    elif what == "model":
        drawn = pictures.draw_model(Recommender.load(run), output)
    else:
        ids, known = options.item_ids(items, item), options.about(title, about)
        model = Recommender.load(run)
        drawn = pictures.draw_list(
            model,
            output,
            ids,
            USUAL_K if k is None else k,
            user=user,
            about=known,
            include_seen=include_seen,
            posters=posters,
        )
    for note in drawn.notes:
        notes().print(note, soft_wrap=True)
    if as_json:
        print_json({"what": what, "file": drawn.file, "notes": drawn.notes})
    else:
        results().print(drawn.file, soft_wrap=True)
