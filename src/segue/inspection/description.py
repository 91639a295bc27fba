"""A run described for people: sentences, curves, results with intervals, audit and graph."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import numpy as np

from segue.config import Config
from segue.dataset import Dataset
from segue.errors import RunError, SegueError
from segue.inspection.forward import trace_encoder
from segue.inspection.graph import build_graph, drawing_order, fold_repeats
from segue.recommender import Recommender
from segue.recommender.histories import RunHistories
from segue.runs import RunFolder
from segue.storage.reading import exists

MAX_POINTS = 300
"""Points of a curve; of more, each is the mean of some."""
CURVE_METRICS = 4
Z95 = 1.96
"""Standard deviations of a normal 95 % interval."""
ENDS = {"the budget is spent": ", until its budget was spent", "all steps taken": ", as planned"}
MEMBER_NAMES = {"second-transformer": "a second transformer"}


class Sentence(NamedTuple):
    """One thing to know about a model.

    Attributes:
        topic: what the sentence is about, in one or two words.
        text: the sentence.
    """

    topic: str
    text: str


class Score(NamedTuple):
    """The result of a model, a member of its ensemble, or a baseline.

    Attributes:
        name: what was measured.
        role: ``model`` for what is served, ``member`` for a part of it, or ``baseline``.
        mean: of the metric.
        low: lower end of the 95 % interval; None if none is known.
        high: its upper end.
    """

    name: str
    role: Literal["model", "member", "baseline"]
    mean: float
    low: float | None
    high: float | None


class Scores(NamedTuple):
    """Results by one metric, with the remark that a reader needs.

    Attributes:
        metric: the name of the metric, such as ``ndcg@10``.
        part: ``validation`` or ``test``.
        n: number of targets.
        remark: where the numbers and the intervals come from.
        scores: best first.
    """

    metric: str
    part: str
    n: int
    remark: str
    scores: list[Score]


def describe_card(model: Recommender, card: Mapping[str, Any], config: Config) -> list[Sentence]:
    """What a model is, in five sentences, each with its topic.

    Args:
        model: the loaded model.
        card: the card of its run.
        config: the configuration of its run.
    """
    shape = config.model
    members = [MEMBER_NAMES.get(member.name, member.name) for member in model.ensemble.members]
    blocks = f"{shape.layers} block" + ("s" if shape.layers != 1 else "")
    beside = f", with an ensemble of {_and(members)} beside it" if members else ""
    device = "core" if card["machine"]["cores"] == 1 else "cores"
    ended = ENDS.get(card["finished"], "")
    task = (
        f"It has learned what comes next among {len(model.item_ids):,} items from the dataset "
        f"{card['dataset']['name']}."
    )
    kind = (
        f"It is a transformer of {blocks}, {shape.width} wide, that reads the last "
        f"{shape.context} events and has {card['parameters']:,} parameters{beside}."
    )
    training = (
        f"It took {card['steps']:,} steps, or {card['epochs']:.3g} epochs, of training in "
        f"{_duration(card['seconds'])} on {card['machine']['cores']} {device}{ended}."
    )
    ensemble = _ensemble_sentence(card)
    return [
        Sentence("Task", task),
        Sentence("Kind", kind),
        Sentence("Training", training),
        Sentence("Validation", _validation_sentence(card)),
        Sentence("Ensemble", ensemble) if ensemble else Sentence("Input", _reads_sentence(model)),
    ]


def _validation_sentence(card: Mapping[str, Any]) -> str:
    best = card["validation"]
    if best["best"] is None:
        return "It was not validated during the training."
    results = card["results"].get("results") or [{}]
    hits = results[0].get("metrics", {}).get("hr@10", {}).get("mean")
    listed = "" if hits is None else f", and its first ten contain {_in_100(hits)} of 100 targets"
    name = _metric_name(best["metric"])
    return (
        f"The transformer alone reached {name} {best['best']:.3f} on validation at step "
        f"{best['step']:,}{listed}."
    )


def _ensemble_sentence(card: Mapping[str, Any]) -> str:
    ensemble = card["ensemble"]
    held_out = ensemble.get("held_out_ndcg@10", {})
    choice = ensemble.get("choice")
    if choice not in held_out:
        return ""
    text = f"The whole ensemble reached NDCG@10 {held_out[choice]:.3f} on held-out requests"
    calibration = ensemble.get("calibration")
    if calibration is None:
        return text + "."
    error = calibration["reliability"].get("top-1", {}).get("error")
    off = "" if error is None else f", and its probabilities are off by {100 * error:.1f} points"
    return f"{text}{off}."


def _reads_sentence(model: Recommender) -> str:
    names = list(model.ensemble.vocabulary.values)
    reads = f"and of a sequence {_and(names)}" if names else "and nothing else of a sequence"
    return f"It reads the items of a history {reads}."


def curves(folder: RunFolder) -> dict[str, Any]:
    """The training curves of a run: losses, the validation metric, and the learning rate.

    Returns:
        ``metric``, ``best`` (``step`` and ``value``, or None), and ``series``: a list of objects
        with ``panel``, ``name``, ``steps`` and ``values``. Values that were not finite are None.

    Raises:
        RunError: the run has logged nothing, or its log is damaged.
    """
    from segue.runs.metrics_log import LOSS, MetricsLog  # loads tensorboardX

    log = MetricsLog(folder)
    keys = [("loss", "training", "train", LOSS), ("loss", "validation", "validation", LOSS)]
    metrics = [name for name in log.metric_at_all_cutoffs() if name != LOSS][:CURVE_METRICS]
    if log.metric not in (*metrics, LOSS):
        metrics = [log.metric, *metrics[:-1]]
    keys += [("metric", name, "validation", name) for name in metrics]
    keys += [("learning rate", "learning rate", "train", "learning_rate")]
    series = []
    for panel, name, kind, key in keys:
        steps, values = log.series(kind, key)
        if len(steps):
            steps, values = _thinned(steps), _thinned(values)
            finite = [v if math.isfinite(v) else None for v in values.tolist()]
            series.append({"panel": panel, "name": name, "steps": steps.tolist(), "values": finite})
    best = log.best()
    return {
        "metric": log.metric,
        "best": None if best is None else {"step": best.step, "value": best.value},
        "series": series,
    }


def _thinned(values: np.ndarray) -> np.ndarray:
    """At most ``MAX_POINTS`` means of consecutive values."""
    size = math.ceil(len(values) / MAX_POINTS)
    starts = np.arange(0, len(values), size)
    return np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values)))


def scores(folder: RunFolder, card: Mapping[str, Any], model: Recommender) -> Scores | None:
    """The results of a run: those of ``evaluation.json`` if somebody kept one, or of the card.

    None if neither has any.
    """
    if exists(folder.evaluation):
        with suppress(RunError, KeyError, TypeError, ValueError, AttributeError):
            return _evaluated(folder.read_json(folder.evaluation), card, model)
    return _of_card(card)


def _evaluated(
    evaluation: dict[str, Any], card: Mapping[str, Any], model: Recommender
) -> Scores | None:
    """What ``segue evaluate --json`` printed. Its first result is the model."""
    next_item = [r for r in evaluation["results"] if r["task"] == "next-item"]
    results = next_item or evaluation["results"]
    metric = card["validation"]["metric"]
    if metric not in results[0]["metrics"]:
        metric = next(iter(results[0]["metrics"]))
    members = {member.name for member in model.ensemble.members}
    measured = []
    for number, result in enumerate(results):
        value = result["metrics"].get(metric)
        if value is None:
            continue
        low, high = value["ci95"] or (None, None)
        name = str(result["model"])
        is_member = name in members and name.startswith(results[0]["model"])
        role = "model" if number == 0 else "member" if is_member else "baseline"
        measured.append(Score(name, role, float(value["mean"]), low, high))
    remark = "from evaluation.json in the run; lines are 95 % bootstrap intervals"
    return Scores(metric, evaluation["part"], results[0]["n"], remark, _best_first(measured))


def _of_card(card: Mapping[str, Any]) -> Scores | None:
    """The members of the ensemble on held-out validation requests, or the transformer alone."""
    ensemble = card["ensemble"]
    held_out = ensemble.get("held_out_ndcg@10")
    if held_out:
        n = int(ensemble.get("requests", 0))
        chosen = ensemble.get("choice")
        measured = [
            Score(name, _role(name, chosen), mean, *_widest_interval(mean, n))
            for name, mean in held_out.items()
        ]
        remark = (
            "each half of the validation requests with weights fitted on the other half; a line "
            "is the widest 95 % interval that a metric between 0 and 1 with this mean can have"
        )
        return Scores("ndcg@10", "validation", n, remark, _best_first(measured))
    best = card["validation"]
    if best["best"] is None or not 0 <= best["best"] <= 1 or best["metric"] == "loss":
        return None
    n = int((card["results"].get("results") or [{"n": 0}])[0]["n"])
    measured = [Score("the transformer", "model", best["best"], *_widest_interval(best["best"], n))]
    remark = "a line is the widest 95 % interval that a metric between 0 and 1 can have"
    return Scores(best["metric"], "validation", n, remark, measured)


def _role(name: str, chosen: str | None) -> Literal["model", "member", "baseline"]:
    if name == chosen:
        return "model"
    return "baseline" if name == "popularity" else "member"


def _widest_interval(mean: float, n: int) -> tuple[float | None, float | None]:
    """A value between 0 and 1 has at most the variance ``mean * (1 - mean)``."""
    if n < 1 or not 0 <= mean <= 1:
        return None, None
    reach = Z95 * math.sqrt(mean * (1 - mean) / n)
    return max(0.0, mean - reach), min(1.0, mean + reach)


def _best_first(measured: list[Score]) -> list[Score]:
    return sorted(measured, key=lambda score: -score.mean)


def graph(model: Recommender) -> list[dict[str, Any]]:
    """The graph of the transformer: its nodes in drawing order, equal blocks once.

    Returns:
        Objects with ``name``, ``role``, ``kind``, ``output`` (shape for one sequence),
        ``parameters``, ``repeats`` (how many equal blocks the node stands for) and ``sources``
        (numbers of the nodes that it reads).
    """
    nodes, repeats = fold_repeats(build_graph(trace_encoder(model.encoder)))
    return [
        {
            "name": node.name,
            "role": node.role,
            "kind": node.kind,
            "output": list(node.output),
            "parameters": node.parameters,
            "repeats": repeats.get(node.block, 1),
            "is_in_block": bool(node.block),
            "sources": list(node.sources),
        }
        for node in drawing_order(nodes)
    ]


def audit(
    data: Dataset | None, model: Recommender, card: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The audit of the training dataset: from a copy, the histories of the run, or its own folder.

    None if there is none.

    Args:
        data: a dataset that may be the training dataset.
        model: the model.
        card: the card of its run.
    """
    histories = model.histories
    if data is None and isinstance(histories, RunHistories):
        with suppress(RunError):
            data = histories.dataset
    if data is None or data.fingerprint != card["dataset"]["fingerprint"]:
        try:
            data = model.dataset
        except SegueError:
            return None
    return {"dataset": data.name, "split": data.manifest.split.kind, **data.manifest.audit}


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _in_100(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.095 else f"{100 * share:.1f}"


def _metric_name(metric: str) -> str:
    return metric.upper() if metric != "loss" else "a loss of"
