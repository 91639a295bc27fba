"""Configuration: one frozen model a part, read from TOML, presets and ``key=value``.

A key that does not exist is an error that names the nearest one that does. A preset is a
TOML file in ``segue/presets``; anything it leaves out has the default given here.
"""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from segue.errors import ConfigError

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

SplitKind = Literal["holdout", "leave-one-out", "global-time", "windows"]
Task = Literal["next-item", "continuation"]
Seen = Literal["exclude", "include", "exclude-context"]


class Part(BaseModel):
    """A frozen part of the configuration that refuses unknown keys and loose types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


PartT = TypeVar("PartT", bound=Part)


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
    """A file of item attributes: titles, artists, genres, years."""
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
    validation_share: Share = 0.1
    test_share: Share = 0.1
    """Shares of the sequences (``holdout``), of the time (``global-time``) or of the targets
    (``windows``, which has no validation part)."""
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

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class LossConfig(Part):
    """What is minimised at every position that has a target."""

    kind: Literal["softmax", "sampled-softmax"] = "softmax"
    """``softmax`` is exact over the catalogue, computed by blocks of it."""
    negatives: Positive = 1024
    """Negatives of ``sampled-softmax``: a position's, or a batch's if they are shared."""
    shared_negatives: bool = True
    """Whether all positions of a batch share one draw of negatives."""
    log_q: bool = True
    """Whether the logits of negatives are corrected for how often they are drawn."""


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
    unknown_rate: Share = 0.01
    """Share of the events that are replaced by UNK in training, so that a model knows what to
    make of an unknown item in its context."""
    validate_every: Positive | None = None
    """Steps between validations; an epoch when absent."""
    validation_metric: Literal["ndcg@10", "hr@10", "mrr@10", "mrr"] = "ndcg@10"
    validation_sequences: Positive = 2_000
    """At most so many sequences are validated on, a seeded draw."""
    patience: Positive | None = None
    """Stop after so many validations without a better one."""
    checkpoint_every: Positive | None = None
    """Steps between checkpoints; at every validation when absent."""
    log_every: Positive = 10
    """Steps between lines of metrics."""
    seed: Seed = 0


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
    given: tuple[Positive, ...] = (1, 5, 10, 25, 100)
    """First events given (continuation)."""
    given_random: tuple[Positive, ...] = (25, 100)
    """Events given at random places, in order (continuation)."""
    list_length: Positive | None = None
    """Items recommended (continuation); when absent 500, or a smaller catalogue."""
    max_sequences: Positive | None = None
    """Ask about so many sequences of the part at most, a seeded draw."""
    resamples: Annotated[int, Field(ge=0)] = 1000
    """Bootstrap samples behind an interval; 0 leaves the intervals out."""
    seed: Seed = 0


class Config(Part):
    """A training run."""

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()


def presets() -> list[str]:
    """Names of the shipped configurations."""
    files = resources.files("segue").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_config(
    preset: str | None = None,
    file: str | Path | None = None,
    overrides: dict[str, Any] | list[str] | None = None,
) -> Config:
    """Read a configuration: a preset or a TOML file, then overrides on top.

    Args:
        preset: a name of ``presets()``.
        file: a TOML file with the tables ``model``, ``loss``, ``optimizer``, ``training``.
        overrides: ``{"model.layers": 4}`` or ``["model.layers=4"]``.

    Raises:
        ConfigError: unknown preset, unreadable file, unknown key, or impossible value.
    """
    if preset is not None and file is not None:
        raise ConfigError("both a preset and a configuration file were given", "give one of them")
    tables: dict[str, Any] = {}
    if preset is not None:
        tables = _read_preset(preset)
    elif file is not None:
        tables = _read_toml(Path(file))
    for key, value in _override_items(overrides):
        _set_key(tables, key, value)
    return validated(Config, tables)


def validated(model: type[PartT], values: dict[str, Any]) -> PartT:
    """Build a part from plain values.

    Raises:
        ConfigError: naming the first key that is wrong, and the nearest that exists.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = nearest(str(first["loc"][-1]), _keys_at(model, first["loc"][:-1]))
            raise ConfigError(f"unknown configuration key {key!r}", hint) from None
        message = first["msg"].removeprefix("Value error, ")
        # A rule about several keys names them itself; its input is their whole table.
        got = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
        raise ConfigError(f"configuration {key or 'value'}: {message}{got}") from None


def nearest(word: str, known: list[str]) -> str:
    """A hint that names the known word closest to a misspelt one, or all of them."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"


def _read_preset(name: str) -> dict[str, Any]:
    if name not in presets():
        raise ConfigError(f"unknown preset {name!r}", nearest(name, presets()))
    text = resources.files("segue").joinpath("presets", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "give a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", "mend that line") from None


def _override_items(overrides: dict[str, Any] | list[str] | None) -> list[tuple[str, Any]]:
    if isinstance(overrides, dict):
        return list(overrides.items())
    return [_parse_override(text) for text in overrides or []]


def _parse_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"override {text!r} has no '='", "write key=value, as in model.layers=4")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _set_key(tables: dict[str, Any], key: str, value: Any) -> None:
    """Set ``a.b`` in nested tables; a bare ``b`` is looked up in every table."""
    *parents, last = key.split(".")
    if not parents:
        owners = [part for part in Config.model_fields if last in _keys_at(Config, (part,))]
        if len(owners) != 1:
            every = [f"{p}.{k}" for p in Config.model_fields for k in _keys_at(Config, (p,))]
            hint = nearest(last, [name.split(".")[1] for name in every])
            raise ConfigError(f"unknown configuration key {key!r}", hint)
        parents = owners
    table = tables
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"configuration key {key!r}: {parent!r} is not a table")
    table[last] = value


def _keys_at(model: type[Part], path: tuple[str | int, ...]) -> list[str]:
    for step in path:
        field = model.model_fields.get(str(step))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, Part)):
            return []
        model = inner
    return list(model.model_fields)
