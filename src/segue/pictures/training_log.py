"""What a run logged, as series of numbers by step."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from segue.errors import RunError
from segue.run_folder import RunFolder

LOSS = "loss"

Series = Float64[np.ndarray, " records"]


class Best(NamedTuple):
    """The validation that decided which weights were kept."""

    step: int
    value: float


class Log:
    """What a run logged, as series by step.

    Attributes:
        metric: the one that decides which weights are the best.
        n_damaged: lines that are no records.
    """

    def __init__(self, run: RunFolder) -> None:
        """Read the log of a run, finished or not.

        Raises:
            RunError: the folder is not a run, or it has logged nothing yet.
        """
        config, _ = run.read_config()
        self.metric = config.training.validation_metric
        try:
            lines = run.metrics.read_bytes().splitlines()
        except OSError as error:
            message = f"cannot read {run.metrics}: {error.strerror}"
            raise RunError(message, "a run has it from its first logged step on") from None
        records = [record for line in lines if (record := _record(line)) is not None]
        self.n_damaged = len(lines) - len(records)
        self._records = {
            kind: [record for record in records if record["kind"] == kind]
            for kind in ("train", "validation")
        }
        if not self._records["train"]:
            message = f"{run.path} has logged no step yet"
            raise RunError(message, "wait until training.log_every steps are taken")

    def series(self, kind: str, name: str) -> tuple[Series, Series]:
        """Steps and values; not-a-number where the value was not finite."""
        records = [record for record in self._records[kind] if name in record]
        steps = np.array([record["step"] for record in records], np.float64)
        values = [record[name] for record in records]
        return steps, np.array([np.nan if value is None else value for value in values], np.float64)

    def families(self) -> list[str]:
        """The metric, and the same one at other cut-offs."""
        family = self.metric.split("@")[0] + "@"
        names = dict.fromkeys(name for record in self._records["validation"] for name in record)
        return [name for name in names if name == self.metric or name.startswith(family)]

    def best(self) -> Best | None:
        """The first of the best validations; None where there is none yet."""
        steps, values = self.series("validation", self.metric)
        if not np.isfinite(values).any():
            return None
        place = np.nanargmin(values) if self.metric == LOSS else np.nanargmax(values)
        return Best(int(steps[place]), float(values[place]))


def _record(line: bytes) -> dict[str, Any] | None:
    """A line as a record of numbers; None if it is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or not {"step", "kind"} <= record.keys():
        return None
    numbers = {
        name: value for name, value in record.items() if isinstance(value, int | float | None)
    }
    return {**numbers, "kind": record["kind"]} if isinstance(numbers.get("step"), int) else None
