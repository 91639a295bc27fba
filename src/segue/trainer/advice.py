"""What would suit a run better, and whether it fits at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jax
import msgspec

from segue.config import Config
from segue.errors import ResourceError
from segue.runtime import GIGABYTE, MEMORY_VARIABLE, available_memory
from segue.trainer.memory import estimate
from segue.trainer.workload import Workload

SMALL_RUN = GIGABYTE
"""Bytes below which no run is refused: so much comes and goes with other programs."""

EXACT_SHARE = 8
"""An exact softmax is cheap while its products are no more than so many times the model's."""

TOUCHED_SHARE = 4
"""Updating every row is cheap while there are no more than so many times those touched."""

ENOUGH_NEGATIVES = 1024
"""For a batch that shares them."""

ROW_RATE: dict[str, Any] = {"optimizer.row_rate": 10.0}
"""For tables that are to go by rows and did not: docs/scale.md has what it is worth."""

EXACT: dict[str, Any] = {"loss.kind": "softmax", "loss.in_batch": False}
SAMPLED: dict[str, Any] = {
    "loss.kind": "sampled-softmax",
    "loss.proposal": "log-uniform",
    "loss.shared_negatives": True,
    "loss.in_batch": True,
    "loss.estimator": "with-target",
    "loss.log_q": True,
}


class Option(msgspec.Struct, frozen=True):
    """A way to train the same model.

    Attributes:
        name: what it is.
        settings: what to change for it, as ``key=value``; nothing where it is as configured.
        peak: bytes of the run, estimated without a compiler.
        needed: bytes of it that have to be free.
        fits: whether they are; null where nothing says.
    """

    name: str
    settings: list[str]
    peak: int
    needed: int
    fits: bool | None


def fits(needed: int, available: int | None) -> bool | None:
    """Whether a run fits; None where nothing says how much memory there is."""
    return None if available is None else needed <= max(available, SMALL_RUN)


def check_memory(work: Workload) -> None:
    """Refuse a run that would take more memory than there is.

    Raises:
        ResourceError: it would; the hint says what would not.
    """
    available, needed = available_memory(), estimate(work).needed
    if fits(needed, available) is not False:
        return
    assert available is not None
    smaller = [option for option in options(work, available) if option.fits]
    best = advised(work, smaller)
    if best is None:
        hint = "take a smaller model.width or training.batch_size"
    else:
        changes = " ".join(f"--set {setting}" for setting in best.settings)
        hint = f"{changes} would take about {gigabytes(best.needed)}"
    raise ResourceError(
        f"the run would take about {gigabytes(needed)} of memory, and {gigabytes(available)} are "
        "free",
        f"{hint}; {MEMORY_VARIABLE} says how much it may take, if this is wrong",
    )


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what a lack of memory does to a run, for all that was counted, into one clear error.

    Raises:
        ResourceError: there was no memory, on the device or in the process.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).split("\n", 1)[0]
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in reason:
            raise
        raise ResourceError(
            f"the run found no more memory: {reason or 'none is left'}",
            "free some, then continue with --resume",
        ) from error


def options(work: Workload, available: int | None) -> list[Option]:
    """The ways to train a model."""
    dense, sampled = _dense(work.config), SAMPLED | {"loss.negatives": _negatives(work.config)}
    ways = {"exact softmax": EXACT | dense, "sampled softmax": sampled | dense}
    rate = ROW_RATE if work.config.optimizer.item_table == "dense" else {}
    # Those that measured better first, but for the last, which is for want of memory: see
    # docs/scale.md.
    for kind in ("sparse-lean", "sparse"):
        ways[f"sampled softmax, {kind} updates"] = sampled | rate | {"optimizer.item_table": kind}
    ways["sampled softmax, sparse-lean updates in bfloat16"] = (
        sampled
        | rate
        | {"optimizer.item_table": "sparse-lean", "model.table_precision": "bfloat16"}
    )
    return [_option(name, changes, work, available) for name, changes in ways.items()]


def _without_rows(optimizer: dict[str, Any]) -> dict[str, Any]:
    """What has to go where no table is left that it is of."""
    kinds = {optimizer["item_table"], optimizer["code_tables"]}
    changes: dict[str, Any] = {}
    if "sparse" not in kinds and optimizer["moment_precision"] != "float32":
        changes["moment_precision"] = "float32"
    if kinds == {"dense"} and optimizer["row_rate"] != 1:
        changes["row_rate"] = 1.0
    return changes


def _dense(config: Config) -> dict[str, Any]:
    """What goes with updates of all items, and nothing that does not."""
    changes: dict[str, Any] = {"optimizer.item_table": "dense", "model.table_precision": "float32"}
    if config.model.item_features:
        changes["optimizer.code_tables"] = "dense"
    return changes


def advised(work: Workload, found: list[Option]) -> Option | None:
    """Which of some options to take; None where there is none.

    An exact softmax where that is cheap, for it has no variance and no bias; else a sample
    of which popular items are the most, and of the item table only the rows that a step
    touches where those are few. What does not fit comes last.
    """
    wanted = ["exact softmax"] if is_exact_cheap(work) else []
    if work.table_size <= TOUCHED_SHARE * _shared_rows(work):
        wanted.append("sampled softmax")
    by_name = {option.name: option for option in found if option.fits is not False}
    order = [*wanted, *(name for name in by_name if "updates" in name), *by_name]
    return next((by_name[name] for name in order if name in by_name), None)


def is_exact_cheap(work: Workload) -> bool:
    """Whether the products of an exact softmax are few beside those of the blocks.

    Four products a label and item, since those of the backward pass are made twice; three a
    weight of the blocks.
    """
    model, length = work.config.model, work.batch.tokens.shape[1]
    width = model.width
    block = 4 * width * width + 2 * width * model.feed_forward + 2 * length * width
    blocks = 3 * work.batch.tokens.size * model.layers * block
    scores = 4 * work.batch.labels.size * work.table_size * work.output_width
    return scores <= EXACT_SHARE * blocks


def gigabytes(size: int) -> str:
    """``2.1 GB``, or megabytes of less than one."""
    return f"{size / 1e9:.1f} GB" if size >= GIGABYTE else f"{size / 1e6:.0f} MB"


def _option(name: str, changes: dict[str, Any], work: Workload, available: int | None) -> Option:
    tables = work.config.model_dump()
    settings = []
    for key, value in changes.items():
        part, field = key.split(".")
        if tables[part][field] != value:
            settings.append(f"{key}={str(value).lower()}")
            tables[part][field] = value
    for field, value in _without_rows(tables["optimizer"]).items():
        settings.append(f"optimizer.{field}={value}")
        tables["optimizer"][field] = value
    memory = estimate(replace(work, config=Config.model_validate(tables)))
    return Option(name, settings, memory.training, memory.needed, fits(memory.needed, available))


def _negatives(config: Config) -> int:
    loss = config.loss
    is_shared = loss.kind == "sampled-softmax" and loss.shared_negatives
    return max(loss.negatives, ENOUGH_NEGATIVES) if not is_shared else loss.negatives


def _shared_rows(work: Workload) -> int:
    """Rows that a step touches whose positions share their negatives."""
    return 1 + work.batch.tokens.size + work.batch.labels.size + _negatives(work.config)
