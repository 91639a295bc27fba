"""Configuration: presets, TOML files, changes of keys, and one-line errors for mistakes."""

from __future__ import annotations

import inspect
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from segue.config import (
    Config,
    ConfigSection,
    EvaluationConfig,
    ModelConfig,
    PrepareConfig,
    TrainingConfig,
    dotted_key,
    load_config,
    nearest_hint,
    presets,
    resolve_config,
    validated,
)
from segue.config.loading import leaf_keys
from segue.errors import ConfigError
from segue.trainer import train
from segue.trainer.plan import plan


@pytest.fixture
def write_toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "run.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def nested_sections(section: type[ConfigSection]) -> set[type[ConfigSection]]:
    """A section with all sections below it."""
    sections = {section}
    for field in section.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, ConfigSection):
            sections |= nested_sections(field.annotation)
    return sections


SECTIONS = sorted(
    nested_sections(Config) | nested_sections(PrepareConfig) | nested_sections(EvaluationConfig),
    key=lambda section: section.__name__,
)


# --- presets ---


def test_documented_presets_exist():
    assert {"demo", "sasrec"} <= set(presets())
    assert presets() == sorted(presets())


@pytest.mark.parametrize("name", presets())
def test_preset_loads_and_has_a_header(name: str):
    config = load_config(preset=name).model_dump(mode="json")
    text = resources.files("segue").joinpath("presets", f"{name}.toml").read_text("utf-8")
    assert text.startswith("# "), "a preset starts with its description and its command"
    for section, values in tomllib.loads(text).items():
        for key, value in values.items():
            assert config[section][key] == value


def test_unknown_preset_suggests_the_nearest():
    with pytest.raises(ConfigError, match="unknown preset 'sasrek'") as caught:
        load_config(preset="sasrek")
    assert caught.value.hint == "did you mean 'sasrec'?"


def test_unknown_preset_unlike_all_others_lists_them():
    with pytest.raises(ConfigError) as caught:
        load_config(preset="zzzzzz")
    assert all(name in caught.value.hint for name in presets())


def test_path_is_not_a_preset():
    with pytest.raises(ConfigError, match="unknown preset"):
        load_config(preset="../presets/demo")


# --- files ---


def test_default_configuration():
    assert load_config() == Config()


def test_file(write_toml):
    path = write_toml("[model]\nlayers = 3\n[training]\nseed = 7\n")
    expected = Config.model_validate({"model": {"layers": 3}, "training": {"seed": 7}})
    assert load_config(file=path) == load_config(file=str(path)) == expected


def test_preset_and_file_exclude_each_other(write_toml):
    with pytest.raises(ConfigError, match="both a preset and a configuration were given"):
        load_config(preset="demo", file=write_toml(""))


def test_missing_file(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"missing\.toml: No such file"):
        load_config(file=tmp_path / "missing.toml")


def test_folder_instead_of_a_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="directory"):
        load_config(file=tmp_path)


def test_broken_toml_names_the_line(write_toml):
    with pytest.raises(ConfigError, match=r"is not TOML: .*line 2"):
        load_config(file=write_toml("[model]\nlayers = = 3\n"))


def test_wrong_encoding(tmp_path: Path):
    path = tmp_path / "latin.toml"
    path.write_bytes("[model]\n# größe\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(file=path)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[model]\nlayer = 3\n", "unknown configuration key 'model.layer'", "'layers'"),
        ("[modle]\nlayers = 3\n", "unknown configuration key 'modle'", "'model'"),
        (
            "layers = 3\n",
            "unknown configuration key 'layers'",
            "valid names: ensemble, loss, model",
        ),
        ("[model]\nlayers = '3'\n", "model.layers: .*integer, got '3'", ""),
        ("[model]\nlayers = true\n", "model.layers: .*integer, got True", ""),
        ("[model]\nlayers = 2.5\n", "model.layers: .*integer, got 2.5", ""),
        ("[model]\nlayers = 0\n", "model.layers: .*greater than 0, got 0", ""),
        ("[model]\ndropout = 1.0\n", "model.dropout: .*less than 1, got 1.0", ""),
        ("[model]\ntied_output = 1\n", "model.tied_output: .*boolean, got 1", ""),
        ("[model]\nactivation = 'tanh'\n", "model.activation: .*'gelu'.*got 'tanh'", ""),
        ("[optimizer]\nlearning_rate = nan\n", "optimizer.learning_rate: .*got nan", ""),
        ("[optimizer]\nlearning_rate = inf\n", "optimizer.learning_rate: .*finite.*got inf", ""),
        ("model = 3\n", "configuration model: .*got 3", ""),
    ],
)
def test_mistake_gets_one_clear_line(write_toml, text: str, message: str, hint: str):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(file=write_toml(text))
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_rule_over_two_keys_names_both_and_nothing_else():
    with pytest.raises(ConfigError) as caught:
        load_config(**{"model.width": 64, "model.heads": 5})
    assert caught.value.message == "configuration model: width 64 is not a multiple of heads 5"


def test_estimators_of_the_sum_need_the_log_q_correction():
    with pytest.raises(ConfigError, match="estimator = 'bias-corrected' needs log_q = true"):
        load_config(estimator="bias-corrected", log_q=False)
    assert not load_config(log_q=False).loss.log_q


@pytest.mark.parametrize("scale", [[5, 1], [3, 3]])
def test_rating_scale_must_rise(scale):
    message = r"configuration training: rating_scale . to ., expected the lowest rating, then"
    with pytest.raises(ConfigError, match=message):
        load_config(rating_scale=scale)
    assert load_config(rating_scale=[0.5, 5]).training.rating_scale == (0.5, 5)


# --- changes ---


def test_changes_take_precedence_over_the_preset():
    config = load_config(preset="demo", **{"model.layers": 5}, schedule="linear")
    assert (config.model.layers, config.optimizer.schedule) == (5, "linear")
    assert config.model.heads == load_config(preset="demo").model.heads


def test_changes_take_precedence_over_a_configuration():
    config = load_config(preset="demo")
    changed = resolve_config(None, config, {"layers": 5})
    assert changed.model == config.model.model_copy(update={"layers": 5})
    assert changed.training == config.training


def test_the_last_change_takes_precedence():
    assert load_config(**{"model.layers": 5, "layers": 6}).model.layers == 6


@pytest.mark.parametrize(
    ("key", "section", "value"),
    [
        ("layers", "model", 4),
        ("learning_rate", "optimizer", 1e-4),
        ("learning_rate", "optimizer", 1),
        ("tied_output", "model", False),
        ("norm", "model", "post"),
        ("kind", "loss", "sampled-softmax"),
        ("item_features", "model", ["artist", "year"]),
    ],
)
def test_a_bare_key_is_set_in_its_section(key: str, section: str, value: Any):
    config = load_config(**{key: value})
    expected = tuple(value) if isinstance(value, list) else value
    assert getattr(getattr(config, section), key) == expected
    assert config == load_config(**{f"{section}.{key}": value})


def test_no_key_is_in_two_sections():
    keys = [key for section in nested_sections(Config) - {Config} for key in section.model_fields]
    assert len(keys) == len(set(keys))


def test_no_key_has_the_name_of_an_argument():
    keys = {key.split(".")[-1] for key in leaf_keys(Config)}
    for function in (load_config, train, plan):
        assert not keys & set(inspect.signature(function).parameters)


class Sampling(ConfigSection):
    seed: int = 0


class TwoSeeds(ConfigSection):
    sampling: Sampling = Sampling()
    training: TrainingConfig = TrainingConfig()


def test_a_bare_key_of_two_sections_names_both():
    with pytest.raises(ConfigError, match="'seed' is in several sections") as caught:
        dotted_key("seed", TwoSeeds)
    assert caught.value.hint == "write sampling.seed or training.seed"
    assert dotted_key("epochs", TwoSeeds) == "training.epochs"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("model.layer", "'layers'"),
        ("layer", "'layers'"),
        ("lerning_rate", "'learning_rate'"),
        ("optimiser.beta1", "'optimizer'"),
        ("model", ""),
        ("", ""),
    ],
)
def test_an_unknown_key_suggests_the_nearest(key: str, hint: str):
    with pytest.raises(ConfigError, match="unknown configuration key") as caught:
        load_config(**{key: 4})
    assert hint in caught.value.hint


def test_a_change_below_a_plain_key():
    with pytest.raises(ConfigError, match="'layers' is not a section"):
        load_config(**{"model.layers": 2, "model.layers.deep": 3})


# --- sections ---


@pytest.mark.parametrize(
    "section", [section for section in SECTIONS if "seed" in section.model_fields]
)
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_beyond_32_bits_is_refused(section: type[ConfigSection], seed: int):
    with pytest.raises(ConfigError, match="configuration seed: "):
        validated(section, {"seed": seed})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("optimizer.epsilon", 1e-300, "float32 rounds others to 0"),
        ("optimizer.learning_rate", 1e39, "float32 can hold"),
        ("optimizer.learning_rate", 1e-46, "float32 rounds others to 0"),
        ("optimizer.weight_decay", 1e300, "float32 can hold"),
        ("optimizer.beta1", 0.999999999, "float32 rounds it to 1"),
        ("optimizer.beta2", 1e-200, "float32 rounds others to 0"),
        ("optimizer.clip_norm", 1e-60, "float32 rounds others to 0"),
        ("optimizer.sparse_learning_rate_scale", 1e40, "float32 can hold"),
        ("optimizer.warmup_steps", 10**15, "less than 2147483648"),
        ("ensemble.puresvd_weight", 1e39, "float32 can hold"),
        ("ensemble.puresvd_factors", 10**9, "less than or equal to"),
        ("model.initial_scale", 1e38, "less than or equal to 1000000"),
        ("model.initial_scale", 1e-60, "float32 rounds others to 0"),
        ("model.dropout", 0.9999999999, "float32 rounds it to 1"),
        ("model.width", 10**9, "less than or equal to"),
        ("model.layers", 10**9, "less than or equal to"),
        ("training.horizon", 10**9, "less than or equal to"),
        ("training.epochs", 10**15, "less than 2147483648"),
        ("training.max_steps", 2**31, "less than 2147483648"),
        ("training.batch_size", 10**9, "less than or equal to"),
        ("training.rating_scale", (0.0, 1e39), "float32 can hold"),
    ],
)
def test_values_that_the_device_cannot_hold_are_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(**{key: value})
    assert "\n" not in str(caught.value)


def test_a_batch_without_bounds_is_refused() -> None:
    assert load_config(context=10**6, batch_size=1).model.context == 10**6
    with pytest.raises(ConfigError, match="a batch of more than"):
        load_config(context=10**6, batch_size=10**6)


def test_usual_values_are_held() -> None:
    usual = {"learning_rate": 1e-30, "epsilon": 1e-30, "beta2": 0.9999999, "weight_decay": 0.0}
    assert load_config(**usual, beta1=0.0).optimizer.learning_rate == 1e-30


@pytest.mark.parametrize("section", SECTIONS)
def test_section_is_frozen_and_strict_and_has_defaults(section: type[ConfigSection]):
    config = section()
    for key in section.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(config, key, getattr(config, key))
    with pytest.raises(ConfigError, match="unknown configuration key"):
        validated(section, {"no_such_key": 1})
    assert validated(section, config.model_dump()) == config


def test_configuration_round_trips_through_json():
    config = load_config(preset="demo", clip_norm=1.0, max_steps=10)
    assert validated(Config, config.model_dump(mode="json")) == config


def test_configurations_compare_and_hash_by_value():
    assert hash(ModelConfig(layers=3)) == hash(ModelConfig(layers=3))
    assert ModelConfig(layers=3) != ModelConfig(layers=4)


def test_nearest_hint_suggests_a_similar_name():
    assert nearest_hint("colunm", ["column", "row"]) == "did you mean 'column'?"
    assert nearest_hint("zzz", ["row", "column"]) == "valid names: column, row"
