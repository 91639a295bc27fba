"""The shapes of the responses that the views of the page read; as in ``segue.server.schemas``."""

from __future__ import annotations

from typing import Any, Literal

from segue.config.section import ConfigSection
from segue.server.schemas import Item, ModelSummary

Status = Literal["computing", "ready", "failed", "unavailable"]


class ViewShape(ConfigSection):
    """How far the content of a view is.

    Attributes:
        status: whether the content is there; ``unavailable`` if this server cannot have it.
        share: of the computation that is done, from 0 to 1.
        hint: what to do where the content is not there, or what to know of it; may be empty.
    """

    model: str
    status: Status
    share: float
    hint: str


class MapShape(ViewShape):
    """What the map of a model shows.

    Attributes:
        n_items: number of points.
        attribute: what colours stand for; None if items have nothing to group them by.
        groups: values of this attribute, the most frequent first.
        kept_neighbours: share of the 10 most similar items among the 50 nearest on the map.
    """

    n_items: int | None
    attribute: str | None
    groups: list[str]
    kept_neighbours: float | None


class MapItem(Item):
    """An item with its number on the map, from 0 for the most frequent one."""

    index: int


class MapItemsShape(ConfigSection):
    """Items on the map."""

    items: list[MapItem]


class PersonRow(ConfigSection):
    """A person, with the worst rank of what came next; null if none of it can be recommended."""

    person_id: str
    n_events: int
    n_targets: int
    worst_rank: int | None
    target: Item


class PeopleShape(ViewShape):
    """People of the held-out part of the dataset, worst rank first.

    Attributes:
        part: ``test`` or ``validation``.
        n_people: number of people in the part.
        n_ranked: number of people that were ranked; a random sample of many.
        n_matches: number of these whose id contains the text.
        start: number of the first listed person, from 0.
    """

    part: Literal["validation", "test"] | None
    n_people: int | None
    n_ranked: int | None
    n_matches: int
    start: int
    people: list[PersonRow]


class TrueItem(Item):
    """What came next, and the rank that the model gave it; null if it cannot be recommended."""

    rank: int | None
    is_shown: bool


class PersonItem(Item):
    """A place of a list, and whether the item came next."""

    rank: int
    is_hit: bool


class PersonList(ConfigSection):
    """A list for a person, and the rank of the shown target."""

    name: str
    rank: int | None
    items: list[PersonItem]


class PersonShape(ConfigSection):
    """A person: the last events of the history, what came next, and two lists.

    The lists are for the history before the target with the worst rank, whose ``is_shown`` is
    true. ``n_events`` counts the whole history.
    """

    person_id: str
    model: str
    n_events: int
    history: list[Item]
    truth: list[TrueItem]
    lists: list[PersonList]


class ScoreShape(ConfigSection):
    """A result with its 95 % interval, if one is known."""

    name: str
    role: Literal["model", "member", "baseline"]
    mean: float
    low: float | None
    high: float | None


class ScoresOfRunShape(ConfigSection):
    """Results by one metric."""

    metric: str
    part: str
    n: int
    remark: str
    scores: list[ScoreShape]


class GraphNode(ConfigSection):
    """A node of the graph of the transformer; see ``segue.inspection``."""

    name: str
    role: Literal["input", "table", "module", "add", "scores"]
    kind: str
    output: list[int]
    parameters: int
    repeats: int
    is_in_block: bool
    sources: list[int]


class SentenceShape(ConfigSection):
    """One thing to know about a model, and what it is about."""

    topic: str
    text: str


class CardShape(ModelSummary):
    """A model described for people.

    Attributes:
        sentences: what it is, each with its topic.
        scores: its results beside members and baselines; None if none are known.
        audit: of the training dataset; None if the dataset is not in its place.
        graph: of the transformer, in drawing order.
    """

    sentences: list[SentenceShape]
    scores: ScoresOfRunShape | None
    audit: dict[str, Any] | None
    graph: list[GraphNode]


class CurveShape(ConfigSection):
    """A curve; values that were not finite are null."""

    panel: Literal["loss", "metric", "learning rate"]
    name: str
    steps: list[float]
    values: list[float | None]


class BestShape(ConfigSection):
    """The best validation."""

    step: int
    value: float


class CurvesShape(ConfigSection):
    """The training curves of a run; empty for one without a log."""

    model: str
    metric: str
    best: BestShape | None
    series: list[CurveShape]


class LatencyShape(ConfigSection):
    """Percentiles in milliseconds; null without requests."""

    p50: float | None
    p95: float | None
    p99: float | None


class BatchCount(ConfigSection):
    """Number of batches of at most so many requests, and more than the class before."""

    up_to: int | None
    n: int


class SlotShape(ConfigSection):
    """Ten seconds."""

    seconds_ago: int
    n_requests: int
    n_errors: int
    p50_ms: float | None
    p95_ms: float | None


class RecentShape(ConfigSection):
    """The last ten minutes of the requests that models answer."""

    seconds: float
    n_requests: int
    requests_per_minute: float
    n_errors: int
    n_failures: int
    latency_ms: LatencyShape
    mean_batch: float | None
    batches: list[BatchCount]
    slots: list[SlotShape]


class SystemModel(ModelSummary):
    """A model with the requests that wait for it."""

    n_waiting: int


class SystemShape(ConfigSection):
    """The server: versions, models, and what happened lately."""

    versions: dict[str, str]
    uptime_s: float
    models: list[SystemModel]
    recent: RecentShape
