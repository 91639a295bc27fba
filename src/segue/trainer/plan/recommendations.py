"""Training options for a run: the recommended one, and whether a run fits into memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from segue.config import Config, resolve_config
from segue.errors import ResourceError
from segue.machine import GIGABYTE, MEMORY_VARIABLE, available_memory
from segue.trainer.plan.memory import estimate_memory
from segue.trainer.run_spec import RunSpec

SMALL_RUN = GIGABYTE
"""Bytes below which no run is refused. The memory of other programs varies by as much."""

EXACT_COST_FACTOR = 8
"""The exact softmax is cheap if it needs at most so many times the multiplications of the model."""

DENSE_ROWS_FACTOR = 4
"""Dense updates are cheap if there are at most so many times the rows that a step uses."""

MIN_SHARED_NEGATIVES = 1024
"""Recommended number of negatives for a batch that shares them."""

SPARSE_LEARNING_RATE: dict[str, Any] = {"optimizer.sparse_learning_rate_scale": 10.0}
"""Recommended with a change from dense to sparse updates; docs/scale.md has its effect."""

EXACT_SOFTMAX: dict[str, Any] = {"loss.kind": "softmax", "loss.in_batch": False}
SAMPLED_SOFTMAX: dict[str, Any] = {
    "loss.kind": "sampled-softmax",
    "loss.negative_sampler": "log-uniform",
    "loss.shared_negatives": True,
    "loss.in_batch": True,
    "loss.estimator": "with-target",
    "loss.log_q": True,
}


class TrainingOption(msgspec.Struct, frozen=True):
    """A combination of loss and updates with which the same model can be trained.

    Attributes:
        name: name of the option, such as "sampled softmax, sparse updates".
        settings: values of the configuration keys to change; empty if it is the current one.
        peak: estimated peak memory of the run, in bytes.
        needed: bytes of the peak that must be free.
        fits: whether they are free; None if the free memory is unknown.
    """

    name: str
    settings: dict[str, Any]
    peak: int
    needed: int
    fits: bool | None


def fits(needed: int, available: int | None) -> bool | None:
    """Whether a run fits into memory; None if the available memory is unknown.

    Args:
        needed: bytes that the run needs.
        available: bytes that are free.
    """
    return None if available is None else needed <= max(available, SMALL_RUN)


def check_memory(spec: RunSpec) -> None:
    """Refuse a run that would need more memory than is available.

    Raises:
        ResourceError: the run does not fit; the hint names settings that fit.
    """
    available, needed = available_memory(), estimate_memory(spec).needed
    if fits(needed, available) is not False:
        return
    assert available is not None
    fitting = [option for option in training_options(spec, available) if option.fits]
    recommended = recommended_option(spec, fitting)
    if recommended is None:
        hint = "set a smaller model.width or training.batch_size"
    else:
        changes = as_options(recommended.settings)
        hint = f"{changes} would need about {format_bytes(recommended.needed)}"
    raise ResourceError(
        f"the run would need about {format_bytes(needed)} of memory, but only "
        f"{format_bytes(available)} are free",
        f"{hint}; if the free memory is wrong, set {MEMORY_VARIABLE}",
    )


def training_options(spec: RunSpec, available: int | None) -> list[TrainingOption]:
    """The options with which the model of a run can be trained, and their memory.

    Args:
        spec: the run as configured.
        available: bytes that are free; None if unknown.
    """
    dense = _dense_updates(spec.config)
    sampled = SAMPLED_SOFTMAX | {"loss.negatives": _n_shared_negatives(spec.config)}
    changes = {"exact softmax": EXACT_SOFTMAX | dense, "sampled softmax": sampled | dense}
    is_dense = spec.config.optimizer.embedding_updates == "dense"
    rate = SPARSE_LEARNING_RATE if is_dense else {}
    # The option with the better measured quality comes first; see docs/scale.md. The last one is
    # for cases where no other fits into memory.
    for kind in ("sparse-rowwise", "sparse"):
        changes[f"sampled softmax, {kind} updates"] = (
            sampled | rate | {"optimizer.embedding_updates": kind}
        )
    changes["sampled softmax, sparse-rowwise updates in bfloat16"] = (
        sampled
        | rate
        | {"optimizer.embedding_updates": "sparse-rowwise", "model.embedding_precision": "bfloat16"}
    )
    return [_option(name, change, spec, available) for name, change in changes.items()]


def _reset_sparse_settings(optimizer: dict[str, Any]) -> dict[str, Any]:
    """Changes by dotted key that reset optimizer settings which apply to no table any more."""
    kinds = {optimizer["embedding_updates"], optimizer["feature_embedding_updates"]}
    changes: dict[str, Any] = {}
    if "sparse" not in kinds and optimizer["state_precision"] != "float32":
        changes["optimizer.state_precision"] = "float32"
    if kinds == {"dense"} and optimizer["sparse_learning_rate_scale"] != 1:
        changes["optimizer.sparse_learning_rate_scale"] = 1.0
    return changes


def _dense_updates(config: Config) -> dict[str, Any]:
    """Changes to dense updates, with the settings that they need."""
    changes: dict[str, Any] = {
        "optimizer.embedding_updates": "dense",
        "model.embedding_precision": "float32",
    }
    if config.model.item_features:
        changes["optimizer.feature_embedding_updates"] = "dense"
    return changes


def recommended_option(spec: RunSpec, options: list[TrainingOption]) -> TrainingOption | None:
    """Choose the best option; None if there is none that may fit into memory.

    The exact softmax is preferred if it is cheap, since it has neither variance nor bias. Next
    comes the sampled softmax with log-uniform negatives: with dense updates if a step uses a
    large share of the rows, else with sparse updates.

    Args:
        spec: the run as configured.
        options: options to choose from.
    """
    preferred = ["exact softmax"] if is_exact_softmax_cheap(spec) else []
    if spec.vocabulary_size <= DENSE_ROWS_FACTOR * _n_used_rows(spec):
        preferred.append("sampled softmax")
    by_name = {option.name: option for option in options if option.fits is not False}
    order = [*preferred, *(name for name in by_name if "updates" in name), *by_name]
    return next((by_name[name] for name in order if name in by_name), None)


def is_exact_softmax_cheap(spec: RunSpec) -> bool:
    """Whether the exact softmax needs few multiplications compared with the transformer blocks.

    Counted are three vector products per label and item, and three multiplications per token and
    weight of the blocks.
    """
    model, width = spec.config.model, spec.config.model.width
    per_position = 4 * width * width + 2 * width * model.feed_forward
    block = sum(
        rows * length * (per_position + 2 * length * width) for rows, length in spec.bucket_shapes
    )
    blocks = 3 * model.layers * block
    scores = 3 * spec.n_labels * spec.vocabulary_size * spec.output_width
    return scores <= EXACT_COST_FACTOR * blocks


def as_options(settings: Mapping[str, Any]) -> str:
    """Settings as options of the command line, such as ``--set loss.kind=softmax``."""
    return " ".join(f"--set {key}={str(value).lower()}" for key, value in settings.items())


def format_bytes(size: int) -> str:
    """A size as text, such as ``2.1 GB``; in megabytes if less than one gigabyte."""
    return f"{size / 1e9:.1f} GB" if size >= GIGABYTE else f"{size / 1e6:.0f} MB"


def _option(
    name: str, changes: dict[str, Any], spec: RunSpec, available: int | None
) -> TrainingOption:
    sections = spec.config.model_dump()
    settings: dict[str, Any] = {}
    for key, value in changes.items():
        section, field = key.split(".")
        if sections[section][field] != value:
            settings[key] = sections[section][field] = value
    settings |= _reset_sparse_settings(sections["optimizer"])
    memory = estimate_memory(replace(spec, config=resolve_config(None, spec.config, settings)))
    return TrainingOption(
        name, settings, memory.training, memory.needed, fits(memory.needed, available)
    )


def _n_shared_negatives(config: Config) -> int:
    loss = config.loss
    is_shared = loss.kind == "sampled-softmax" and loss.shared_negatives
    return max(loss.negatives, MIN_SHARED_NEGATIVES) if not is_shared else loss.negatives


def _n_used_rows(spec: RunSpec) -> int:
    """Number of rows of the item embeddings that a step with shared negatives uses."""
    return 1 + spec.n_positions + spec.n_labels + _n_shared_negatives(spec.config)
