"""The configuration of a training run: model, ensemble, loss, optimizer and training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segue.config.section import (
    ColumnNames,
    ConfigSection,
    DeviceFloat,
    Dimension,
    Seed,
    Share,
    StepCount,
)

Estimator = Literal["with-target", "negatives-only", "bias-corrected"]
Precision = Literal["float32", "bfloat16"]
UpdateMode = Literal["dense", "sparse", "sparse-rowwise"]


class ModelConfig(ConfigSection):
    """A causal transformer over item embeddings."""

    layers: Annotated[int, Field(gt=0, le=1_000)] = 2
    """Number of transformer blocks."""
    heads: Dimension = 1
    """Attention heads per block; ``width`` must be a multiple."""
    width: Dimension = 64
    """Dimensions of the embeddings and of the residual stream."""
    feed_forward: Dimension = 256
    """Dimensions inside the feed-forward network."""
    activation: Literal["relu", "leaky_relu", "gelu", "silu"] = "gelu"
    """Activation of the feed-forward network."""
    norm: Literal["pre", "post"] = "pre"
    """Layer normalisation before each sub-layer (and once at the end), or after it."""
    dropout: Share = 0.1
    """Share of the activations that are dropped in training."""
    positions: Literal["learned", "none"] = "learned"
    """Position embeddings."""
    context: Dimension = 200
    """Positions that the model attends to, including START."""
    tied_output: bool = True
    """Whether the output embeddings are the item embeddings."""
    start: bool = True
    """Whether sequences start with START, which lets the model predict a first item."""
    end: bool = False
    """Whether END is predicted after the last event of a sequence."""
    head: Literal["inner-product", "flatten"] = "inner-product"
    """How scores are computed from hidden states. ``inner-product``: with the output
    embeddings. ``flatten``: a dense layer over the concatenated states of all positions, then
    the inner product; it predicts only what follows the complete window, not what follows each
    position."""
    head_width: Dimension = 16
    """Dimensions of the dense layer of ``head = "flatten"``."""
    item_features: ColumnNames = ()
    """Columns of the items that are inputs of the model: words (artist, genres), numbers
    (year), or lists of numbers, which are projected."""
    item_features_at: Literal["input", "output", "both"] = "both"
    """Which item embeddings the item features are added to."""
    sequence_features: ColumnNames = ()
    """Attributes of a sequence that are inputs of the model: columns (a playlist's name, an
    age group), or ``user`` for an embedding of the sequence's id."""
    sequence_width: Dimension | None = None
    """Dimensions of the sequence-feature embedding; by default ``width``. It is added to the
    input of every position, or with ``head = "flatten"`` concatenated to the state of every
    position; only then may it differ from ``width``."""
    embedding_precision: Precision = "float32"
    """How item embeddings are stored. ``bfloat16`` halves their memory and needs sparse updates,
    which are computed in float32 and rounded stochastically."""
    initialisation: Literal["normal", "uniform", "singular-vectors"] = "normal"
    """How embeddings are initialised: at random, or with ``singular-vectors`` those of items
    from the leading singular vectors of the training sequences, which makes items that occur
    together similar from the start."""
    initial_scale: Annotated[DeviceFloat, Field(gt=0, le=1e6)] = 0.02
    """Standard deviation of random embeddings, or their bound if they are uniform."""
    scale_embeddings: bool = True
    """Whether input embeddings are multiplied by the square root of ``width``."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self

    @model_validator(mode="after")
    def _options_fit_the_head(self) -> ModelConfig:
        if self.head == "flatten" and self.tied_output:
            raise ValueError("head = 'flatten' needs tied_output = false")
        if self.head == "flatten" and self.item_features and self.item_features_at != "input":
            raise ValueError("head = 'flatten' needs item_features_at = 'input'")
        if self.head != "flatten" and self.sequence_width not in (None, self.width):
            raise ValueError(
                f"sequence_width {self.sequence_width} differs from width {self.width}, which "
                "needs head = 'flatten'"
            )
        return self


class LossConfig(ConfigSection):
    """The loss that is minimised at every position that has a label; see ``docs/losses.md``."""

    kind: Literal["softmax", "sampled-softmax"] = "softmax"
    """``softmax`` is exact over the catalogue, computed in blocks of items."""
    negatives: Dimension = 1024
    """Negatives of ``sampled-softmax`` per position, or per batch if they are shared."""
    negative_sampler: Literal["uniform", "log-uniform"] = "uniform"
    """The distribution of negatives: uniform over the items, or about proportional to
    one over the popularity rank."""
    estimator: Estimator = "with-target"
    """How the sum over the catalogue is estimated. ``with-target``: the target's term exactly,
    the others from the sample. ``negatives-only``: all from the sample. ``bias-corrected``: as
    ``with-target``, with the bias of the logarithm removed to second order."""
    shared_negatives: bool = True
    """Whether all positions of a batch share one sample of negatives."""
    in_batch: bool = False
    """Whether the labels of a batch are additional negatives of its other positions; their
    log-q correction uses their share of the training labels."""
    log_q: bool = True
    """Whether the logits of negatives have the log-q correction for their sampling frequency."""

    @model_validator(mode="after")
    def _estimator_fits(self) -> LossConfig:
        # Without the correction, the sample does not estimate a sum over the catalogue.
        if not self.log_q and self.estimator != "with-target":
            raise ValueError(f"estimator = {self.estimator!r} needs log_q = true")
        fits = self.estimator == "with-target" and self.shared_negatives and self.log_q
        if self.in_batch and not fits:
            raise ValueError(
                "in_batch = true needs shared_negatives = true, log_q = true and estimator = "
                "'with-target'"
            )
        return self


MemberName = Literal["co-occurrence", "item-knn", "ease", "tale", "puresvd"]


class EnsembleConfig(ConfigSection):
    """Models whose scores are added to the transformer's at inference; training ignores them."""

    members: Annotated[tuple[MemberName, ...], Field(strict=False)] = ()
    """Count-based and linear models that are tuned and fitted after the last step. Their weights
    and the transformer's are fitted on the validation part; a model that does not help is left
    out."""
    second_context: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Context of a second transformer, which is trained after the first one, on single targets,
    and also reads the user; 0 for none. It is in the run folder ``second/`` and is weighted like
    the members."""
    second_steps: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Number of steps of the second transformer; by default five passes over the targets. A
    budget determines it before the first step: 0, which leaves it out, if the budget allows fewer
    than 1.5 passes, or if most users of the validation part have no training events."""
    trials: Annotated[int, Field(gt=0, le=10_000)] = 30
    """Sets of parameters of each member that are tried on the validation part."""
    max_fit_s: Annotated[DeviceFloat, Field(gt=0)] = 60.0
    """Estimated core-seconds of all fits of a member together: how many of the sets need a fit of
    their own."""
    puresvd_factors: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Factors (singular vectors) of PureSVD, fitted on the training events; 0 for no PureSVD."""
    puresvd_weight: Annotated[DeviceFloat, Field(gt=0)] = 16.0
    """Mixture weight of PureSVD, in nats for a cosine of 1."""

    @property
    def has_second(self) -> bool:
        """Whether there is a second transformer."""
        return bool(self.second_context) and self.second_steps != 0

    @property
    def is_fitted(self) -> bool:
        """Whether there are members whose weights are fitted on the validation part."""
        return bool(self.members) or self.has_second

    @model_validator(mode="after")
    def _weights_are_fitted_or_given(self) -> EnsembleConfig:
        if self.is_fitted and self.puresvd_factors:
            raise ValueError(
                "members and second_context have fitted weights, puresvd_factors a given one: set "
                "puresvd_factors = 0 and add 'puresvd' to members"
            )
        return self


class OptimizerConfig(ConfigSection):
    """AdamW with a schedule and gradient clipping."""

    embedding_updates: UpdateMode = "dense"
    """How item embeddings are updated. ``dense``: every row at every step. ``sparse``: only the
    rows that the batch uses, each with its own moments. ``sparse-rowwise``: the same rows, with
    one second moment per row and no first. Sampled losses use few rows; with many items, dense
    updates take most of the time of a step."""
    feature_embedding_updates: UpdateMode = "dense"
    """The same for the embeddings of features: users, artists, words of names."""
    sparse_learning_rate_scale: Annotated[DeviceFloat, Field(gt=0)] = 1.0
    """Factor of the learning rate for embeddings with sparse updates. Their rows move only at the
    steps that use them, without the drift of dense momentum: rare items need more than 1, or
    less where they begin as singular vectors."""
    state_precision: Precision = "float32"
    """How the moments of ``sparse`` updates are stored; bfloat16 is rounded stochastically."""
    learning_rate: Annotated[DeviceFloat, Field(gt=0)] = 1e-3
    """Learning rate after the warm-up."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """After the warm-up: constant, or decaying to zero over the rest of the run."""
    warmup_steps: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Steps in which the learning rate rises linearly from 0."""
    weight_decay: Annotated[DeviceFloat, Field(ge=0)] = 0.0
    """Decoupled weight decay of AdamW."""
    beta1: Share = 0.9
    """Decay rate of the first moment."""
    beta2: Share = 0.999
    """Decay rate of the second moment."""
    epsilon: Annotated[DeviceFloat, Field(gt=0)] = 1e-8
    """Added to the root of the second moment."""
    clip_norm: Annotated[DeviceFloat, Field(gt=0)] | None = None
    """Gradients with a larger global norm are scaled down to this norm."""


class TrainingConfig(ConfigSection):
    """Batches, duration, regularisation, validation and checkpoints of a training run."""

    batch_size: Dimension = 128
    """The most rows of a batch. The batches of an epoch have equal numbers of rows."""
    epochs: StepCount = 100
    """Passes over the training data."""
    max_steps: StepCount | None = None
    """Stop after this many steps even if epochs remain."""
    budget_s: Annotated[DeviceFloat, Field(gt=0)] | None = None
    """Core-seconds of the whole run: process time, validations and ensemble members included. A
    probe turns it into ``max_steps`` before the first step; afterwards the clock may only stop the
    run earlier."""
    bucket_by_length: bool = True
    """Whether the rows of each batch are computed in up to eight buckets of similar length, which
    avoids most of the padding. Every batch has the same numbers of short and long rows, so the
    expected gradient does not change."""
    window: Literal["last", "random"] = "random"
    """Which part of a sequence longer than the context is trained on in an epoch."""
    rows: Literal["sequences", "targets"] | None = None
    """What a row of a batch is: a sequence with a label at every position, or one target with
    the events before it. By default ``targets`` under the split ``windows`` and with
    ``head = "flatten"``, else ``sequences``."""
    horizon: Annotated[int, Field(gt=0, le=10_000)] = 1
    """The label of a position is drawn from this many of the next events; 1 is the next event,
    the only possible value with ``rows = "targets"``."""
    unknown_rate: Share | Literal["good-turing"] = 0.01
    """Share of the events that are replaced by UNK in training, so that the model learns to
    handle unknown items in its context. ``good-turing`` is the Good-Turing estimate of the share
    of unseen items: the share of training events whose item occurs once."""
    feature_dropout: Share = 0.0
    """Share of the rows in which a sequence feature is omitted in training, drawn independently
    for each feature, so that the model does not depend on it."""
    rating_scale: Annotated[tuple[DeviceFloat, DeviceFloat], Field(strict=False)] | None = None
    """The lowest and highest rating. If set, labels are weighted by their rating, from 1 for the
    highest to 0.2 for the lowest; unrated ones have weight 1."""
    validate_every: StepCount | None = None
    """Steps between validations; by default one epoch."""
    validation_metric: Literal["ndcg@10", "hr@10", "mrr@10", "mrr", "loss"] = "ndcg@10"
    """The metric that selects the best weights: the lowest ``loss``, or the highest value of any
    other metric."""
    validation_sequences: StepCount = 2_000
    """Validate on at most this many sequences, the same random draw in every run."""
    patience: StepCount | None = None
    """Stop after this many validations without improvement."""
    checkpoint_every: StepCount | None = None
    """Steps between checkpoints; by default at every validation."""
    log_every: StepCount = 10
    """Steps between entries of the metrics log."""
    seed: Seed = 0
    """Seed of the initial parameters and of all random draws of the training."""

    @model_validator(mode="after")
    def _scale_rises(self) -> TrainingConfig:
        if self.rating_scale is not None and self.rating_scale[0] >= self.rating_scale[1]:
            lowest, highest = self.rating_scale
            raise ValueError(
                f"rating_scale {lowest:g} to {highest:g}, expected the lowest rating, then the "
                "highest"
            )
        return self


MAX_BATCH_POSITIONS = 1 << 28
"""Largest number of positions of a batch: 1 GiB of item indices."""


class Config(ConfigSection):
    """The complete configuration of a training run."""

    model: ModelConfig = ModelConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _batch_has_a_possible_size(self) -> Config:
        size, context = self.training.batch_size, self.model.context
        if size * (context + self.training.horizon) > MAX_BATCH_POSITIONS:
            raise ValueError(
                f"training.batch_size {size} with model.context {context} and training.horizon "
                f"{self.training.horizon} is a batch of more than {MAX_BATCH_POSITIONS} positions"
            )
        return self

    @model_validator(mode="after")
    def _sparse_updates_fit(self) -> Config:
        model, optimizer = self.model, self.optimizer
        items, features = optimizer.embedding_updates, optimizer.feature_embedding_updates
        if items != "dense" and self.loss.kind == "softmax":
            raise ValueError(
                f"optimizer.embedding_updates {items!r} updates only the rows that a batch uses, "
                "but loss.kind 'softmax' uses every row: set loss.kind to 'sampled-softmax'"
            )
        if items == "dense" and model.embedding_precision != "float32":
            raise ValueError(
                f"model.embedding_precision {model.embedding_precision!r} needs sparse updates: "
                "set optimizer.embedding_updates to 'sparse' or 'sparse-rowwise'"
            )
        if items == "dense" and features != "dense" and model.item_features:
            raise ValueError(
                f"optimizer.feature_embedding_updates {features!r} with model.item_features needs "
                "sparse updates of the items too: set optimizer.embedding_updates to 'sparse' or "
                "'sparse-rowwise', and loss.kind to 'sampled-softmax'"
            )
        if features != "dense" and not (model.item_features or model.sequence_features):
            raise ValueError(
                f"optimizer.feature_embedding_updates {features!r} needs features: set "
                "model.item_features or model.sequence_features"
            )
        if optimizer.sparse_learning_rate_scale != 1 and (items, features) == ("dense", "dense"):
            raise ValueError(
                f"optimizer.sparse_learning_rate_scale {optimizer.sparse_learning_rate_scale:g} "
                "applies to sparse updates only: set optimizer.embedding_updates to 'sparse' or "
                "'sparse-rowwise'"
            )
        if optimizer.state_precision != "float32" and "sparse" not in (items, features):
            raise ValueError(
                f"optimizer.state_precision {optimizer.state_precision!r} applies to 'sparse' "
                "updates only: set optimizer.embedding_updates or "
                "optimizer.feature_embedding_updates to 'sparse'"
            )
        return self
