"""Quality of default runs beside their members and tuned baselines, with paired tests.

    segue train DATASET -o RUN              # one per seed: --set seed=1
    python benchmarks/default_quality.py DATASET RUN [RUN ...] [--part test]

Each baseline is tuned on the validation part, and the one that is best there is the one to beat.
Runs, the members of each run alone, and all tuned baselines are then ranked on the part, and every
run is compared with the baseline to beat by a paired permutation test. Prints a table, then one
JSON line. For held-out sequences the task is the continuation: pooled over all numbers of given
events, and compared for each of them too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segue.dataset import Dataset
from segue.evaluation import Evaluation, compare, evaluate, tune
from segue.recommender import Recommender, Run

BASELINES = ("popularity", "co-occurrence", "item-knn", "ease", "tale", "puresvd")
NEXT_ITEM, CONTINUATION = ("ndcg@10", "hr@10"), ("r_precision", "ndcg")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--baselines", default=",".join(BASELINES), help="separated by commas")
    parser.add_argument(
        "--without-users",
        action="store_true",
        help="leave out the sequence features, so that no user is known",
    )
    given = parser.parse_args(arguments)
    data = Dataset.open(given.dataset)
    print(json.dumps(measure(data, given.runs, given.part, given.baselines.split(","), given)))


def measure(
    data: Dataset, runs: list[Path], part: Any, names: list[str], given: argparse.Namespace
) -> dict[str, Any]:
    """Evaluate everything, print the table, and return the content of the JSON line."""
    is_continuation = data.split_rule.whole_sequences
    task, metrics = ("continuation", CONTINUATION) if is_continuation else ("next-item", NEXT_ITEM)
    tuned = [
        tune(name, data, metric="r_precision" if is_continuation else "ndcg@10") for name in names
    ]
    to_beat = max(tuned, key=lambda result: result.value).ranker.name
    print(f"best on validation: {to_beat}")
    results = evaluate(
        [*map(Recommender.load, runs), *(result.ranker for result in tuned)],
        data,
        part=part,
        task=task,
        baselines=None,
        members=any(Run.open(run).ensemble for run in runs),
        use_sequence_features=not given.without_users,
    )
    rows = [
        _row(results, name, metrics) for name in dict.fromkeys(r.model for r in results.results)
    ]
    print(f"{'model':32}" + "".join(f"{metric:>34}" for metric in metrics))
    for row in rows:
        print(f"{row['model']:32}" + "".join(_cell(row[metric]) for metric in metrics))
    differences = [
        _difference(results, metric, to_beat, run.name) for run in runs for metric in metrics
    ]
    for run_differences in differences:
        for line in run_differences:
            print(
                f"{line['models'][1]} - {line['models'][0]}, {line['metric']}"
                f" {line['given'] or ''}: {line['difference']:+.4f} "
                f"({line['ci95'][0]:+.4f} to {line['ci95'][1]:+.4f}), p {line['p_value']:.4f}, "
                f"{100 * line['difference'] / line['means'][0]:+.1f} %"
            )
    return {
        "dataset": data.name,
        "part": part,
        "best_on_validation": to_beat,
        "tuned": {result.ranker.name: result.params for result in tuned},
        "rows": rows,
        "differences": [line for lines in differences for line in lines],
        "runs": [_card(run) for run in runs],
    }


def _row(results: Evaluation, model: str, metrics: tuple[str, ...]) -> dict[str, Any]:
    """The metrics of a model; for several numbers of given events their pooled means."""
    of_model = [result for result in results.results if result.model == model]
    if len(of_model) == 1:
        estimates = of_model[0].metrics
        return {"model": model} | {
            metric: [estimates[metric].mean, *(estimates[metric].ci95 or ())] for metric in metrics
        }
    row: dict[str, Any] = {"model": model}
    for metric in metrics:
        key = next(name for name in of_model[0].per_sequence.sums if name.startswith(metric))
        counts = sum(result.per_sequence.counts.sum() for result in of_model)
        sums = sum(result.per_sequence.sums[key].sum() for result in of_model)
        row[metric] = [float(sums / counts)]
    return row


def _difference(results: Evaluation, metric: str, baseline: str, run: str) -> list[dict[str, Any]]:
    key = next(name for name in results.results[0].per_sequence.sums if name.startswith(metric))
    comparison = compare(results, metric=key, models=(baseline, run))
    return [
        line.to_dict() | {"metric": key, "models": [baseline, run]}
        for line in comparison.differences
    ]


def _cell(values: list[float]) -> str:
    interval = f" ({values[1]:.4f} to {values[2]:.4f})" if len(values) == 3 else ""
    return f"{values[0]:.4f}{interval}".rjust(34)


def _card(run: Path) -> dict[str, Any]:
    card = Run.open(run).card
    kept = ("seed", "steps", "epochs", "seconds", "core_seconds", "ensemble", "machine")
    return {"run": run.name} | {key: card[key] for key in kept}


if __name__ == "__main__":
    main()
