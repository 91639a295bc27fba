"""Reading configurations: presets, TOML files and ``key=value``, checked against the parts."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segue.config.part import Part, PartT
from segue.config.training import Config
from segue.errors import ConfigError


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
        file: a TOML file with the tables ``model``, ``blend``, ``loss``, ``optimizer``,
            ``training``.
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
