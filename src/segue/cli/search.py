"""``segue search``: find an item's id by its title."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.options import Json


def search(
    folder: Annotated[Path, typer.Argument(metavar="RUN|DATASET", help="Whose items.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Part of a title or an artist.")],
    limit: Annotated[int, typer.Option("-n", min=1, help="At most so many.")] = 10,
    as_json: Json = False,
) -> None:
    """Find items by part of a title or artist."""
    from segue.cli.console import notes, print_json, results
    from segue.cli.folders import check_run_or_dataset
    from segue.cli.tables import table
    from segue.dataset.prepared import read_items

    check_run_or_dataset(folder)
    items = read_items(folder)
    found = [items.describe(int(index)) for index in items.search(text, limit)]
    if as_json:
        print_json({"query": text, "items": found})
        return
    if not found:
        notes().print(f"nothing holds {text!r}")
        return
    shown = [name for name in ("title", "artist", "year") if any(name in item for item in found)]
    columns = ("item_id", *shown, "training_count")
    rows = [[str(item.get(name, "")) for name in columns] for item in found]
    headings = ("id", *shown, "events")
    results().print(table(headings, rows, left=("id", "title", "artist")))
