"""The search index of a finished run."""

from __future__ import annotations

from collections.abc import Callable

from segue.catalogue_search import open_index, write_index
from segue.dataset import Items
from segue.errors import RequestError, StorageError, quantity
from segue.runs import RunFolder
from segue.trainer.progress import Progress, message_only

ANNOUNCED_ITEMS = 100_000
"""Items from which on building the index is announced: it takes half a minute per million."""


def write_search_index(folder: RunFolder, items: Items, watch: Callable[[Progress], None]) -> None:
    """Build the index of a finished run, unless it has one.

    The index is derived from the items, and built at the first search where it is missing. So a
    run without one is complete, and what prevents it is only reported.
    """
    card = folder.read_finished_card()
    if card is None:
        return
    for partial in folder.path.glob(f"{folder.search_index.name}.*.partial"):
        partial.unlink(missing_ok=True)  # of a process that was killed
    checksum = card["checksums"][folder.items.name]
    if open_index(folder.search_index, items, checksum) is not None:
        return
    if len(items) >= ANNOUNCED_ITEMS:
        watch(message_only(f"indexing {quantity(len(items), 'item')} for segue search"))
    try:
        write_index(folder.search_index, items, checksum)
    except (StorageError, RequestError) as error:
        watch(message_only(f"no search index was written: {error}"))
