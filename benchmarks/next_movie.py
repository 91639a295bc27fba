"""Next movie on MovieLens-1M: what a published transformer reached, and what runs reach here.

The post "Transformers for Recommender Systems - Part 1" predicts a movie from the five before
it and the user. Its split is drawn anew each time the data are read, so that most of the
windows it scores were trained on; and its baseline compares movie ids with token numbers.
Scored here are windows of such a second draw ("as published"), windows really held out, and
each user's last movie ("without the leak"), with the baseline as published and put right.

    python benchmarks/next_movie.py ml-1m/ --work data/next-movie
    segue train data/next-movie/windows-0 -o runs/next-movie --preset next-movie
    segue train data/next-movie/leave-one-out -o runs/last-movie --preset next-movie
    python benchmarks/next_movie.py ml-1m/ --work data/next-movie \\
        --run next-movie=runs/next-movie --leave-one-out-run next-movie=runs/last-movie

Without a folder, that of MovieLens-1M in SEGUE_DATA. The baselines take three minutes
on 2 cores, a run half a minute more.
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
from jaxtyping import Int64
from rich.console import Console

from segue.axes import N_SPECIALS
from segue.baselines.popularity import Popularity
from segue.baselines.top_rated import WELL_KNOWN
from segue.cli.tables import markdown
from segue.config import EvaluationConfig, PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import TRAIN_TARGET, Dataset, prepare, targets
from segue.errors import RunError, SegueError
from segue.evaluation import Result, evaluate
from segue.recommender import Recommender
from segue.run_folder import RunFolder

SPLITS = {
    "windows-0": SplitConfig(kind="windows", seed=0, catalogue="all"),
    "windows-1": SplitConfig(kind="windows", seed=1, catalogue="all"),
    "leave-one-out": SplitConfig(kind="leave-one-out", catalogue="all"),
}
KS = (3, 5, 10)
METRICS = ("mrr", "map", "ndcg", "hr", "precision", "recall", "f1")
BEHAVIOUR = ("diversity", "novelty", "serendipity", "popularity", "coverage", "gini")

PUBLISHED_MODEL, PUBLISHED_BASELINE = "published model", "published baseline"
PUBLISHED: dict[str, dict[str, float]] = {
    PUBLISHED_MODEL: {
        "mrr@3": 0.0790383, "hr@3": 0.120252, "ndcg@3": 0.0895683,
        "mrr@5": 0.0915386, "hr@5": 0.175549, "ndcg@5": 0.112223,
        "mrr@10": 0.10491, "hr@10": 0.277059, "ndcg@10": 0.144872,
    },
    PUBLISHED_BASELINE: {
        "mrr@3": 0.000148018, "hr@3": 0.000183747, "ndcg@3": 0.000157374,
        "mrr@5": 0.000253162, "hr@5": 0.000622697, "ndcg@5": 0.000342393,
        "mrr@10": 0.000517913, "hr@10": 0.00278682, "ndcg@10": 0.00101894,
    },
}  # fmt: skip
"""The post's last table. What it calls MAP exceeds its MRR, which no average precision of a
single target can: it is the hit rate."""

AS_PUBLISHED = "top-rated as published"
BASELINES = ("top-rated", "popularity", "last-item", "co-occurrence")


class Question(NamedTuple):
    """What runs are asked.

    Attributes:
        asked: whose test targets, by a name of ``SPLITS``.
        trained: and what the runs were trained on.
        behaviour: whether how lists behave is measured too.
    """

    name: str
    asked: str
    trained: str
    behaviour: bool = False


QUESTIONS = (
    Question("as published", asked="windows-1", trained="windows-0"),
    Question("held out", asked="windows-0", trained="windows-0", behaviour=True),
    Question("without the leak", asked="leave-one-out", trained="leave-one-out"),
)


class Trained(NamedTuple):
    """A run by the name that tables give it."""

    name: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Trained:
        """``NAME=RUN`` of the command line."""
        name, sign, path = text.partition("=")
        if not (name and sign and path):
            raise argparse.ArgumentTypeError(f"got {text!r}, expected NAME=RUN")
        return cls(name, Path(path))


class Answered(NamedTuple):
    """What a question gave.

    Attributes:
        share: of the targets, those that the runs trained on.
        seen: what of the history was no candidate.
    """

    question: Question
    share: float
    seen: str
    results: list[Result]


def prepared(folder: Path, work: Path) -> dict[str, Dataset]:
    """The datasets by the names of ``SPLITS``; those that are in ``work`` are used again."""
    datasets = {}
    for name, split in SPLITS.items():
        if (work / name / "manifest.json").is_file():
            datasets[name] = Dataset.open(work / name)
        else:
            config = PrepareConfig(source=SourceConfig(format="movielens"), split=split)
            datasets[name] = prepare(folder, work / name, config)
    return datasets


def mistaken_for(ids: Sequence[str]) -> Int64[np.ndarray, " items"]:
    """The item that each id hits when it is taken for a token number.

    Token t is the t-th id in the order of numbers, from 0.

    Returns:
        places in ``ids``; -1 where the id is no token.
    """
    numbers = np.array([int(each) for each in ids])
    of_token = np.argsort(numbers)
    is_token = numbers < len(ids)
    return np.where(is_token, of_token[np.where(is_token, numbers, 0)], -1)


def top_rated_as_published(data: Dataset) -> Popularity:
    """The post's baseline with its mistake: movies of the head are recommended by their id,
    which hits whatever movie has that token number. It averages all ratings, test ones too.

    An id that is no token can hit nothing and leaves no gap here; none is among the first 15.
    """
    assert data.sequences.ratings is not None
    items, ratings = data.sequences.items, data.sequences.ratings
    counts = np.bincount(items, minlength=data.table_size)
    head = np.flatnonzero(counts >= np.quantile(counts[counts > 0], WELL_KNOWN))
    means = np.bincount(items, ratings, data.table_size)[head] / counts[head]
    hit = mistaken_for(data.items.ids)[head - N_SPECIALS]
    scores = np.zeros(data.table_size, np.float32)
    scores[N_SPECIALS + hit[hit >= 0]] = means[hit >= 0]
    return Popularity(AS_PUBLISHED, scores)


def ask(question: Question, datasets: dict[str, Dataset], runs: Sequence[Trained]) -> Answered:
    """Evaluate the runs that were trained for a question, and the baselines.

    Baselines are fitted on the training part of what is asked: they have no second draw.

    Raises:
        SegueError: a run is none, was trained on another dataset, or has another's name.
    """
    asked, trained = datasets[question.asked], datasets[question.trained]
    models = []
    for name, path in runs:
        model = Recommender.load(path)
        model.name = name
        if model.ranker(trained).data_fingerprint != trained.fingerprint:
            hint = f"train it on {trained.path}"
            raise RunError(f"{path} was trained on another dataset than {trained.name}", hint)
        models.append(model)
    rankers = [*models, top_rated_as_published(asked), *BASELINES]
    found = evaluate(rankers, asked, config=EvaluationConfig(ks=KS, behaviour=question.behaviour))
    return Answered(question, trained_on(trained, asked), found.protocol["seen"], found.results)


def trained_on(trained: Dataset, asked: Dataset) -> float:
    """The share of the test targets of one split that are training targets of another."""
    parts = trained.sequences.target_parts
    if parts is None:
        return 0.0
    found = targets(asked.sequences, asked.manifest.split, "test")
    events = asked.sequences.offsets[found.rows] + found.positions
    return float(np.mean(parts[events] == TRAIN_TARGET))


def table(answers: Sequence[Answered], k: int) -> str:
    """The metrics at a cut-off as Markdown."""
    columns = ("model", "asked", *(f"{metric}@{k}" for metric in METRICS), "n")
    return markdown(columns, metric_rows(answers, k), labels=2)


def metric_rows(answers: Sequence[Answered], k: int) -> Iterator[list[str]]:
    """A row a model and question, the rows of a model together, below what was published."""
    for name, figures in PUBLISHED.items():
        cells = [_figure(figures.get(f"{metric}@{k}")) for metric in METRICS]
        yield [name, QUESTIONS[0].name, *cells, ""]
    names = dict.fromkeys(result.model for answer in answers for result in answer.results)
    for name in names:
        for answer in answers:
            for result in answer.results:
                if result.model == name:
                    means = [result.metrics[f"{metric}@{k}"].mean for metric in METRICS]
                    yield [name, answer.question.name, *map(_figure, means), f"{result.n:,}"]


def behaviour_table(answers: Sequence[Answered], k: int) -> str:
    """How the lists of a cut-off behave, of every question that asked for it, as Markdown."""
    rows = [
        [result.model, answer.question.name]
        + [_figure(result.metrics[f"{metric}@{k}"].mean) for metric in BEHAVIOUR]
        for answer in answers
        if answer.question.behaviour
        for result in answer.results
    ]
    columns = ("model", "asked", *(f"{metric}@{k}" for metric in BEHAVIOUR))
    return markdown(columns, rows, labels=2)


def ratio_rows(results: Sequence[Result]) -> Iterator[list[str]]:
    """A row a published figure and counterpart: runs of the model, our copy of the baseline."""
    runs = [each for each in results if each.model not in (AS_PUBLISHED, *BASELINES)]
    copies = [each for each in results if each.model == AS_PUBLISHED]
    for name, counterparts in {PUBLISHED_MODEL: runs, PUBLISHED_BASELINE: copies}.items():
        for metric, published in PUBLISHED[name].items():
            for each in counterparts:
                ours = each.metrics[metric].mean
                ratio = f"{ours / published:.2f}"
                yield [name, metric, each.model, _figure(published), _figure(ours), ratio]


def report(answers: Sequence[Answered], runs: Sequence[dict[str, Any]]) -> str:
    """All tables as Markdown, below a line on each question and on each run."""
    lines = [
        f"- {question.name}: the test targets of {question.asked}, {share:.1%} of them training"
        f" targets of {question.trained}; seen {seen}"
        for question, share, seen, _ in answers
    ]
    for run in runs:
        best = "step {step:,}, validation {metric} {best:.4f}".format(**run["validation"])
        lines.append(f"- {run['name']}, trained on {run['dataset']}: weights of {best}")
    columns = ("published", "metric", "here", "published figure", "figure here", "ratio")
    ratios = markdown(columns, ratio_rows(answers[0].results), labels=3)
    tables = [of(answers, k) for of in (table, behaviour_table) for k in KS]
    return "\n\n".join(["\n".join(lines), *tables, ratios])


def describe(run: Trained) -> dict[str, Any]:
    """What a run's card says of the weights that were evaluated."""
    card = RunFolder(run.path).verify()
    told = ("validation", "seconds", "seed", "parameters", "machine")
    names = {"name": run.name, "dataset": card["dataset"]["name"]}
    return names | {key: card[key] for key in told}


def to_json(answer: Answered) -> dict[str, Any]:
    """Plain values, with the intervals that the tables leave out."""
    values = answer.question._asdict() | {"trained_on": answer.share, "seen": answer.seen}
    return values | {"results": [result.to_json() for result in answer.results]}


def _figure(value: float | None) -> str:
    """Four places, or six where those would leave hardly a digit."""
    if value is None:
        return ""
    return f"{value:.4f}" if value >= 0.01 else f"{value:.6f}"


def movielens_of_the_environment() -> Path | None:
    """The release under SEGUE_DATA, if it is there."""
    root = os.environ.get("SEGUE_DATA")
    folder = Path(root, "ml-1m") if root else None
    return folder if folder is not None and folder.is_dir() else None


def compare(options: argparse.Namespace, folder: Path) -> tuple[list[Answered], list[Any]]:
    """Ask every question of the baselines and of the runs given for it; and what those are."""
    windows, last = options.run, options.leave_one_out_run
    with tempfile.TemporaryDirectory() as passing:
        datasets = prepared(folder, options.work or Path(passing))
        runs = (windows, windows, last)
        pairs = zip(QUESTIONS, runs, strict=True)
        answers = [ask(question, datasets, own) for question, own in pairs]
    return answers, [describe(run) for run in (*windows, *last)]


def main() -> None:
    """Evaluate, print the tables, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Next movie, against what was published.")
    parser.add_argument("folder", type=Path, nargs="?", help="MovieLens-1M as it unpacks")
    parser.add_argument("--work", type=Path, help="where prepared datasets are kept")
    for option, of in (("--run", "windows-0"), ("--leave-one-out-run", "leave-one-out")):
        about = {"type": Trained.parse, "action": "append", "default": [], "metavar": "NAME=RUN"}
        parser.add_argument(option, **about, help=f"trained on {of}; may be given several times")
    options = parser.parse_args()
    console = Console()
    folder = options.folder or movielens_of_the_environment()
    answers, runs = [], []
    if folder is None:
        console.print("No MovieLens-1M: name its folder, or set SEGUE_DATA.")
    else:
        try:
            answers, runs = compare(options, folder)
        except SegueError as error:
            parser.error(str(error))
        console.out(report(answers, runs), highlight=False)
    questions = [to_json(answer) for answer in answers]
    found = {"benchmark": "next_movie", "runs": runs, "questions": questions}
    console.out(json.dumps(found), highlight=False)


if __name__ == "__main__":
    main()
