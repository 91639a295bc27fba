"""What rankers are asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from segue.config.part import Part, Positive, Seed

Task = Literal["next-item", "continuation"]
Seen = Literal["exclude", "include", "exclude-context"]


class EvaluationConfig(Part):
    """What rankers are asked, and how their answers count."""

    task: Task | None = None
    """When absent: both under the split ``holdout``, next items elsewhere."""
    seen: Seen | None = None
    """Whether items of the history may be recommended; ``exclude-context`` forbids those of
    the split's window only, and is the default of ``windows``. Elsewhere: ``exclude``."""
    unknown_targets: Literal["miss", "drop"] = "miss"
    """Targets outside the catalogue count as misses, or not at all."""
    targets: Literal["last", "first", "random", "every"] | None = None
    """Which events of a sequence are predicted (split ``global-time``); when absent the last."""
    ks: tuple[Positive, ...] | None = None
    """Cut-offs of the metrics; when absent 1, 5, 10 and 20, as far as the catalogue goes."""
    given: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """First events given (continuation). When absent 1, 5, 10, 25 and 100, and before them 0
    where every ranker can begin from nothing."""
    given_random: tuple[Positive, ...] | None = None
    """Events given at random places, in order (continuation); when absent 25 and 100."""
    list_length: Positive | None = None
    """Items recommended (continuation); when absent 500, or a smaller catalogue."""
    max_sequences: Positive | None = None
    """Ask about so many sequences of the part at most, a seeded draw."""
    behaviour: bool = False
    """Whether to ask for lists, and how they behave: diversity, novelty, serendipity,
    popularity, coverage and inequality, at the same cut-offs."""
    resamples: Annotated[int, Field(ge=0)] = 1000
    """Bootstrap samples behind an interval; 0 leaves the intervals out."""
    seed: Seed = 0
