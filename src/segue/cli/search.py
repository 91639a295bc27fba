"""``segue search``: find items by the words of their titles and other attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.cli.console import print_json, stderr, stdout, table
from segue.cli.option_values import parse_path
from segue.cli.options import Json


def search(
    folder: Annotated[
        Path,
        typer.Argument(
            parser=parse_path, metavar="RUN|DATASET", help="The folder whose items are searched."
        ),
    ],
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="Words of a title, an artist or another attribute."),
    ],
    column: Annotated[
        str | None,
        typer.Option(
            "--column", metavar="NAME", help="Search this attribute, or item_id, and no other."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("-n", min=1, help="Largest number of items.")] = 10,
    as_json: Json = False,
) -> None:
    """Find items by the words of their title, artist and other attributes, or by their id.

    The last word may be incomplete. One edit is forgiven in words of five letters or more.
    """
    from segue.catalogue_search import CatalogueSearch, scan_items
    from segue.dataset.items_file import read_items
    from segue.dataset.manifest import DATASET_PROBLEMS
    from segue.runs import RunFolder, check_run_or_dataset, is_run
    from segue.runs.checksums import RUN_PROBLEMS, checksum

    check_run_or_dataset(folder)
    if is_run(folder):
        run, items = RunFolder(folder), read_items(folder, RUN_PROBLEMS)
        catalogue = CatalogueSearch(items, run.search_index, checksum(run.items))
        indices, notes = catalogue.search(text, limit, column), [catalogue.note]
    else:
        items = read_items(folder, DATASET_PROBLEMS)
        indices, notes = scan_items(items, text, limit, column), []
    matches = [items.describe(index) for index in indices.tolist()]
    if not matches:
        notes.append(f"no item matches {text!r}")
    notes = [note for note in notes if note]
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
