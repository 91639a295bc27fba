"""A training run: the model, its loss, its optimizer, and how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segue.config.part import Names, Part, Positive, Seed, Share

Estimator = Literal["with-target", "negatives-only", "bias-corrected"]
Precision = Literal["float32", "bfloat16"]
Updates = Literal["dense", "sparse", "sparse-lean"]


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
    table_precision: Precision = "float32"
    """How item embeddings are stored. ``bfloat16`` takes half the memory, and updates by rows,
    which are computed in float32 and rounded at random."""
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
    in_batch: bool = False
    """Whether the labels of a batch are negatives of its other positions too, beside those
    that are drawn; their log-q correction is by their share of the training labels."""
    log_q: bool = True
    """Whether the logits of negatives are corrected for how often they are drawn."""

    @model_validator(mode="after")
    def _estimates_a_sum(self) -> LossConfig:
        # Without the correction there is no sum over the catalogue that could be estimated.
        if not self.log_q and self.estimator != "with-target":
            raise ValueError(f"the estimator {self.estimator!r} needs log_q = true")
        fits = self.estimator == "with-target" and self.shared_negatives and self.log_q
        if self.in_batch and not fits:
            raise ValueError(
                "in_batch = true takes shared_negatives = true, log_q = true and the estimator "
                "'with-target'"
            )
        return self


class BlendConfig(Part):
    """What the model's scores are blended with when it answers; training knows nothing of it."""

    vectors: Annotated[int, Field(ge=0)] = 0
    """Singular vectors of the training sequences whose scores are added; 0 adds nothing."""
    weight: Annotated[float, Field(gt=0)] = 16.0
    """What these scores weigh: nats for an item that is all of the history."""


class OptimizerConfig(Part):
    """AdamW with a schedule and gradient clipping."""

    item_table: Updates = "dense"
    """How the item tables are updated: every row at every step; only the rows that a batch
    touches, each with moments of its own; or these with one second moment a row and no first.
    Sampled losses touch few rows: with many items, updating all of them is most of a step."""
    code_tables: Updates = "dense"
    """The same of the tables of codes: users, artists, words of names."""
    row_rate: Annotated[float, Field(gt=0)] = 1.0
    """What the learning rate is multiplied with for tables that are updated by rows. A row moves
    when it is touched only, where dense moments let it drift on: rare items want more than 1."""
    moment_precision: Precision = "float32"
    """How the moments of ``sparse`` tables are stored; bfloat16 is rounded at random."""
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
    bucket: bool = False
    """Whether batches are made of sequences of like length and cut to the longest of them, so
    that little padding is computed. There are four widths, and a compilation for each. Not for
    rows that are targets."""
    window: Literal["last", "random"] = "random"
    """Which part of a sequence longer than the context is trained on in an epoch."""
    rows: Literal["sequences", "targets"] | None = None
    """What a row of a batch is: a sequence with a label at every position, or one target and
    the events before it. When absent: targets under the split ``windows`` and for the head
    ``flatten``, else sequences."""
    horizon: Positive = 1
    """A position's label is drawn from so many of the next events; 1 is the next one, and all
    that there is where rows are targets."""
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


class Config(Part):
    """A training run."""

    model: ModelConfig = ModelConfig()
    blend: BlendConfig = BlendConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _end_is_comparable(self) -> Config:
        if self.blend.vectors and self.model.end:
            raise ValueError(
                "blend.vectors raises the scores of items, with which that of the end could no "
                "longer be compared: set model.end = false"
            )
        return self

    @model_validator(mode="after")
    def _rows_are_few(self) -> Config:
        model, optimizer = self.model, self.optimizer
        if optimizer.item_table != "dense" and self.loss.kind == "softmax":
            raise ValueError(
                f"optimizer.item_table {optimizer.item_table!r} updates the rows that a "
                "batch touches, but loss.kind 'softmax' touches all: set it to 'sampled-softmax'"
            )
        if optimizer.item_table == "dense" and model.table_precision != "float32":
            raise ValueError(
                f"model.table_precision {model.table_precision!r} takes updates by rows: set "
                "optimizer.item_table to 'sparse' or 'sparse-lean'"
            )
        by_codes = optimizer.code_tables != "dense" and bool(model.item_features)
        if optimizer.item_table == "dense" and by_codes:
            raise ValueError(
                f"optimizer.code_tables {optimizer.code_tables!r} takes the features of touched "
                "items: set optimizer.item_table to 'sparse' or 'sparse-lean', and loss.kind to "
                "'sampled-softmax'"
            )
        if optimizer.code_tables != "dense" and not (
            model.item_features or model.sequence_features
        ):
            raise ValueError(
                f"optimizer.code_tables {optimizer.code_tables!r} is of item_features and "
                "sequence_features, and the model has neither"
            )
        kinds = (optimizer.item_table, optimizer.code_tables)
        if optimizer.row_rate != 1 and kinds == ("dense", "dense"):
            raise ValueError(
                f"optimizer.row_rate {optimizer.row_rate:g} is of tables that are updated by rows: "
                "set optimizer.item_table to 'sparse' or 'sparse-lean'"
            )
        if optimizer.moment_precision != "float32" and "sparse" not in kinds:
            raise ValueError(
                f"optimizer.moment_precision {optimizer.moment_precision!r} is of the moments of "
                "'sparse' tables: set optimizer.item_table or optimizer.code_tables to that"
            )
        return self
