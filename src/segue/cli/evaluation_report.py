"""Evaluations and comparisons, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from segue.cli.console import print_json, results
from segue.cli.tables import percent, table
from segue.evaluation import Comparison, Estimate, Evaluation, Result

USUAL_K = 10
"""The cut-off in the table unless told otherwise; the JSON has them all."""


def print_evaluation(found: Evaluation, ks: Sequence[int] | None, as_json: bool) -> None:
    """Print the results as a table a task, with the protocol below.

    Args:
        ks: cut-offs that the table shows; 10, or the largest there is, when absent.
    """
    if as_json:
        print_json(found.to_json())
        return
    console = results()
    for task in dict.fromkeys(result.task for result in found.results):
        of_task = [result for result in found.results if result.task == task]
        console.print(f"{task}, {found.part} part of {found.dataset['name']}", style="bold")
        console.print(_table(of_task, _shown(of_task[0], ks)))
        console.print()
    for result in found.results:
        for note in result.notes:
            console.print(f"{result.model}: {note}", soft_wrap=True)
    console.print(_protocol(found), style="dim", soft_wrap=True)


def print_comparison(found: Comparison, as_json: bool) -> None:
    """Print the differences between two models."""
    if as_json:
        print_json(found.to_json())
        return
    first, second = found.models
    rows = [
        [
            f"{each.task} {each.given or ''}",
            *(f"{mean:.4f}" for mean in each.means),
            f"{each.difference:+.4f}",
            f"{each.ci95[0]:+.4f} to {each.ci95[1]:+.4f}",
            f"{each.p_value:.4f}",
            f"{each.n_sequences:,}",
        ]
        for each in found.differences
    ]
    columns = (found.metric, first, second, "difference", "95 % interval", "p", "sequences")
    results().print(table(columns, rows, left=(found.metric,)))


def _table(of_task: list[Result], metrics: Sequence[str]) -> Table:
    ways = list(dict.fromkeys(result.given for result in of_task))
    rows = []
    for way in ways:
        for result in (each for each in of_task if each.given == way):
            cells = [_cell(result.metrics.get(name)) for name in metrics]
            rows.append([result.model, *([way] if way else []), *cells, f"{result.n:,}"])
    columns = ("model", *(["given"] if ways != [None] else []), *metrics, "n")
    return table(columns, rows, left=("model", "given"))


def _shown(result: Result, ks: Sequence[int] | None) -> list[str]:
    """The metrics of a task that its table has room for."""
    if result.task == "continuation":
        return [
            name for name in result.metrics if name.startswith(("r_precision", "ndcg@", "clicks"))
        ]
    if not ks:
        measured = [int(name[3:]) for name in result.metrics if name.startswith("hr@")]
        ks = [USUAL_K if USUAL_K in measured else max(measured)]
    return [f"{name}@{k}" for k in ks for name in ("hr", "ndcg")] + ["mrr"]


def _cell(estimate: Estimate | None) -> str:
    """A mean, with its interval on a line below."""
    if estimate is None:
        return ""
    if estimate.ci95 is None:
        return f"{estimate.mean:.4f}"
    low, high = estimate.ci95
    return f"{estimate.mean:.4f}\n{low:.4f}-{high:.4f}"


def _protocol(found: Evaluation) -> str:
    """The protocol in a line, and what the targets allow."""
    protocol = found.protocol
    first = found.results[0]
    drawn = ", a seeded draw" if protocol["max_sequences"] else ""
    parts = [
        f"split {protocol['split']}",
        f"catalogue {protocol['catalogue']} ({protocol['candidates']:,} candidates)",
        f"seen {protocol['seen']}",
        f"unknown targets {protocol['unknown_targets']} ({first.tally.unknown_targets:,})",
        f"fit {protocol['fit'] or 'unknown'}",
        f"n {first.n:,} of {first.n_sequences:,} sequences{drawn}",
        f"ceiling {percent(first.tally.ceiling)}",
    ]
    warning = f"\n{protocol['warning']}" if "warning" in protocol else ""
    return "; ".join(parts) + warning
