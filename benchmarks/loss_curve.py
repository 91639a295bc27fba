"""Where a run's validation loss is going: a power law, fitted and extrapolated.

Fits ``a + b * step ** -c`` to the validation losses that a run has logged, and says what the
law gives after so many epochs. How far that can be trusted is measured on the run itself: the
law fitted to the first half of the points, against the last one.

    python benchmarks/loss_curve.py [RUN]... [--epochs 1000] [--measured FILE]

A made-up curve, whose end is known, comes first. FILE is JSON with metrics that were measured at
some epochs, ``{"epochs": [1, 2, 4], "metrics": {"ndcg@10": [.05, .08, .1]}}``. They rise, so what
is fitted is what they lack of 1; once from every point on, which says how far the points decide.
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
from segue.pictures.training_log import Log
from segue.run_folder import RunFolder

Values = Float64[np.ndarray, " points"]

EXPONENTS = (1e-3, 4.0)
"""Where the exponent is looked for."""
FEWEST = 4
"""Points that three parameters need if there is to be anything to be wrong about."""
TRUTH = (6.0, 40.0, 0.5)
"""Parameters of the made-up curve."""
NOISE = 0.002


class Curve(NamedTuple):
    """Validation losses of a run.

    Attributes:
        epoch: steps in an epoch.
    """

    name: str
    steps: Values
    losses: Values
    epoch: float


class PowerLaw(NamedTuple):
    """``a + b * step ** -c``, and its root mean squared error where it was fitted."""

    a: float
    b: float
    c: float
    residual: float

    def at(self, step: float) -> float:
        """The law's value."""
        return self.a + self.b * step**-self.c


def made_up_curve(n_epochs: int = 40, epoch: int = 1000) -> Curve:
    """A curve that is a power law, with the noise of a small validation part."""
    steps = epoch * np.arange(1.0, n_epochs + 1)
    a, b, c = TRUTH
    noise = NOISE * np.random.default_rng(0).normal(size=n_epochs)
    return Curve("made-up", steps, a + b * steps**-c + noise, epoch)


def curve_of_run(run: Path) -> Curve:
    """What a run, finished or not, has logged; losses that were no numbers are left out."""
    log = Log(RunFolder(run))
    steps, losses = log.series("validation", "loss")
    logged, epochs = log.series("train", "epoch")
    finite = np.isfinite(losses)
    return Curve(run.name, steps[finite], losses[finite], float(logged[-1] / epochs[-1]))


def fit(steps: Values, losses: Values) -> PowerLaw:
    """Fit the law by least squares, with ``a`` and ``b`` not below 0.

    For a given exponent the other two are a linear problem, so only the exponent is searched.
    """

    def solve(log_c: float) -> tuple[np.ndarray, float]:
        # Steps relative to the first keep both columns of a size.
        decay = (steps / steps[0]) ** -np.exp(log_c)
        return nnls(np.stack([np.ones_like(decay), decay], axis=1), losses)

    found: Any = minimize_scalar(
        lambda log_c: solve(log_c)[1], bounds=np.log(EXPONENTS), options={"xatol": 1e-7}
    )
    (a, b), distance = solve(found.x)
    c = float(np.exp(found.x))
    return PowerLaw(float(a), float(b * steps[0] ** c), c, float(distance / len(steps) ** 0.5))


def extrapolate(curve: Curve, epochs: int) -> dict[str, Any]:
    """A row of the table; what too few points do not give is None.

    ``missed_ahead`` is the last loss as the law of the first half has it, less the loss.
    """
    steps, losses, half = curve.steps, curve.losses, len(curve.steps) // 2
    found: dict[str, Any] = {
        "run": curve.name,
        "points": len(steps),
        "last_step": int(steps[-1]) if len(steps) else None,
        "last_loss": round(float(losses[-1]), 4) if len(steps) else None,
    }
    law = fit(steps, losses) if len(steps) >= FEWEST else None
    found |= dict.fromkeys(PowerLaw._fields) if law is None else _rounded(law)
    found["missed_ahead"] = None
    if half >= FEWEST:
        ahead = fit(steps[:half], losses[:half]).at(steps[-1])
        found["missed_ahead"] = round(float(ahead - losses[-1]), 4)
    final = epochs * curve.epoch
    found["extrapolated_to_step"] = round(final)
    found["extrapolated_loss"] = None if law is None else round(law.at(final), 4)
    return found


def read_metrics(file: Path) -> dict[str, Any]:
    """Metrics by epoch.

    Raises:
        ValueError: it is no such file, or has too few points.
    """
    measured = json.loads(file.read_text())
    try:
        n, metrics = len(measured["epochs"]), measured["metrics"].values()
    except (TypeError, KeyError, AttributeError):
        raise ValueError(f"{file} has no epochs and metrics") from None
    if n <= FEWEST or not metrics or any(len(values) != n for values in metrics):
        raise ValueError(f"{file} has not more than {FEWEST} points of each metric")
    return measured


def extrapolate_metrics(measured: dict[str, Any], epochs: int) -> list[dict[str, Any]]:
    """A row for every metric and every point to begin from, while more than ``FEWEST`` are left.

    ``missed_ahead`` is the last value as the law of the first half of these points has it, less
    the value.
    """
    at = np.array(measured["epochs"], np.float64)
    rows = []
    for name, values in measured["metrics"].items():
        lacking = 1 - np.array(values, np.float64)
        for first in range(len(at) - FEWEST):
            law, half = fit(at[first:], lacking[first:]), (first + len(at)) // 2
            ahead = None
            if half - first >= FEWEST:
                ahead = lacking[-1] - fit(at[first:half], lacking[first:half]).at(at[-1])
            rows.append({
                "metric": name,
                "from_epoch": measured["epochs"][first],
                "points": len(at) - first,
                "last_epoch": measured["epochs"][-1],
                "last": values[-1],
                "c": float(f"{law.c:.3g}"),
                "residual": float(f"{law.residual:.2g}"),
                "missed_ahead": None if ahead is None else round(float(ahead), 4),
                "extrapolated_to_epoch": epochs,
                "extrapolated": round(1 - law.at(epochs), 4),
            })  # fmt: skip
    return rows


def _rounded(law: PowerLaw) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in law._asdict().items()}


def main() -> None:
    """Fit, draw the table, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Extrapolate validation losses.")
    parser.add_argument("runs", type=Path, nargs="*", help="run folders, finished or not")
    parser.add_argument("--epochs", type=int, default=1000, help="how far")
    parser.add_argument("--measured", type=Path, metavar="FILE", help="metrics by epoch, as JSON")
    options = parser.parse_args()
    try:
        curves = [made_up_curve(), *map(curve_of_run, options.runs)]
        measured = read_metrics(options.measured) if options.measured else None
    except (SegueError, OSError, ValueError) as error:
        parser.error(str(error))
    results = [extrapolate(each, options.epochs) for each in curves]
    console = Console(width=170)
    console.print(drawn("Validation loss: a + b * step^-c (extrapolated, not measured)", results))
    points = [{"steps": each.steps.tolist(), "losses": each.losses.tolist()} for each in curves]
    found = [result | more for result, more in zip(results, points, strict=True)]
    told: dict[str, Any] = {"benchmark": "loss_curve", "results": found}
    if measured is not None:
        told["metrics"] = extrapolate_metrics(measured, options.epochs)
        console.print(drawn("1 - metric: a + b * epoch^-c (extrapolated)", told["metrics"]))
    console.out(json.dumps(told), highlight=False)


def drawn(title: str, rows: list[dict[str, Any]]) -> Table:
    """A table of rows with the same keys, the first of which is a name."""
    table = Table(title=title)
    for i, column in enumerate(rows[0]):
        table.add_column(column.replace("_", " "), justify="right" if i else "left")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    return table


if __name__ == "__main__":
    main()
