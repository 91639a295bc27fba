"""Results of ``segue evaluate`` and ``segue compare`` as tables, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from segue.cli.console import fitting_tables, markdown_table, percent, print_json, stdout

if TYPE_CHECKING:
    from segue.evaluation import Comparison, Estimate, Evaluation, Result

DEFAULT_K = 10
"""The cut-off in the table unless --ks is given; JSON and Markdown have all cut-offs."""

TWO_LINES, ONE_LINE = "{:.4f}\n{:.4f}-{:.4f}", "{:.4f} ({:.4f}-{:.4f})"
"""Formats of a mean with its confidence interval."""

BEYOND_ACCURACY = ("diversity", "novelty", "serendipity", "popularity", "coverage", "gini")


def print_evaluation(evaluation: Evaluation, ks: Sequence[int] | None, as_json: bool) -> None:
    """Print one table per task, then the notes and the protocol.

    Args:
        ks: cut-offs that the tables show; by default 10, or the largest if 10 was not computed.
    """
    if as_json:
        print_json(evaluation.to_dict())
        return
    console = stdout()
    for task_results in _by_task(evaluation):
        console.print(_title(evaluation, task_results), style="bold", soft_wrap=True)
        metrics = _shown_metrics(task_results[0], ks)
        columns, rows, n_labels = _cells(task_results, metrics, TWO_LINES)
        for table in fitting_tables(columns, rows, n_labels=n_labels, width=console.width):
            console.print(table, crop=False)
            console.print()
    for note in _notes(evaluation):
        console.print(note, soft_wrap=True)
    console.print("\n".join(_protocol(evaluation)), style="dim", soft_wrap=True)


def print_markdown(evaluation: Evaluation) -> None:
    """Print all metrics as GitHub's Markdown: the protocol, then one table per cut-off.

    Each row is a model. Metrics without a cut-off are in the first table of a task.
    """
    blocks = list(_protocol(evaluation))
    for task_results in _by_task(evaluation):
        blocks.append(f"**{_title(evaluation, task_results)}**")
        for metrics in _metrics_by_cutoff(task_results[0]):
            columns, rows, n_labels = _cells(task_results, metrics, ONE_LINE)
            blocks.append(markdown_table(columns, rows, n_labels=n_labels))
    blocks += [f"- {note}" for note in _notes(evaluation)]
    stdout().print("\n\n".join(blocks), soft_wrap=True)


def print_comparison(comparison: Comparison, as_json: bool) -> None:
    """Print the differences between two models, one row per task."""
    if as_json:
        print_json(comparison.to_dict())
        return
    rows = [
        [
            f"{difference.task} {difference.given or ''}",
            *(f"{mean:.4f}" for mean in difference.means),
            f"{difference.difference:+.4f}",
            f"{difference.ci95[0]:+.4f} to {difference.ci95[1]:+.4f}",
            f"{difference.p_value:.4f}",
            f"{difference.n_sequences:,}",
        ]
        for difference in comparison.differences
    ]
    columns = (
        comparison.metric,
        *comparison.models,
        "difference",
        "95 % interval",
        "p",
        "sequences",
    )
    console = stdout()
    for table in fitting_tables(columns, rows, n_labels=1, width=console.width):
        console.print(table, crop=False)


def _by_task(evaluation: Evaluation) -> list[list[Result]]:
    results = evaluation.results
    tasks = dict.fromkeys(result.task for result in results)
    return [[result for result in results if result.task == task] for task in tasks]


def _title(evaluation: Evaluation, task_results: list[Result]) -> str:
    return f"{task_results[0].task}, {evaluation.part} part of {evaluation.dataset['name']}"


def _notes(evaluation: Evaluation) -> list[str]:
    """The notes on each model without duplicates."""
    notes = (f"{result.model}: {note}" for result in evaluation.results for note in result.notes)
    return list(dict.fromkeys(notes))


def _cells(
    task_results: list[Result], metrics: Sequence[str], interval_format: str
) -> tuple[list[str], list[list[str]], int]:
    """Columns, rows, and the number of label columns of the table of a task.

    Rows are ordered by the given events of a continuation, then by model.
    """
    given_kinds = list(dict.fromkeys(result.given for result in task_results))
    labels = ["model", *(["given"] if given_kinds != [None] else [])]
    rows = [
        [
            result.model,
            *([given] if given else []),
            *(_cell(result.metrics.get(name), interval_format) for name in metrics),
            f"{result.n:,}",
        ]
        for given in given_kinds
        for result in task_results
        if result.given == given
    ]
    return [*labels, *metrics, "n"], rows, len(labels)


def _shown_metrics(result: Result, ks: Sequence[int] | None) -> list[str]:
    """The main metrics of a task, and the beyond-accuracy metrics if they were computed."""
    if result.task == "continuation":
        shown = [
            name for name in result.metrics if name.startswith(("r_precision", "ndcg@", "clicks"))
        ]
    else:
        cutoffs = _shown_cutoffs(result, "hr", ks)
        shown = [f"{name}@{k}" for k in cutoffs for name in ("hr", "ndcg")] + ["mrr"]
    beyond_accuracy = (
        f"{name}@{k}" for k in _shown_cutoffs(result, "gini", ks) for name in BEYOND_ACCURACY
    )
    return shown + [name for name in beyond_accuracy if name in result.metrics]


def _shown_cutoffs(result: Result, metric: str, ks: Sequence[int] | None) -> list[int]:
    """The cut-offs ``ks`` of a metric; by default 10, or the largest if 10 was not computed."""
    names = [name for name in result.metrics if name.startswith(f"{metric}@")]
    computed = sorted(_cutoff(name) for name in names)
    if ks:
        return [k for k in ks if k in computed]
    return [DEFAULT_K] if DEFAULT_K in computed else computed[-1:]


def _metrics_by_cutoff(result: Result) -> list[list[str]]:
    """All metrics, grouped by cut-off; those without a cut-off are in the first group."""
    cutoffs = [_cutoff(name) for name in result.metrics]
    first = next(filter(None, cutoffs))
    groups: dict[int, list[str]] = {}
    for name, k in zip(result.metrics, cutoffs, strict=True):
        groups.setdefault(k or first, []).append(name)
    return list(groups.values())


def _cutoff(metric: str) -> int:
    """K of ``name@K``; 0 for a metric without a cut-off."""
    return int(metric.partition("@")[2] or 0)


def _cell(estimate: Estimate | None, interval_format: str) -> str:
    """A mean, with its confidence interval if it has one."""
    if estimate is None:
        return ""
    if estimate.ci95 is None:
        return f"{estimate.mean:.4f}"
    return interval_format.format(estimate.mean, *estimate.ci95)


def _protocol(evaluation: Evaluation) -> list[str]:
    """The protocol and the targets in one paragraph, and a warning as another.

    With several tasks, the targets of each task are a paragraph of their own.
    """
    protocol = evaluation.protocol
    targets = {
        task_results[0].task: _targets(task_results, protocol["unknown_targets"])
        for task_results in _by_task(evaluation)
    }
    choices = [
        f"split {protocol['split']}",
        f"catalogue {protocol['catalogue']} ({protocol['candidates']:,} candidates)",
        f"seen {protocol['seen']}",
        f"fit {protocol['fit'] or 'unknown'}",
    ]
    if protocol["max_sequences"]:
        sample = f"at most {protocol['max_sequences']:,} sequences, drawn with seed"
        choices.append(f"{sample} {protocol['seed']}")
    if "similarity" in protocol:
        choices.append(f"diversity by {protocol['similarity']}")
    if len(targets) == 1:
        paragraphs = ["; ".join([*choices, *targets.values()])]
    else:
        paragraphs = ["; ".join(choices), *(f"{task}: {text}" for task, text in targets.items())]
    return [*paragraphs, *([protocol["warning"]] if "warning" in protocol else [])]


def _targets(task_results: list[Result], unknown_targets: str) -> str:
    """Numbers of targets and sequences of a task, unknown targets, and the ceiling.

    Where they differ between the results of the task, their range is given.

    Args:
        unknown_targets: ``miss`` or ``drop``.
    """
    statistics = [result.target_statistics for result in task_results]
    n = _range([result.n for result in task_results], "{:,}".format)
    sequences = _range([result.n_sequences for result in task_results], "{:,}".format)
    counts = f"n {n} of {sequences} sequences" if n != sequences else f"n {n} sequences"
    unknown = _range([target.unknown_targets for target in statistics], "{:,}".format)
    ceiling = _range([target.ceiling for target in statistics], percent)
    return f"{counts}; unknown targets {unknown_targets} ({unknown}); ceiling {ceiling}"


def _range(values: Sequence[int | float], format_value: Callable[..., str]) -> str:
    """``3`` if all values are equal, else ``3 to 8``."""
    ends = dict.fromkeys((format_value(min(values)), format_value(max(values))))
    return " to ".join(ends)
