"""The shapes of responses, for OpenAPI only: responses are encoded without them.

Tests compare every response with its shape.
"""

from __future__ import annotations

from typing import Any, Literal

from segue.config.section import ConfigSection


class Item(ConfigSection):
    """An item with what the source of the log says of it, and its ``training_count``."""

    item_id: str
    title: str
    attributes: dict[str, Any]


class ReasonShape(ConfigSection):
    """An event that an item is recommended because of."""

    item_id: str
    title: str
    position: int
    contribution: float
    often_follows: bool


class WhyShape(ConfigSection):
    """Why an item is recommended."""

    text: str
    reasons: list[ReasonShape]


class ListedItem(Item):
    """An item of an answer; ``probability`` and ``why`` where they were requested."""

    score: float
    rank: int
    probability: float | None = None
    why: WhyShape | None = None


class ScoredItem(Item):
    """A candidate; one outside the catalogue has no score."""

    score: float | None


class AnswerShape(ConfigSection):
    """A list of items; see ``segue.Answer``."""

    items: list[ListedItem]
    unknown_items: list[str]
    truncated: int
    model: str
    took_ms: float
    notes: list[str]
    seen: Literal["include", "exclude"] | None


class AnswersShape(ConfigSection):
    """The answers to many requests, in their order."""

    answers: list[AnswerShape]


class ExplanationShape(AnswerShape):
    """An answer with the events of the history, and a contribution per item and event."""

    events: list[str]
    contributions: list[list[float]]
    member_ranks: dict[str, list[int]] | None = None


class ExplanationsShape(ConfigSection):
    """The explanations of many requests, in their order."""

    answers: list[ExplanationShape]


class ScoresShape(ConfigSection):
    """The candidates in the order of the request."""

    items: list[ScoredItem]
    unknown_items: list[str]
    model: str
    took_ms: float
    notes: list[str]


class ManyScoresShape(ConfigSection):
    """The scores of many requests, in their order."""

    answers: list[ScoresShape]


class MatchesShape(ConfigSection):
    """The items that match a search, best first."""

    query: str
    items: list[Item]
    model: str
    notes: list[str]


class ItemsShape(ConfigSection):
    """Items by their ids, without repetitions, and the ids that the model does not know."""

    items: list[Item]
    unknown_items: list[str]
    model: str


class AttributeValue(ConfigSection):
    """A value of an attribute, and the number of items that have it."""

    value: str
    n_items: int


class AttributeShape(ConfigSection):
    """An attribute that conditions and caps may name.

    Attributes:
        kind: which operators conditions on it have.
        minimum: of numbers.
        maximum: of numbers.
        n_values: number of different values.
        values: the most frequent texts, at most 60.
    """

    name: str
    kind: Literal["number", "text", "list"]
    minimum: float | None
    maximum: float | None
    n_values: int
    values: list[AttributeValue]


class CatalogueShape(ConfigSection):
    """What a page of controls needs to know of a catalogue.

    Attributes:
        popularity_steps: the training counts from which an item is at the levels of popularity 2
            to 5; each level has a fifth of the training events.
        popular: the most popular items, the most popular first.
        examples: short sequences of similar popular items.
        n_covers: number of images that ``/v1/covers/{id}`` has; 0 without a folder of covers.
        run: the path of the run, for commands on the same machine; null for a server that others
            can reach.
    """

    attributes: list[AttributeShape]
    popularity_steps: list[int]
    popular: list[Item]
    examples: list[list[Item]]
    n_covers: int
    run: str | None
    model: str


class ModelSummary(ConfigSection):
    """A model of this server."""

    name: str
    version: str
    loaded_at: str
    n_items: int


class ModelsShape(ConfigSection):
    """The models of this server; the first is the default."""

    models: list[ModelSummary]


class ModelShape(ModelSummary):
    """What is known of one model.

    Attributes:
        n_candidates: items that may be recommended.
        context: events that the transformer reads.
        attributes: names that ``where`` and ``cap`` accept.
        sequence_features: names that ``sequence_features`` accepts.
        ends_sequences: whether ``end_weight`` of ``generate`` has an effect.
        members: names of the members of the ensemble besides the transformer.
        card: results, data and machine of the training, without paths.
    """

    n_candidates: int
    context: int
    attributes: list[str]
    sequence_features: list[str]
    starts_empty: bool
    ends_sequences: bool
    members: list[str]
    max_k: int
    card: dict[str, Any]


class StatusShape(ConfigSection):
    """Whether the server is alive or ready; ``events`` where it stores events."""

    status: Literal["ok", "ready"]
    events: Literal["available", "unavailable"] | None = None


class ReloadedModel(ConfigSection):
    """A model that was loaded again."""

    name: str
    version: str
    previous_version: str


class ReloadShape(ConfigSection):
    """The models that were loaded again."""

    models: list[ReloadedModel]


class ErrorContent(ConfigSection):
    """What went wrong: for programs, and in two sentences for people."""

    code: str
    message: str
    hint: str


class ErrorShape(ConfigSection):
    """Every error has this shape."""

    error: ErrorContent
