"""The table of a model: modules, shapes, parameters, FLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segue.anatomy import ModelSummary, ModuleRow, summarise
from segue.cli.console import notes, print_json, results
from segue.cli.tables import table
from segue.recommender import Recommender

COLUMNS = ("module", "kind", "parameters of shape", "output", "parameters", "FLOPs")


def print_model(run: Path, as_json: bool) -> None:
    """Print the summary of a run's model."""
    summary = summarise(Recommender.load(run).network.traced())
    if as_json:
        print_json({"kind": "model", "path": str(run), **summary.to_json()})
        return
    rows = [_cells(row) for row in summary.rows] + [_total(summary)]
    results().print(table(COLUMNS, rows, left=COLUMNS[:4]))
    notes().print(
        f"FLOPs of one sequence that fills the context of {summary.context}, up to the scores of "
        "every item at every position: 2 a multiply-add of a matrix product, lookups none"
    )


def _cells(row: ModuleRow) -> list[str]:
    # A table's only parameter is called as the table itself.
    alone = len(row.shapes) == 1
    shapes = [
        _shape(shape) if alone else f"{name} {_shape(shape)}" for name, shape in row.shapes.items()
    ]
    output = "" if row.output is None else _shape(row.output)
    return [
        row.module,
        row.kind,
        ", ".join(shapes),
        output,
        f"{row.parameters:,}",
        f"{row.flops:,}",
    ]


def _total(summary: ModelSummary) -> list[str]:
    return ["in all", "", "", "", f"{summary.parameters:,}", f"{summary.flops:,}"]


def _shape(lengths: Sequence[int]) -> str:
    return "x".join(map(str, lengths))
