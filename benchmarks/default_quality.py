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
from tempfile import TemporaryDirectory
from typing import Any

from segue.dataset import Dataset
from segue.evaluation import Evaluation, compare, evaluate, tune
from segue.preparation import prepare
from segue.recommender import Recommender, Run
from segue.trainer import train

BASELINES = ("popularity", "co-occurrence", "item-knn", "ease", "tale", "puresvd")
METRICS = ("ndcg@10", "hr@10", "r_precision", "ndcg@500")
"""Those that are reported, of either task."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("dataset", nargs="?", help="a prepared dataset; else the built-in world")
    parser.add_argument("runs", type=Path, nargs="*", help="none trains one within 90 core-seconds")
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--baselines", default=",".join(BASELINES), help="separated by commas")
    parser.add_argument(
        "--no-sequence-features", action="store_true", help="withhold users and other features"
    )
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        if given.dataset:
            data = Dataset.open(given.dataset)
        else:
            data = prepare(None, Path(folder) / "data", format="demo")
        runs = given.runs or [train(data, Path(folder) / "run", budget="90s").path]
        result = measure(
            data,
            runs,
            given.part,
            given.baselines.split(","),
            use_sequence_features=not given.no_sequence_features,
        )
    report(result)


def measure(
    data: Dataset,
    runs: Sequence[Path],
    part: Any,
    names: Sequence[str],
    *,
    use_sequence_features: bool = True,
) -> dict[str, Any]:
    """Evaluate runs, their members and the tuned baselines: the content of the JSON line."""
    is_continuation = data.split_rule.whole_sequences
    tuning_metric = "r_precision" if is_continuation else "ndcg@10"
    tuned = [tune(name, data, metric=tuning_metric) for name in names]
    to_beat = max(tuned, key=lambda result: result.value).ranker.name
    results = evaluate(
        [*map(Recommender.load, runs), *(result.ranker for result in tuned)],
        data,
        part=part,
        task="continuation" if is_continuation else "next-item",
        baselines=None,
        members=any(Run.open(run).ensemble for run in runs),
        use_sequence_features=use_sequence_features,
    )
    models = dict.fromkeys(result.model for result in results.results)
    measured = results.results[0].per_sequence.sums
    metrics = [name for name in METRICS if name in measured]
    differences = [
        line.to_dict() | {"metric": metric, "models": [to_beat, run.name]}
        for run in runs
        for metric in metrics
        for line in compare(results, metric=metric, models=(to_beat, run.name)).differences
    ]
    return {
        "dataset": data.name,
        "part": part,
        "best_on_validation": to_beat,
        "tuned": {result.ranker.name: result.params for result in tuned},
        "rows": [_row(results, model, metrics) for model in models],
        "differences": differences,
        "runs": [_card(run) for run in runs],
    }


def report(result: dict[str, Any]) -> None:
    """Print the table, the differences and the JSON line."""
    print(f"best on validation: {result['best_on_validation']}")
    for row in result["rows"]:
        cells = [f"{metric} {_cell(values)}" for metric, values in row["metrics"].items()]
        print("  ".join([f"{row['model']:32}", *cells]))
    for line in result["differences"]:
        low, high = line["ci95"]
        share = line["difference"] / max(line["means"][0], 1e-12)
        print(
            f"{line['models'][1]} - {line['models'][0]}, {line['metric']} {line['given'] or ''}: "
            f"{line['difference']:+.4f} ({low:+.4f} to {high:+.4f}), p {line['p_value']:.4f}, "
            f"{share:+.1%}"
        )
    print(json.dumps(result))


def _row(results: Evaluation, model: str, metrics: Sequence[str]) -> dict[str, Any]:
    """The metrics of a model: mean and interval, or the mean over all numbers of given events."""
    of_model = [result for result in results.results if result.model == model]
    values = {}
    for metric in metrics:
        total = sum(float(result.per_sequence.sums[metric].sum()) for result in of_model)
        interval = of_model[0].metrics[metric].ci95 if len(of_model) == 1 else None
        values[metric] = [total / sum(result.n for result in of_model), *(interval or ())]
    return {"model": model, "metrics": values}


def _cell(values: list[float]) -> str:
    interval = f" ({values[1]:.4f} to {values[2]:.4f})" if len(values) == 3 else ""
    return f"{values[0]:.4f}{interval}"


def _card(run: Path) -> dict[str, Any]:
    card = Run.open(run).card
    kept = ("seed", "steps", "epochs", "seconds", "core_seconds", "ensemble", "machine")
    return {"run": run.name} | {key: card[key] for key in kept}


if __name__ == "__main__":
    main()
