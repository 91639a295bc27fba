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


Temperature = Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]


class ReliabilityBin(msgspec.Struct):
    """Listed items of similar probability: their mean probability, and the share that came next."""

    probability: Probability
    share: Probability
    n: Count


class Reliability(msgspec.Struct):
    """How far probabilities are from shares, and the bins by which this is measured.

    Attributes:
        error_at_1: the expected calibration error at the temperature 1.
        error: that at the fitted temperature.
        error_by_chance: that of probabilities without any error, for so few items.
        bins: with equal numbers of items, by ascending probability.
    """

    error_at_1: Probability
    error: Probability
    error_by_chance: Probability
    bins: Annotated[list[ReliabilityBin], msgspec.Meta(max_length=1000)]


class Calibration(msgspec.Struct):
    """The temperature of next-item probabilities, and how reliable they are.

    Attributes:
        temperature: divides the scores before the softmax.
        requests: number of validation requests.
        nats_at_1: minus the mean log-probability of the targets, in nats, at the temperature 1.
        nats: that of each half of the requests at the temperature of the other half.
        reliability: by ``top-1`` and ``top-10``, that of so many best items of each request; as
            ``nats`` with the temperature of the other half.
    """

    temperature: Temperature
    requests: Count
    nats_at_1: Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)]
    nats: Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)]
    reliability: dict[str, Reliability]


class CardEnsemble(msgspec.Struct):
    """The ensemble in a card; empty for a run that fitted none.

    Attributes:
        choice: the chosen combination of members.
        why: why it was not fitted.
        weights: by member.
        held_out: by combination, its NDCG@10 on held-out halves of the validation requests.
        calibration: of the next-item probabilities; None for older runs.
    """

    choice: str = ""
    why: str = ""
    weights: dict[str, Amount] = {}
    held_out: dict[str, float] = msgspec.field(name="held_out_ndcg@10", default_factory=dict)
    calibration: Calibration | None = None


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
    ensemble: CardEnsemble
    validation: BestValidation
    results: dict[str, Any]
    machine: Machine
    checksums: dict[str, str]
