"""Next movie on MovieLens-1M: Segue's runs and baselines beside a published transformer.

The system is next-movie (Recformers), from the blog post "Transformers for Recommender Systems -
Part 1". It predicts a movie from the five movies before it and the user. Its split is drawn again
whenever the data are read, so most of the windows that it is scored on were trained on. And its
baseline compares movie ids with token numbers.

Three sets of targets are scored: windows of such a second draw ("as published"), windows that were
held out of training ("held out"), and the last movie of each user ("without the leak"). The
baseline is scored as published and corrected.

    python benchmarks/next_movie.py ml-1m/ --work data/next-movie
    segue train data/next-movie/windows-0 -o runs/next-movie --preset next-movie
    segue train data/next-movie/leave-one-out -o runs/last-movie --preset next-movie
    python benchmarks/next_movie.py ml-1m/ --work data/next-movie \\
        --run next-movie=runs/next-movie --leave-one-out-run next-movie=runs/last-movie

Without a folder, the benchmark reads MovieLens-1M from SEGUE_DATA. The baselines take three
minutes on 2 cores, and each run half a minute more.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from published.recformers import (
    AS_PUBLISHED,
    PUBLISHED,
    PUBLISHED_BASELINE,
    PUBLISHED_MODEL,
    top_rated_as_published,
)
from rich.console import Console

from segue.cli.console import markdown_table
from segue.config import PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import TRAIN_TARGET, Dataset
from segue.errors import RunError, SegueError
from segue.evaluation import Result, evaluate
from segue.preparation import prepare
from segue.recommender import Recommender
from segue.runs import RunFolder

SPLITS = {
    "windows-0": SplitConfig(kind="windows", seed=0, catalogue="all"),
    "windows-1": SplitConfig(kind="windows", seed=1, catalogue="all"),
    "leave-one-out": SplitConfig(kind="leave-one-out", catalogue="all"),
}
KS = (3, 5, 10)
METRICS = ("mrr", "map", "ndcg", "hr", "precision", "recall", "f1")
BEYOND_ACCURACY = ("diversity", "novelty", "serendipity", "popularity", "coverage", "gini")
BASELINES = ("top-rated", "popularity", "last-item", "co-occurrence")


class TargetSet(NamedTuple):
    """A set of targets that runs and baselines are evaluated on.

    Attributes:
        name: name in the tables.
        test_dataset: the dataset whose test targets are predicted, by its name in ``SPLITS``.
        training_dataset: the dataset that the runs were trained on, by its name in ``SPLITS``.
        beyond_accuracy: whether beyond-accuracy metrics are computed too.
    """

    name: str
    test_dataset: str
    training_dataset: str
    beyond_accuracy: bool = False


TARGET_SETS = (
    TargetSet("as published", test_dataset="windows-1", training_dataset="windows-0"),
    TargetSet(
        "held out", test_dataset="windows-0", training_dataset="windows-0", beyond_accuracy=True
    ),
    TargetSet("without the leak", test_dataset="leave-one-out", training_dataset="leave-one-out"),
)


class NamedRun(NamedTuple):
    """A run folder with its name in the tables."""

    name: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> NamedRun:
        """Parse ``NAME=RUN`` from the command line."""
        name, sign, path = text.partition("=")
        if not (name and sign and path):
            raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME=RUN")
        return cls(name, Path(path))


class TargetSetResults(NamedTuple):
    """The results on one set of targets.

    Attributes:
        target_set: the set of targets.
        trained_share: the share of the targets that the runs were trained on.
        seen: which part of the history was excluded, as the protocol of the evaluation gives it.
        results: one per run and baseline.
    """

    target_set: TargetSet
    trained_share: float
    seen: str
    results: list[Result]


def prepare_datasets(folder: Path, work: Path) -> dict[str, Dataset]:
    """Prepare one dataset per split of ``SPLITS``, or open it if it is already in ``work``."""
    datasets = {}
    for name, split in SPLITS.items():
        if (work / name / "manifest.json").is_file():
            datasets[name] = Dataset.open(work / name)
        else:
            config = PrepareConfig(source=SourceConfig(format="movielens"), split=split)
            datasets[name] = prepare(folder, work / name, config=config)
    return datasets


def evaluate_on(
    target_set: TargetSet, datasets: dict[str, Dataset], runs: Sequence[NamedRun]
) -> TargetSetResults:
    """Evaluate runs and baselines on a set of targets.

    Baselines are fitted on the training part of the test dataset itself, so the leak between two
    draws does not affect them.

    Args:
        target_set: the set of targets.
        datasets: prepared datasets by their name in ``SPLITS``.
        runs: runs that were trained on the training dataset of the set.

    Raises:
        SegueError: a folder is not a run, a run was trained on another dataset, or two runs have
            the same name.
    """
    test, training = datasets[target_set.test_dataset], datasets[target_set.training_dataset]
    models = []
    for name, path in runs:
        model = Recommender.load(path)
        model.name = name
        if model.ranker(training).data_fingerprint != training.fingerprint:
            hint = f"train it on {training.path}"
            raise RunError(f"{path} was trained on another dataset than {training.name}", hint)
        models.append(model)
    rankers = [*models, top_rated_as_published(test), *BASELINES]
    evaluation = evaluate(
        rankers, test, baselines=None, ks=KS, beyond_accuracy=target_set.beyond_accuracy
    )
    trained_share = share_of_training_targets(training, test)
    return TargetSetResults(
        target_set, trained_share, evaluation.protocol["seen"], evaluation.results
    )


def share_of_training_targets(training: Dataset, test: Dataset) -> float:
    """The share of the test targets of one dataset that are training targets of another."""
    parts = training.sequences.target_parts
    if parts is None:
        return 0.0
    targets = test.targets("test")
    events = test.sequences.offsets[targets.rows] + targets.positions
    return float(np.mean(parts[events] == TRAIN_TARGET))


def accuracy_table(results: Sequence[TargetSetResults], k: int) -> str:
    """The accuracy metrics at a cut-off, as Markdown."""
    columns = ("model", "targets", *(f"{metric}@{k}" for metric in METRICS), "n")
    return markdown_table(columns, accuracy_rows(results, k), n_labels=2)


def accuracy_rows(results: Sequence[TargetSetResults], k: int) -> Iterator[list[str]]:
    """The published rows, then one row per model and set of targets, grouped by model."""
    for name, figures in PUBLISHED.items():
        cells = [_figure(figures.get(f"{metric}@{k}")) for metric in METRICS]
        yield [name, TARGET_SETS[0].name, *cells, ""]
    names = dict.fromkeys(result.model for of_set in results for result in of_set.results)
    for name in names:
        for of_set in results:
            for result in of_set.results:
                if result.model == name:
                    means = [result.metrics[f"{metric}@{k}"].mean for metric in METRICS]
                    yield [name, of_set.target_set.name, *map(_figure, means), f"{result.n:,}"]


def beyond_accuracy_table(results: Sequence[TargetSetResults], k: int) -> str:
    """The beyond-accuracy metrics at a cut-off, where they were computed, as Markdown."""
    rows = [
        [result.model, of_set.target_set.name]
        + [_figure(result.metrics[f"{metric}@{k}"].mean) for metric in BEYOND_ACCURACY]
        for of_set in results
        if of_set.target_set.beyond_accuracy
        for result in of_set.results
    ]
    columns = ("model", "targets", *(f"{metric}@{k}" for metric in BEYOND_ACCURACY))
    return markdown_table(columns, rows, n_labels=2)


def ratio_rows(results: Sequence[Result]) -> Iterator[list[str]]:
    """Each published figure beside ours, and their ratio.

    The published model is compared with every run, the published baseline with our copy of it.
    """
    runs = [result for result in results if result.model not in (AS_PUBLISHED, *BASELINES)]
    copies = [result for result in results if result.model == AS_PUBLISHED]
    for name, counterparts in {PUBLISHED_MODEL: runs, PUBLISHED_BASELINE: copies}.items():
        for metric, published in PUBLISHED[name].items():
            for result in counterparts:
                ours = result.metrics[metric].mean
                ratio = f"{ours / published:.2f}"
                yield [name, metric, result.model, _figure(published), _figure(ours), ratio]


def report(results: Sequence[TargetSetResults], runs: Sequence[dict[str, Any]]) -> str:
    """One line per set of targets and per run, then all tables, as Markdown.

    Args:
        results: the published set of targets first.
        runs: descriptions of the runs.
    """
    lines = [
        f"- {target_set.name}: the test targets of {target_set.test_dataset}, {share:.1%} of them"
        f" training targets of {target_set.training_dataset}; seen {seen}"
        for target_set, share, seen, _ in results
    ]
    for run in runs:
        best = "step {step:,}, validation {metric} {best:.4f}".format(**run["validation"])
        lines.append(f"- {run['name']}, trained on {run['dataset']}: weights of {best}")
    columns = ("published", "metric", "here", "published figure", "figure here", "ratio")
    ratios = markdown_table(columns, ratio_rows(results[0].results), n_labels=3)
    tables = [table(results, k) for table in (accuracy_table, beyond_accuracy_table) for k in KS]
    return "\n\n".join(["\n".join(lines), *tables, ratios])


def describe(run: NamedRun) -> dict[str, Any]:
    """The name and dataset of a run, and entries of its card on the evaluated weights."""
    card = RunFolder(run.path).verify()
    entries = ("validation", "seconds", "seed", "parameters", "machine")
    names = {"name": run.name, "dataset": card["dataset"]["name"]}
    return names | {key: card[key] for key in entries}


def to_dict(results: TargetSetResults) -> dict[str, Any]:
    """The results as plain values, with the confidence intervals that the tables leave out."""
    values = results.target_set._asdict()
    values |= {"trained_share": results.trained_share, "seen": results.seen}
    return values | {"results": [result.to_dict() for result in results.results]}


def _figure(value: float | None) -> str:
    """Four decimals, or six for values below .01; empty for None."""
    if value is None:
        return ""
    return f"{value:.4f}" if value >= 0.01 else f"{value:.6f}"


def movielens_in_environment() -> Path | None:
    """The folder of MovieLens-1M under SEGUE_DATA; None if there is none."""
    root = os.environ.get("SEGUE_DATA")
    folder = Path(root, "ml-1m") if root else None
    return folder if folder is not None and folder.is_dir() else None


def compare(
    options: argparse.Namespace, folder: Path
) -> tuple[list[TargetSetResults], list[dict[str, Any]]]:
    """Evaluate on every set of targets; returns the results and descriptions of the runs."""
    windows_runs, last_movie_runs = options.run, options.leave_one_out_run
    with tempfile.TemporaryDirectory() as temporary:
        datasets = prepare_datasets(folder, options.work or Path(temporary))
        runs_of_sets = (windows_runs, windows_runs, last_movie_runs)
        results = [
            evaluate_on(target_set, datasets, runs)
            for target_set, runs in zip(TARGET_SETS, runs_of_sets, strict=True)
        ]
    return results, [describe(run) for run in (*windows_runs, *last_movie_runs)]


def main() -> None:
    """Evaluate, print the tables, then one line of JSON."""
    parser = argparse.ArgumentParser(description="Next movie, compared with a published system.")
    parser.add_argument("folder", type=Path, nargs="?", help="folder of MovieLens-1M")
    parser.add_argument("--work", type=Path, help="folder of the prepared datasets")
    for option, dataset in (("--run", "windows-0"), ("--leave-one-out-run", "leave-one-out")):
        settings = {"type": NamedRun.parse, "action": "append", "default": []}
        help_text = f"a run trained on {dataset}; may be given several times"
        parser.add_argument(option, metavar="NAME=RUN", help=help_text, **settings)
    options = parser.parse_args()
    console = Console()
    folder = options.folder or movielens_in_environment()
    results, runs = [], []
    if folder is None:
        console.print("No MovieLens-1M: give its folder, or set SEGUE_DATA.")
    else:
        try:
            results, runs = compare(options, folder)
        except SegueError as error:
            parser.error(str(error))
        console.out(report(results, runs), highlight=False)
    target_sets = [to_dict(of_set) for of_set in results]
    record = {"benchmark": "next_movie", "runs": runs, "target_sets": target_sets}
    console.out(json.dumps(record), highlight=False)


if __name__ == "__main__":
    main()
