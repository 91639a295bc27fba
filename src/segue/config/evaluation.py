"""The configuration of an evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from segue.config.section import ConfigSection, PositiveInt, Seed

Task = Literal["next-item", "continuation"]
SeenPolicy = Literal["exclude", "include", "exclude-context"]


class EvaluationConfig(ConfigSection):
    """What rankers predict, from which histories, and how their rankings are scored."""

    task: Task | None = None
    """By default both tasks under the split ``holdout``, ``next-item`` under all other splits."""
    seen: SeenPolicy | None = None
    """Whether items of the history may be recommended. ``exclude-context`` excludes only those
    in the window of the split. It is the default under ``windows``; elsewhere ``exclude`` is."""
    unknown_targets: Literal["miss", "drop"] = "miss"
    """Whether targets outside the catalogue count as misses or are left out."""
    targets: Literal["last", "first", "random", "every"] | None = None
    """Which events of a sequence are predicted (split ``global-time``); by default the last."""
    ks: tuple[PositiveInt, ...] | None = None
    """Cut-offs of the metrics; by default those of 1, 5, 10 and 20 within the catalogue size."""
    given: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Numbers of first events given as history (continuation). By default 1, 5, 10, 25 and
    100, preceded by 0 if all rankers support an empty history."""
    given_random: tuple[PositiveInt, ...] | None = None
    """Numbers of events given from random positions, in order (continuation); by default 25
    and 100."""
    list_length: PositiveInt | None = None
    """Items recommended (continuation); by default 500, or the size of a smaller catalogue."""
    max_sequences: PositiveInt | None = None
    """Evaluate at most this many sequences of the part, drawn at random with ``seed``."""
    beyond_accuracy: bool = False
    """Whether to compute beyond-accuracy metrics of recommended lists too, at the same cut-offs:
    diversity, novelty, serendipity, popularity, coverage and inequality."""
    resamples: Annotated[int, Field(ge=0)] = 1000
    """Bootstrap samples for confidence intervals; with 0 there are no intervals."""
    seed: Seed = 0
