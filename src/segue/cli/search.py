"""``segue search``: find the ids of items by their titles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.console import print_json, stderr, stdout, table
from segue.cli.options import Json, parse_path


def search(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=parse_path, metavar="RUN|DATASET", help="The folder whose items are searched."
        ),
    ],
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="Part of a title, an artist or an id.")
    ],
    limit: Annotated[int, typer.Option("-n", min=1, help="Largest number of items.")] = 10,
    as_json: Json = False,
) -> None:
    """Find items by part of their title, artist or id."""
    from segue.dataset.items_file import read_items
    from segue.dataset.manifest import DATASET_PROBLEMS
    from segue.runs.folder import RUN_PROBLEMS, check_run_or_dataset, is_run

    check_run_or_dataset(folder)
    items = read_items(folder, RUN_PROBLEMS if is_run(folder) else DATASET_PROBLEMS)
    matches = [items.describe(int(index)) for index in items.search(text, limit)]
    notes = [] if matches else [f"no item matches {text!r}"]
    for note in notes:
        stderr().print(note, soft_wrap=True)
    if as_json:
        print_json({"query": text, "items": matches, "notes": notes})
        return
    if not matches:
        return
    attributes = [
        name for name in ("title", "artist", "year") if any(name in match for match in matches)
    ]
    keys = ("item_id", *attributes, "training_count")
    rows = [[str(match.get(key, "")) for key in keys] for match in matches]
    columns = ("id", *attributes, "events")
    stdout().print(table(columns, rows, text_columns=("id", "title", "artist")))
