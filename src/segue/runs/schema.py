"""The types of ``config.json``, ``card.json`` and ``sequence_values.json`` of a run.

Each file is checked against them when it is read. It may have more keys; these are the ones that
are read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from segue.storage.reading import MAX_COUNT
from segue.tokens import N_SPECIALS

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
"""A duration or a number of epochs."""

SequenceValues = dict[str, list[str]]
"""The content of ``sequence_values.json``: by feature its values, in the order of their ids."""


class RunDataset(msgspec.Struct):
    """The dataset that a run is trained on."""

    name: str
    path: str
    fingerprint: str
    vocabulary_size: Annotated[int, msgspec.Meta(ge=N_SPECIALS, lt=2**31)]
    recommended_seen: Literal["include", "exclude"] | None = None


class RunConfig(msgspec.Struct):
    """``config.json``: ``config`` is checked by ``segue.config``."""

    config: dict[str, Any]
    dataset: RunDataset


class CardDataset(msgspec.Struct):
    """The dataset in a card."""

    name: str
    fingerprint: str


class BestValidation(msgspec.Struct):
    """The best validation; the value is null before the first one."""

    metric: str
    best: Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)] | None
    step: Count


class Machine(msgspec.Struct):
    """The machine of the training."""

    device: str
    cores: Count
    jax: str


class Card(msgspec.Struct):
    """``card.json``."""

    segue_version: str
    dataset: CardDataset
    parameters: Count
    steps: Count
    epochs: Amount
    finished: str
    seconds: Amount
    core_seconds: Amount
    ensemble: dict[str, Any]
    validation: BestValidation
    results: dict[str, Any]
    machine: Machine
    checksums: dict[str, str]
