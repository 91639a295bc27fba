"""Reads configurations: presets, TOML files and ``key=value`` overrides, with validation."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segue.config.section import ConfigSection, ConfigSectionT
from segue.config.training import Config
from segue.errors import ConfigError


def presets() -> list[str]:
    """Names of the configurations that ship with Segue."""
    files = resources.files("segue").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_config(
    preset: str | None = None,
    file: str | Path | None = None,
    overrides: dict[str, Any] | list[str] | None = None,
) -> Config:
    """Read a configuration: a preset or a TOML file, with overrides applied.

    Args:
        preset: one of ``presets()``.
        file: a TOML file with the sections ``model``, ``ensemble``, ``loss``, ``optimizer``,
            ``training``.
        overrides: ``{"model.layers": 4}`` or ``["model.layers=4"]``.

    Raises:
        ConfigError: unknown preset, unreadable file, unknown key, or impossible value.
    """
    if preset is not None and file is not None:
        raise ConfigError("both a preset and a configuration file were given", "give one of them")
    sections: dict[str, Any] = {}
    if preset is not None:
        sections = _read_preset(preset)
    elif file is not None:
        sections = _read_toml(Path(file))
    for key, value in _override_items(overrides):
        _set_key(sections, key, value)
    return validated(Config, sections)


def validated(model: type[ConfigSectionT], values: dict[str, Any]) -> ConfigSectionT:
    """Build a section from plain values.

    Raises:
        ConfigError: names the first key that is wrong, and for an unknown key the nearest
            known one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = nearest_hint(str(first["loc"][-1]), _keys_at(model, first["loc"][:-1]))
            raise ConfigError(f"unknown configuration key {key!r}", hint) from None
        message = first["msg"].removeprefix("Value error, ")
        # The message of a rule about several keys contains their values; its input is the
        # complete section.
        got = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
        raise ConfigError(f"configuration {key or 'value'}: {message}{got}") from None


def nearest_hint(name: str, valid_names: list[str]) -> str:
    """A hint for an unknown name: the valid name most like it, or all if none is similar."""
    close = difflib.get_close_matches(name, valid_names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"valid names: {', '.join(sorted(valid_names))}"


def _read_preset(name: str) -> dict[str, Any]:
    if name not in presets():
        raise ConfigError(f"unknown preset {name!r}", nearest_hint(name, presets()))
    text = resources.files("segue").joinpath("presets", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "give a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", "correct that line") from None


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


def _set_key(sections: dict[str, Any], key: str, value: Any) -> None:
    """Set ``section.key`` in nested dictionaries; for a bare ``key`` its section is looked up."""
    *parents, last = key.split(".")
    if not parents:
        owners = [name for name in Config.model_fields if last in _keys_at(Config, (name,))]
        if len(owners) != 1:
            all_keys = [key for name in Config.model_fields for key in _keys_at(Config, (name,))]
            hint = nearest_hint(last, all_keys)
            raise ConfigError(f"unknown configuration key {key!r}", hint)
        parents = owners
    section = sections
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"configuration key {key!r}: {parent!r} is not a section")
    section[last] = value


def _keys_at(model: type[ConfigSection], path: tuple[str | int, ...]) -> list[str]:
    """The keys of the section at a path below ``model``; none if the path is not a section."""
    for step in path:
        field = model.model_fields.get(str(step))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, ConfigSection)):
            return []
        model = inner
    return list(model.model_fields)
