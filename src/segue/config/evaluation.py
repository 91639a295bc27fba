"""The configuration of an evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from segue.config.section import ConfigSection, PositiveInt, Seed

Task = Literal["next-item", "continuation"]
SeenPolicy = Literal["exclude", "include", "exclude-context"]
UnknownTargets = Literal["miss", "drop"]
TargetChoice = Literal["last", "first", "random", "every"]
"""Which targets of a sequence are predicted."""
Counts = Annotated[tuple[PositiveInt, ...], Field(strict=False)]
CountsFromZero = Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(strict=False)]


class EvaluationConfig(ConfigSection):
    """What rankers predict, from which histories, and how their rankings are scored."""

    task: Task | None = None
    """What is predicted. By default both tasks under the split ``holdout``, ``next-item`` under
    all other splits."""
    seen: SeenPolicy | None = None
    """Whether items of the history may be recommended. ``exclude-context`` excludes only those
    in the window of the split. By default ``include`` where the audit of the dataset recommends
    it, because many events repeat an item of their sequence; else ``exclude-context`` under
    ``windows``, and ``exclude`` under all other splits."""
    unknown_targets: UnknownTargets = "miss"
    """Whether targets outside the catalogue count as misses or are left out."""
    targets: TargetChoice | None = None
    """Which events of a sequence are predicted (split ``global-time``); by default the last."""
    ks: Counts | None = None
    """Cut-offs of the metrics; by default those of 1, 5, 10 and 20 within the catalogue size."""
    given: CountsFromZero | None = None
    """Numbers of first events given as history (continuation). By default 1, 5, 10, 25 and
    100, preceded by 0 if all rankers support an empty history; none if only ``given_random`` is
    set."""
    given_random: Counts | None = None
    """Numbers of events given from random positions, in order (continuation). By default 25 and
    100; none if only ``given`` is set."""
    list_length: PositiveInt | None = None
    """Items recommended (continuation); by default 500, or the size of a smaller catalogue."""
    max_sequences: PositiveInt | None = None
    """Evaluate at most this many sequences of the part, drawn at random with ``seed``."""
    beyond_accuracy: bool = False
    """Whether to compute beyond-accuracy metrics of recommended lists too, at the same cut-offs:
    diversity, novelty, serendipity, popularity, coverage and inequality."""
    resamples: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    """Bootstrap samples for confidence intervals; with 0 there are no intervals."""
    seed: Seed = 0
    """Seed of all random draws."""

    @model_validator(mode="before")
    @classmethod
    def _one_kind_of_given_events_is_enough(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, other_name in (("given", "given_random"), ("given_random", "given")):
            if values.get(name) and values.get(other_name) is None:
                return {**values, other_name: ()}
        return values
