"""The parts of a configuration: one frozen model each, with every default."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

SplitKind = Literal["holdout", "leave-one-out", "global-time", "windows"]
Task = Literal["next-item", "continuation"]
Estimator = Literal["with-target", "negatives-only", "bias-corrected"]
Seen = Literal["exclude", "include", "exclude-context"]


class Part(BaseModel):
    """A frozen part of the configuration that refuses unknown keys and loose types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


PartT = TypeVar("PartT", bound=Part)

Names = Annotated[tuple[str, ...], Field(strict=False)]
"""Names in order; TOML and JSON give them as a list."""


class DemoConfig(Part):
    """The size and seed of the built-in world."""

    sequences: Positive = 8_000
    items: Annotated[int, Field(ge=100, le=10_000_000)] = 2_000
    mean_length: Annotated[int, Field(ge=6)] = 30
    """Events of a playlist; the shortest has 5."""
    seed: Seed = 0

    @model_validator(mode="after")
    def _items_suffice(self) -> DemoConfig:
        # Playlists hold no item twice, and the longest are some eight times the mean.
        if self.items < 8 * self.mean_length:
            raise ValueError(
                f"items {self.items} are too few for playlists of mean_length "
                f"{self.mean_length}: at least {8 * self.mean_length}"
            )
        return self


class SourceConfig(Part):
    """How a foreign log is read."""

    format: Literal["mpd", "movielens", "tabular", "demo"] | None = None
    """Which reader; guessed from the files when absent."""
    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    rating_column: str | None = None
    event_column: str | None = None
    event_type: tuple[str, ...] = ()
    """Keep only events of these types (tabular)."""
    items_file: str | None = None
    """A file of item attributes: titles, artists, genres, years, vectors."""
    memory_limit: Positive = 2_000_000_000
    """Bytes that reading and sorting may hold at a time."""
    demo: DemoConfig = DemoConfig()


class FilterConfig(Part):
    """Which events and sequences of the log are kept, applied in this order, each once."""

    min_rating: float | None = None
    session_gap_s: Annotated[float, Field(gt=0)] | None = None
    """Cut a user's history into sessions where two events lie further apart (seconds)."""
    drop_consecutive_repeats: bool = False
    min_item_events: Positive = 1
    """Drop items with fewer events in the whole log, counted once."""
    min_sequence_events: Positive = 1
    """Drop sequences with fewer events after the filters above."""


class SplitConfig(Part):
    """Which events may be trained on. See the evaluation page of the documentation."""

    kind: SplitKind | None = None
    """When absent: ``leave-one-out`` where sequences are users, ``holdout`` elsewhere."""
    catalogue: Literal["train", "all"] = "train"
    """What can be recommended: items with a training event, or every item known."""
    validation_share: Share | None = None
    """When absent: 0.1, and 0.02 under ``windows``, where it comes out of the nine tenths
    that are not test."""
    test_share: Share = 0.1
    """Shares of the sequences (``holdout``), of the time (``global-time``) or of the targets
    (``windows``)."""
    window: Positive = 5
    """Events that a target of the split ``windows`` is predicted from."""
    seed: Seed = 0


class PrepareConfig(Part):
    """Everything that decides what a prepared dataset holds."""

    source: SourceConfig = SourceConfig()
    filters: FilterConfig = FilterConfig()
    split: SplitConfig = SplitConfig()


class ModelConfig(Part):
    """A causal transformer over item embeddings."""

    layers: Positive = 2
    heads: Positive = 1
    width: Positive = 64
    """Dimensions of the embeddings and of the residual stream."""
    feed_forward: Positive = 256
    """Dimensions inside the feed-forward network."""
    activation: Literal["relu", "leaky_relu", "gelu", "silu"] = "gelu"
    norm: Literal["pre", "post"] = "pre"
    """Layer normalisation before each sub-layer (and once at the end), or after it."""
    dropout: Share = 0.1
    positions: Literal["learned", "none"] = "learned"
    context: Positive = 200
    """Positions that the model sees, START included."""
    tied_output: bool = True
    """Whether the output head is the item table itself."""
    start: bool = True
    """Whether sequences begin with START, so that the model can begin one from nothing."""
    end: bool = False
    """Whether the model learns where sequences end."""
    head: Literal["inner-product", "flatten"] = "inner-product"
    """What makes scores of hidden states: their inner product with the output table, or a
    dense layer over the states of all positions laid side by side, then that product. The
    second predicts what follows a whole window only, never what follows each position."""
    head_width: Positive = 16
    """Dimensions of the dense layer of the head ``flatten``."""
    item_features: Names = ()
    """Columns of the items that the model reads: words (artist, genres), numbers (year), or
    lists of numbers, which are projected."""
    item_features_at: Literal["input", "output", "both"] = "both"
    sequence_features: Names = ()
    """What the model is told of a sequence: columns of its attributes (a playlist's name, an
    age group), or ``user`` for an embedding of the sequence's own id."""
    sequence_width: Positive | None = None
    """Dimensions of what the model is told of a sequence; ``width`` when absent. Another
    width takes the head ``flatten``, which joins it to every position's state; elsewhere it
    is added to every position's input."""
    initialisation: Literal["normal", "uniform", "singular-vectors"] = "normal"
    """How tables begin: drawn at random, or the items' with the leading singular vectors of
    the training sequences, so that items found together begin together."""
    initial_scale: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of fresh embeddings, or their bound if they are uniform."""
    scale_embeddings: bool = True
    """Whether embeddings are multiplied by the root of the width where they enter."""

    @model_validator(mode="after")
    def _parts_fit(self) -> ModelConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.head == "flatten" and self.tied_output:
            raise ValueError("the head 'flatten' needs tied_output = false")
        if self.head == "flatten" and self.item_features and self.item_features_at != "input":
            raise ValueError("the head 'flatten' takes item_features_at = 'input'")
        if self.head != "flatten" and self.sequence_width not in (None, self.width):
            raise ValueError(
                f"sequence_width {self.sequence_width} is added to states of width {self.width}"
            )
        return self


class LossConfig(Part):
    """What is minimised at every position that has a target."""

    kind: Literal["softmax", "sampled-softmax"] = "softmax"
    """``softmax`` is exact over the catalogue, computed by blocks of it."""
    negatives: Positive = 1024
    """Negatives of ``sampled-softmax``: a position's, or a batch's if they are shared."""
    proposal: Literal["uniform", "log-uniform"] = "uniform"
    """What negatives are drawn from: every item alike, or by rank of popularity, the chance
    falling as one over the rank."""
    estimator: Estimator = "with-target"
    """How the sum over the catalogue is estimated: the target's own term exactly and the
    rest from the sample; everything from the sample; or as the first, with the bias of the
    logarithm taken off to second order."""
    shared_negatives: bool = True
    """Whether all positions of a batch share one draw of negatives."""
    log_q: bool = True
    """Whether the logits of negatives are corrected for how often they are drawn."""

    @model_validator(mode="after")
    def _estimates_a_sum(self) -> LossConfig:
        # Without the correction there is no sum over the catalogue that could be estimated.
        if not self.log_q and self.estimator != "with-target":
            raise ValueError(f"the estimator {self.estimator!r} needs log_q = true")
        return self


class OptimizerConfig(Part):
    """AdamW with a schedule and gradient clipping."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """After the warm-up: constant, or falling to zero over the rest of the run."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    beta1: Share = 0.9
    beta2: Share = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Largest global norm of a gradient; larger ones are scaled down to it."""


class TrainingConfig(Part):
    """How long, on what, and how it is watched."""

    batch_size: Positive = 128
    epochs: Positive = 100
    max_steps: Positive | None = None
    """Stop after so many steps even if epochs remain."""
    window: Literal["last", "random"] = "random"
    """Which part of a sequence longer than the context is trained on in an epoch."""
    rows: Literal["sequences", "targets"] | None = None
    """What a row of a batch is: a sequence with a label at every position, or one target and
    the events before it. When absent: targets under the split ``windows`` and for the head
    ``flatten``, else sequences."""
    horizon: Positive = 1
    """A position's label is drawn from so many of the next events; 1 is the next one."""
    unknown_rate: Share | Literal["good-turing"] = 0.01
    """Share of the events that are replaced by UNK in training, so that a model knows what to
    make of an unknown item in its context. ``good-turing`` is the share of unseen items that
    the training data predicts: that of the events whose item occurs once."""
    feature_dropout: Share = 0.0
    """Share of the rows that are trained on without what is told of the sequence, so that the
    model can do without it; drawn for each feature by itself."""
    rating_scale: Annotated[tuple[float, float], Field(strict=False)] | None = None
    """The lowest and highest rating. When given, a label weighs by its rating, from 1 for
    the highest down to 0.2 for the lowest; unrated ones weigh 1."""
    validate_every: Positive | None = None
    """Steps between validations; an epoch when absent."""
    validation_metric: Literal["ndcg@10", "hr@10", "mrr@10", "mrr", "loss"] = "ndcg@10"
    """What decides which weights are the best; the lowest ``loss``, else the highest value."""
    validation_sequences: Positive = 2_000
    """At most so many sequences are validated on, a seeded draw."""
    patience: Positive | None = None
    """Stop after so many validations without a better one."""
    checkpoint_every: Positive | None = None
    """Steps between checkpoints; at every validation when absent."""
    log_every: Positive = 10
    """Steps between lines of metrics."""
    seed: Seed = 0

    @model_validator(mode="after")
    def _scale_rises(self) -> TrainingConfig:
        if self.rating_scale is not None and self.rating_scale[0] >= self.rating_scale[1]:
            lowest, highest = self.rating_scale
            raise ValueError(f"rating_scale {lowest:g} to {highest:g} does not rise")
        return self


class EvaluationConfig(Part):
    """What rankers are asked, and how their answers count."""

    task: Task | None = None
    """When absent: both under the split ``holdout``, next items elsewhere."""
    seen: Seen | None = None
    """Whether items of the history may be recommended; ``exclude-context`` forbids those of
    the split's window only, and is the default of ``windows``. Elsewhere: ``exclude``."""
    unknown_targets: Literal["miss", "drop"] = "miss"
    """Targets outside the catalogue count as misses, or not at all."""
    targets: Literal["last", "first", "random", "every"] = "last"
    """Which events of a sequence are predicted (split ``global-time``)."""
    ks: tuple[Positive, ...] | None = None
    """Cut-offs of the metrics; when absent 1, 5, 10 and 20, as far as the catalogue goes."""
    given: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """First events given (continuation). When absent 1, 5, 10, 25 and 100, and before them 0
    where every ranker can begin from nothing."""
    given_random: tuple[Positive, ...] = (25, 100)
    """Events given at random places, in order (continuation)."""
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


class Config(Part):
    """A training run."""

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
