"""Recommendations and continuations, for people and as JSON."""

from __future__ import annotations

from segue.cli.console import notes, print_json, results
from segue.cli.tables import table
from segue.recommender import Answer, Recommender
from segue.wording import counted

ATTRIBUTES = ("artist", "year")
"""Shown beside the title where the items have them."""


def print_answer(answer: Answer, model: Recommender, as_json: bool) -> None:
    """Print a list; what became of the question is said on stderr."""
    if answer.unknown_items:
        unknown = ", ".join(answer.unknown_items)
        notes().print(f"unknown items stand as <unk>: {unknown}")
    if answer.truncated:
        oldest = counted(answer.truncated, "oldest event is", "oldest events are")
        notes().print(f"the {oldest} beyond the model's context")
    for note in answer.notes:
        notes().print(note)
    if as_json:
        print_json(answer.to_json())
        return
    shown = [name for name in ATTRIBUTES if name in model.items.table.column_names]
    indices = model.items.find([found.item_id for found in answer.items])
    rows = []
    for found, index in zip(answer.items, indices, strict=True):
        known = model.items.describe(int(index))
        attributes = [str(known.get(name, "")) for name in shown]
        rows.append(
            [str(found.rank), found.item_id, found.title, *attributes, f"{found.score:.3f}"]
        )
    left = ("id", "title", "artist")
    results().print(table(("rank", "id", "title", *shown, "score"), rows, left=left))
