"""Configuration: presets, files, overrides, and one clear line for every mistake."""

from __future__ import annotations

import contextlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from segue.config import (
    Config,
    EvaluationConfig,
    ModelConfig,
    Part,
    PrepareConfig,
    load_config,
    nearest,
    presets,
    validated,
)
from segue.errors import ConfigError

TABLES = {"model", "loss", "optimizer", "training"}


@pytest.fixture
def write_toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "run.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def every_part(part: type[Part]) -> set[type[Part]]:
    found = {part}
    for field in part.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Part):
            found |= every_part(field.annotation)
    return found


PARTS = sorted(
    every_part(Config) | every_part(PrepareConfig) | every_part(EvaluationConfig),
    key=lambda part: part.__name__,
)


# --- presets ---


def test_the_presets_that_are_promised_exist():
    assert {"demo", "sasrec"} <= set(presets())
    assert presets() == sorted(presets())


@pytest.mark.parametrize("name", presets())
def test_preset_loads_and_says_what_it_is(name: str):
    config = load_config(preset=name).model_dump(mode="json")
    text = resources.files("segue").joinpath("presets", f"{name}.toml").read_text("utf-8")
    assert text.startswith("# "), "a preset's header says what it is and its command"
    for table, values in tomllib.loads(text).items():
        for key, value in values.items():
            assert config[table][key] == value


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown preset 'sasrek'") as caught:
        load_config(preset="sasrek")
    assert caught.value.hint == "did you mean 'sasrec'?"


def test_unknown_preset_far_from_all_lists_them():
    with pytest.raises(ConfigError) as caught:
        load_config(preset="zzzzzz")
    assert all(name in caught.value.hint for name in presets())


def test_a_path_is_no_preset():
    with pytest.raises(ConfigError, match="unknown preset"):
        load_config(preset="../presets/demo")


# --- files ---


def test_nothing_given_is_the_defaults():
    assert load_config() == Config()


def test_file(write_toml):
    path = write_toml("[model]\nlayers = 3\n[training]\nseed = 7\n")
    expected = Config.model_validate({"model": {"layers": 3}, "training": {"seed": 7}})
    assert load_config(file=path) == load_config(file=str(path)) == expected


def test_preset_and_file_exclude_each_other(write_toml):
    with pytest.raises(ConfigError, match="both a preset and a configuration file"):
        load_config(preset="demo", file=write_toml(""))


def test_missing_file(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load_config(file=tmp_path / "nowhere.toml")


def test_folder_in_place_of_a_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="directory"):
        load_config(file=tmp_path)


def test_broken_toml_says_where(write_toml):
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
        ("layers = 3\n", "unknown configuration key 'layers'", "known: blend, loss, model"),
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
def test_one_clear_line_for_a_mistake(write_toml, text: str, message: str, hint: str):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(file=write_toml(text))
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_rule_over_two_keys_names_both_and_nothing_else():
    with pytest.raises(ConfigError) as caught:
        load_config(overrides={"model.width": 64, "model.heads": 5})
    assert caught.value.message == "configuration model: width 64 is not a multiple of heads 5"


def test_an_estimate_of_the_sum_needs_the_correction():
    with pytest.raises(ConfigError, match="estimator 'bias-corrected' needs log_q = true"):
        load_config(overrides=["estimator=bias-corrected", "log_q=false"])
    assert not load_config(overrides=["log_q=false"]).loss.log_q


@pytest.mark.parametrize("scale", ["[5, 1]", "[3, 3]"])
def test_a_scale_of_ratings_rises(scale):
    with pytest.raises(ConfigError, match=r"configuration training: rating_scale . to . does not"):
        load_config(overrides=[f"rating_scale={scale}"])
    assert load_config(overrides=["rating_scale=[0.5, 5]"]).training.rating_scale == (0.5, 5)


# --- overrides ---


def test_overrides_win_over_the_preset():
    config = load_config(preset="demo", overrides=["model.layers=5", "optimizer.schedule=linear"])
    assert (config.model.layers, config.optimizer.schedule) == (5, "linear")
    assert config.model.heads == load_config(preset="demo").model.heads


def test_the_later_override_wins():
    assert load_config(overrides=["model.layers=5", "layers=6"]).model.layers == 6


@pytest.mark.parametrize(
    ("text", "table", "key", "value"),
    [
        ("layers=4", "model", "layers", 4),
        (" layers = 4 ", "model", "layers", 4),
        ("learning_rate=1e-4", "optimizer", "learning_rate", 1e-4),
        ("learning_rate=1", "optimizer", "learning_rate", 1.0),
        ("tied_output=false", "model", "tied_output", False),
        ("norm=post", "model", "norm", "post"),
        ('norm="post"', "model", "norm", "post"),
        ("kind=sampled-softmax", "loss", "kind", "sampled-softmax"),
    ],
)
def test_bare_key_is_found_in_its_table(text: str, table: str, key: str, value: Any):
    config = load_config(overrides=[text])
    assert getattr(getattr(config, table), key) == value
    assert config == load_config(overrides={f"{table}.{key}": value})


def test_no_bare_key_is_in_two_tables():
    keys = [key for part in every_part(Config) - {Config} for key in part.model_fields]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("model.layer=4", "'layers'"),
        ("layer=4", "'layers'"),
        ("lerning_rate=1", "'learning_rate'"),
        ("optimiser.beta1=0.5", "'optimizer'"),
        ("model=4", ""),
        ("=4", ""),
    ],
)
def test_unknown_override_names_the_nearest(override: str, hint: str):
    with pytest.raises(ConfigError, match="unknown configuration key") as caught:
        load_config(overrides=[override])
    assert hint in caught.value.hint


def test_override_without_equals_sign():
    with pytest.raises(ConfigError, match="'layers' has no '='"):
        load_config(overrides=["layers"])


def test_override_into_what_is_no_table(write_toml):
    with pytest.raises(ConfigError, match="'layers' is not a table"):
        load_config(overrides=["model.layers=2", "model.layers.deep=3"])


@given(st.text(max_size=30))
def test_no_override_escapes_as_anything_but_a_config_error(text: str):
    with contextlib.suppress(ConfigError):
        load_config(overrides=[text])


# --- parts ---


@pytest.mark.parametrize("part", [part for part in PARTS if "seed" in part.model_fields])
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(part: type[Part], seed: int):
    with pytest.raises(ConfigError, match="configuration seed: "):
        validated(part, {"seed": seed})


@pytest.mark.parametrize("part", PARTS)
def test_part_is_frozen_strict_and_complete_without_a_word(part: type[Part]):
    config = part()
    for key in part.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(config, key, getattr(config, key))
    with pytest.raises(ConfigError, match="unknown configuration key"):
        validated(part, {"no_such_key": 1})
    assert validated(part, config.model_dump()) == config


def test_configuration_survives_json():
    config = load_config(preset="demo", overrides=["clip_norm=1.0", "max_steps=10"])
    assert validated(Config, config.model_dump(mode="json")) == config


def test_configurations_compare_and_hash_by_value():
    assert hash(ModelConfig(layers=3)) == hash(ModelConfig(layers=3))
    assert ModelConfig(layers=3) != ModelConfig(layers=4)


def test_nearest_prefers_the_close_one():
    assert nearest("colunm", ["column", "row"]) == "did you mean 'column'?"
    assert nearest("zzz", ["row", "column"]) == "known: column, row"
