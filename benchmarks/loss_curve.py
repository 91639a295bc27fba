"""Extrapolate a run's validation loss with a fitted power law.

    python benchmarks/loss_curve.py [RUN]... [--epochs 1000] [--measured FILE]

Fits ``a + b * step ** -c`` to the validation losses that a run has logged, and extrapolates the
loss to the end of a given epoch. The accuracy of such a prediction is measured on the run itself:
the law fitted to the first half of the points predicts the last point.

The first curve is synthetic, and its limit is known. FILE is JSON with metrics measured at some
epochs, ``{"epochs": [1, 2, 4], "metrics": {"ndcg@10": [.05, .08, .1]}}``. Metrics rise, so the law
is fitted to 1 minus the metric. There is one fit for each first point, to show how much the
extrapolation depends on the points used.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize_scalar, nnls

from segue.errors import SegueError
from segue.runs import RunFolder
from segue.runs.metrics_log import MetricsLog

Values = Float64[np.ndarray, " points"]

EXPONENTS = (1e-3, 4.0)
"""Bounds of the exponent."""
MIN_POINTS = 4
"""Points needed for a fit: three parameters and one degree of freedom."""
TRUTH = (6.0, 40.0, 0.5)
"""``a``, ``b`` and ``c`` of the synthetic curve."""
NOISE = 0.002
"""Standard deviation of the noise of the synthetic curve, in nats."""


class Curve(NamedTuple):
    """Validation losses of a run.

    Attributes:
        name: name of the run.
        steps: steps at which it was validated.
        losses: validation loss at each of them, in nats.
        steps_per_epoch: steps in an epoch.
    """

    name: str
    steps: Values
    losses: Values
    steps_per_epoch: float


class PowerLaw(NamedTuple):
    """The law ``a + b * step ** -c``.

    Attributes:
        a: the limit.
        b: the factor.
        c: the exponent.
        residual: root mean squared error on the points of the fit.
    """

    a: float
    b: float
    c: float
    residual: float

    def at(self, step: float) -> float:
        """The value of the law at a step."""
        return self.a + self.b * step**-self.c


def synthetic_curve(n_epochs: int = 40, steps_per_epoch: int = 1000) -> Curve:
    """A power law with the noise of a small validation part, validated once per epoch."""
    steps = steps_per_epoch * np.arange(1.0, n_epochs + 1)
    a, b, c = TRUTH
    noise = NOISE * np.random.default_rng(0).normal(size=n_epochs)
    return Curve("made-up", steps, a + b * steps**-c + noise, steps_per_epoch)


def curve_of_run(run: Path) -> Curve:
    """The finite validation losses that a run, finished or not, has logged."""
    log = MetricsLog(RunFolder(run))
    steps, losses = log.series("validation", "loss")
    train_steps, epochs = log.series("train", "epoch")
    finite = np.isfinite(losses)
    return Curve(run.name, steps[finite], losses[finite], float(train_steps[-1] / epochs[-1]))


def fit(steps: Values, losses: Values) -> PowerLaw:
    """Fit the law by least squares, with ``a`` and ``b`` not negative.

    For a given exponent the fit is linear in ``a`` and ``b``, so only the exponent is searched.
    """

    def solve(log_c: float) -> tuple[np.ndarray, float]:
        # Steps relative to the first give both columns the same magnitude.
        decay = (steps / steps[0]) ** -np.exp(log_c)
        return nnls(np.stack([np.ones_like(decay), decay], axis=1), losses)

    minimum: Any = minimize_scalar(
        lambda log_c: solve(log_c)[1], bounds=np.log(EXPONENTS), options={"xatol": 1e-7}
    )
    (a, b), distance = solve(minimum.x)
    c = float(np.exp(minimum.x))
    return PowerLaw(float(a), float(b * steps[0] ** c), c, float(distance / len(steps) ** 0.5))


def extrapolate(curve: Curve, epochs: int) -> dict[str, Any]:
    """A row of the table: the law of a curve, and the loss that it predicts after some epochs.

    Returns:
        Values by column; None where there are too few points. ``missed_ahead`` is the last loss
        as predicted by the law of the first half, minus the actual one.
    """
    steps, losses, half = curve.steps, curve.losses, len(curve.steps) // 2
    row: dict[str, Any] = {
        "run": curve.name,
        "points": len(steps),
        "last_step": int(steps[-1]) if len(steps) else None,
        "last_loss": round(float(losses[-1]), 4) if len(steps) else None,
    }
    law = fit(steps, losses) if len(steps) >= MIN_POINTS else None
    row |= dict.fromkeys(PowerLaw._fields) if law is None else _rounded(law)
    row["missed_ahead"] = None
    if half >= MIN_POINTS:
        predicted = fit(steps[:half], losses[:half]).at(steps[-1])
        row["missed_ahead"] = round(float(predicted - losses[-1]), 4)
    final_step = epochs * curve.steps_per_epoch
    row["extrapolated_to_step"] = round(final_step)
    row["extrapolated_loss"] = None if law is None else round(law.at(final_step), 4)
    return row


def read_metrics(file: Path) -> dict[str, Any]:
    """Read metrics by epoch from a JSON file.

    Raises:
        ValueError: it has another format, or too few points.
    """
    measured = json.loads(file.read_text())
    try:
        n, metrics = len(measured["epochs"]), measured["metrics"].values()
    except (TypeError, KeyError, AttributeError):
        raise ValueError(f'{file} has no "epochs" and "metrics"') from None
    if n <= MIN_POINTS or not metrics or any(len(values) != n for values in metrics):
        raise ValueError(
            f"{file} has too few points, expected more than {MIN_POINTS} epochs and one value of "
            "each metric per epoch"
        )
    return measured


def extrapolate_metrics(measured: dict[str, Any], epochs: int) -> list[dict[str, Any]]:
    """One row per metric and first point of the fit, for fits to more than ``MIN_POINTS`` points.

    Returns:
        Values by column. ``missed_ahead`` is the last value as predicted by the law of the first
        half of the points of the fit, minus the actual one; None where there are too few points.
    """
    all_epochs = np.array(measured["epochs"], np.float64)
    rows = []
    for name, values in measured["metrics"].items():
        gaps = 1 - np.array(values, np.float64)
        for first in range(len(all_epochs) - MIN_POINTS):
            law, half = fit(all_epochs[first:], gaps[first:]), (first + len(all_epochs)) // 2
            error = None
            if half - first >= MIN_POINTS:
                predicted = fit(all_epochs[first:half], gaps[first:half]).at(all_epochs[-1])
                error = gaps[-1] - predicted
            rows.append({
                "metric": name,
                "from_epoch": measured["epochs"][first],
                "points": len(all_epochs) - first,
                "last_epoch": measured["epochs"][-1],
                "last": values[-1],
                "c": float(f"{law.c:.3g}"),
                "residual": float(f"{law.residual:.2g}"),
                "missed_ahead": None if error is None else round(float(error), 4),
                "extrapolated_to_epoch": epochs,
                "extrapolated": round(1 - law.at(epochs), 4),
            })  # fmt: skip
    return rows


def _rounded(law: PowerLaw) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in law._asdict().items()}


def main() -> None:
    """Fit, print the tables, then one line of JSON."""
    parser = argparse.ArgumentParser(description="Extrapolate validation losses.")
    parser.add_argument("runs", type=Path, nargs="*", help="run folders, finished or not")
    parser.add_argument("--epochs", type=int, default=1000, help="epoch to extrapolate to")
    parser.add_argument("--measured", type=Path, metavar="FILE", help="metrics by epoch, as JSON")
    options = parser.parse_args()
    try:
        curves = [synthetic_curve(), *map(curve_of_run, options.runs)]
        measured = read_metrics(options.measured) if options.measured else None
    except (SegueError, OSError, ValueError) as error:
        parser.error(str(error))
    rows = [extrapolate(curve, options.epochs) for curve in curves]
    console = Console(width=170)
    console.print(table_of("Validation loss: a + b * step^-c (extrapolated, not measured)", rows))
    results = [
        row | {"steps": curve.steps.tolist(), "losses": curve.losses.tolist()}
        for row, curve in zip(rows, curves, strict=True)
    ]
    record: dict[str, Any] = {"benchmark": "loss_curve", "results": results}
    if measured is not None:
        record["metrics"] = extrapolate_metrics(measured, options.epochs)
        title = "1 - metric: a + b * epoch^-c (extrapolated, not measured)"
        console.print(table_of(title, record["metrics"]))
    console.out(json.dumps(record), highlight=False)


def table_of(title: str, rows: list[dict[str, Any]]) -> Table:
    """A table of rows with the same keys, of which the first is a name."""
    table = Table(title=title)
    for i, column in enumerate(rows[0]):
        table.add_column(column.replace("_", " "), justify="right" if i else "left")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    return table


if __name__ == "__main__":
    main()
