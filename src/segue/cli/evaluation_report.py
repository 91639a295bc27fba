"""Evaluations and comparisons, for people and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segue.cli.console import print_json, results
from segue.cli.tables import fitting, markdown, percent
from segue.evaluation import Comparison, Estimate, Evaluation, Result

USUAL_K = 10
"""The cut-off in the table unless told otherwise; JSON and Markdown have them all."""

TWO_LINES, ONE_LINE = "{:.4f}\n{:.4f}-{:.4f}", "{:.4f} ({:.4f}-{:.4f})"
"""Forms of a mean with its interval."""

BEHAVIOUR = ("diversity", "novelty", "serendipity", "popularity", "coverage", "gini")


def print_evaluation(found: Evaluation, ks: Sequence[int] | None, as_json: bool) -> None:
    """Print the results as a table a task, with the protocol below.

    Args:
        ks: cut-offs that the table shows; 10, or the largest there is, when absent.
    """
    if as_json:
        print_json(found.to_json())
        return
    console = results()
    for of_task in _by_task(found):
        console.print(_title(found, of_task), style="bold", soft_wrap=True)
        columns, rows, labels = _cells(of_task, _shown(of_task[0], ks), TWO_LINES)
        for part in fitting(columns, rows, labels=labels, width=console.width):
            console.print(part, crop=False)
            console.print()
    for note in _notes(found):
        console.print(note, soft_wrap=True)
    console.print("\n".join(_protocol(found)), style="dim", soft_wrap=True)


def print_markdown(found: Evaluation) -> None:
    """Print every metric as GitHub's Markdown: the protocol, then a table a cut-off.

    A row is a model; the metrics without a cut-off stand in a task's first table.
    """
    console = results()
    blocks = list(_protocol(found))
    for of_task in _by_task(found):
        blocks.append(f"**{_title(found, of_task)}**")
        for names in _by_cutoff(of_task[0]):
            columns, rows, labels = _cells(of_task, names, ONE_LINE)
            blocks.append(markdown(columns, rows, labels=labels))
    blocks += [f"- {note}" for note in _notes(found)]
    console.print("\n\n".join(blocks), soft_wrap=True)


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
    console = results()
    for part in fitting(columns, rows, labels=1, width=console.width):
        console.print(part, crop=False)


def _by_task(found: Evaluation) -> list[list[Result]]:
    tasks = dict.fromkeys(result.task for result in found.results)
    return [[result for result in found.results if result.task == task] for task in tasks]


def _title(found: Evaluation, of_task: list[Result]) -> str:
    return f"{of_task[0].task}, {found.part} part of {found.dataset['name']}"


def _notes(found: Evaluation) -> list[str]:
    """What is said of a model, once, however many results say it."""
    said = (f"{result.model}: {note}" for result in found.results for note in result.notes)
    return list(dict.fromkeys(said))


def _cells(
    of_task: list[Result], metrics: Sequence[str], form: str
) -> tuple[list[str], list[list[str]], int]:
    """Columns, rows by way of giving and then model, and how many columns are labels.

    Args:
        form: of a mean with its interval.
    """
    ways = list(dict.fromkeys(result.given for result in of_task))
    labels = ["model", *(["given"] if ways != [None] else [])]
    rows = [
        [
            result.model,
            *([way] if way else []),
            *(_cell(result.metrics.get(name), form) for name in metrics),
            f"{result.n:,}",
        ]
        for way in ways
        for result in of_task
        if result.given == way
    ]
    return [*labels, *metrics, "n"], rows, len(labels)


def _shown(result: Result, ks: Sequence[int] | None) -> list[str]:
    """The metrics of a task that a person looks at first, and behaviour if it was asked for."""
    if result.task == "continuation":
        shown = [
            name for name in result.metrics if name.startswith(("r_precision", "ndcg@", "clicks"))
        ]
    else:
        cuts = _shown_cutoffs(result, "hr", ks)
        shown = [f"{name}@{k}" for k in cuts for name in ("hr", "ndcg")] + ["mrr"]
    behaviour = (f"{name}@{k}" for k in _shown_cutoffs(result, "gini", ks) for name in BEHAVIOUR)
    return shown + [name for name in behaviour if name in result.metrics]


def _shown_cutoffs(result: Result, metric: str, ks: Sequence[int] | None) -> list[int]:
    """The cut-offs of a metric that were asked for, else the usual one or the largest."""
    names = [name for name in result.metrics if name.startswith(f"{metric}@")]
    measured = sorted(_cutoff(name) for name in names)
    if ks:
        return [k for k in ks if k in measured]
    return [USUAL_K] if USUAL_K in measured else measured[-1:]


def _by_cutoff(result: Result) -> list[list[str]]:
    """All metrics in groups of one cut-off; those without one are in the first."""
    cutoffs = [_cutoff(name) for name in result.metrics]
    first = next(filter(None, cutoffs))
    groups: dict[int, list[str]] = {}
    for name, k in zip(result.metrics, cutoffs, strict=True):
        groups.setdefault(k or first, []).append(name)
    return list(groups.values())


def _cutoff(metric: str) -> int:
    """K of ``name@K``, 0 of a metric without one."""
    return int(metric.partition("@")[2] or 0)


def _cell(estimate: Estimate | None, form: str) -> str:
    """A mean with its interval, where it has one."""
    if estimate is None:
        return ""
    if estimate.ci95 is None:
        return f"{estimate.mean:.4f}"
    return form.format(estimate.mean, *estimate.ci95)


def _protocol(found: Evaluation) -> list[str]:
    """The protocol and what the targets allow as one paragraph; a warning as another.

    Several tasks have targets of their own: what these allow is a paragraph a task.
    """
    protocol = found.protocol
    tasks = {
        of_task[0].task: _allowed(of_task, protocol["unknown_targets"])
        for of_task in _by_task(found)
    }
    parts = [
        f"split {protocol['split']}",
        f"catalogue {protocol['catalogue']} ({protocol['candidates']:,} candidates)",
        f"seen {protocol['seen']}",
        f"fit {protocol['fit'] or 'unknown'}",
    ]
    if protocol["max_sequences"]:
        drawn = f"at most {protocol['max_sequences']:,} sequences, drawn with seed"
        parts.append(f"{drawn} {protocol['seed']}")
    if "similarity" in protocol:
        parts.append(f"diversity by {protocol['similarity']}")
    if len(tasks) == 1:
        own = ["; ".join([*parts, *tasks.values()])]
    else:
        own = ["; ".join(parts), *(f"{task}: {allowed}" for task, allowed in tasks.items())]
    return [*own, *([protocol["warning"]] if "warning" in protocol else [])]


def _allowed(of_task: list[Result], unknown_targets: str) -> str:
    """What the targets of a task allow, whoever ranks; from least to most over ways of giving.

    Args:
        unknown_targets: what becomes of them.
    """
    tallies = [result.tally for result in of_task]
    n = _extent([result.n for result in of_task], "{:,}".format)
    sequences = _extent([result.n_sequences for result in of_task], "{:,}".format)
    asked = f"n {n} of {sequences} sequences" if n != sequences else f"n {n} sequences"
    unknown = _extent([tally.unknown_targets for tally in tallies], "{:,}".format)
    ceiling = _extent([tally.ceiling for tally in tallies], percent)
    return f"{asked}; unknown targets {unknown_targets} ({unknown}); ceiling {ceiling}"


def _extent(values: Sequence[int | float], shown: Callable[..., str]) -> str:
    """``3``, or ``3 to 8`` where values differ."""
    ends = dict.fromkeys((shown(min(values)), shown(max(values))))
    return " to ".join(ends)
