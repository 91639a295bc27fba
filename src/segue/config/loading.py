"""Reads configurations: presets, TOML files and changes of single keys, with validation."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segue.config.section import ConfigSection, ConfigSectionT
from segue.config.training import Config
from segue.errors import ConfigError
from segue.storage.paths import check_regular, checked_path

MAX_TOML_BYTES, MAX_TOML_LINE = 200_000, 2_000
"""Most bytes of a configuration file, and of a line of it. The time that tomllib takes grows with
the square of the number of dots in a key."""


def presets() -> list[str]:
    """Names of the configurations that ship with Segue."""
    files = resources.files("segue").joinpath("presets").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_config(
    preset: str | None = None, file: str | os.PathLike[str] | None = None, **changes: Any
) -> Config:
    """Read the configuration of a training run: a preset or a TOML file, with changes.

    Args:
        preset: one of ``presets()``.
        file: a TOML file with the sections ``model``, ``ensemble``, ``loss``, ``optimizer``,
            ``training``.
        changes: values by configuration key: ``layers=4``, or with the section
            ``**{"model.layers": 4}``.

    Raises:
        ConfigError: unknown preset, unreadable file, unknown key, or impossible value.
    """
    return resolve_config(preset, file, changes)


def resolve_config(
    preset: str | None,
    config: Config | str | os.PathLike[str] | None,
    changes: Mapping[str, Any],
) -> Config:
    """The configuration that the arguments ``preset``, ``config`` and ``changes`` describe.

    Args:
        preset: one of ``presets()``.
        config: a configuration, or a TOML file with one.
        changes: values by key, as in ``load_config``; the last one of a key takes precedence.

    Raises:
        ConfigError: as for ``load_config``.
    """
    if preset is not None and config is not None:
        raise ConfigError("both a preset and a configuration were given", "give one of them")
    sections: dict[str, Any] = {}
    if isinstance(config, Config):
        sections = config.model_dump()
    elif config is not None:
        sections = _read_toml(checked_path(config, ConfigError))
    elif preset is not None:
        sections = _read_preset(preset)
    for key, value in changes.items():
        set_key(sections, dotted_key(key), value)
    return validated(Config, sections)


def validated(
    model: type[ConfigSectionT], values: dict[str, Any], label: str = "configuration key"
) -> ConfigSectionT:
    """Build a section from plain values.

    Args:
        label: what messages call a key.

    Raises:
        ConfigError: names the first key that is wrong, and for an unknown key the nearest
            known one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(step) for step in first["loc"])
        if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            hint = nearest_hint(str(first["loc"][-1]), _keys_at(model, first["loc"][:-1]))
            raise ConfigError(f"unknown {label} {key!r}", hint) from None
        message = first["msg"].removeprefix("Value error, ")
        # The message of a rule about several keys contains their values; its input is the
        # complete section.
        got = "" if isinstance(first["input"], dict) else f", got {first['input']!r}"
        where = f"{label.removesuffix(' key')} {key or 'value'}"
        raise ConfigError(f"{where}: {message}{got}") from None


LONGEST_NAME = 200
"""Characters of a name that is compared with the valid ones; the time grows with its square."""


def nearest_hint(name: str, valid_names: list[str]) -> str:
    """A hint for an unknown name: the valid name most like it, or all if none is similar."""
    if len(name) > LONGEST_NAME:
        return f"valid names: {', '.join(sorted(valid_names))}"
    close = difflib.get_close_matches(name, valid_names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"valid names: {', '.join(sorted(valid_names))}"


def leaf_keys(model: type[ConfigSection], prefix: str = "") -> list[str]:
    """The dotted keys of all values of a section and of the sections in it."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        inner = _section_type(field.annotation)
        keys += [f"{prefix}{name}"] if inner is None else leaf_keys(inner, f"{prefix}{name}.")
    return keys


def set_key(sections: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key in nested dictionaries.

    Raises:
        ConfigError: the key leads through a value that is not a section.
    """
    *parents, last = key.split(".")
    section = sections
    for parent in parents:
        section = section.setdefault(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"configuration key {key!r}: {parent!r} is not a section")
    section[last] = value


def dotted_key(key: str, model: type[ConfigSection] = Config) -> str:
    """A configuration key with its section, such as ``model.layers`` for ``layers``.

    A key that has a dot is returned as it is.

    Raises:
        ConfigError: no section has a key of this name, or several have.
    """
    if "." in key:
        return key
    keys = leaf_keys(model)
    matches = [dotted for dotted in keys if dotted.split(".")[-1] == key]
    if not matches:
        hint = nearest_hint(key, [dotted.split(".")[-1] for dotted in keys])
        raise ConfigError(f"unknown configuration key {key!r}", hint)
    if len(matches) > 1:
        message = f"the configuration key {key!r} is in several sections"
        raise ConfigError(message, f"write {' or '.join(matches)}")
    return matches[0]


def _read_preset(name: str) -> dict[str, Any]:
    if name not in presets():
        raise ConfigError(f"unknown preset {name!r}", nearest_hint(name, presets()))
    text = resources.files("segue").joinpath("presets", f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def _read_toml(path: Path) -> dict[str, Any]:
    check_regular(path, ConfigError)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOML_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "give a TOML file") from None
    if len(content) > MAX_TOML_BYTES or max(map(len, content.split(b"\n"))) > MAX_TOML_LINE:
        limits = f"{MAX_TOML_BYTES:,} bytes, or more than {MAX_TOML_LINE:,} in a line"
        message = f"{path} has more than {limits}"
        raise ConfigError(message, "give a TOML file with the settings of a run")
    try:
        return tomllib.loads(content.decode())
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply", "give sections and values") from None
    except ValueError as error:  # not TOML, not UTF-8, or an integer of thousands of digits
        raise ConfigError(f"{path} is not TOML: {error}", "correct that line") from None


def _keys_at(model: type[ConfigSection], path: tuple[str | int, ...]) -> list[str]:
    """The keys of the section at a path below ``model``; none if the path is not a section."""
    for step in path:
        field = model.model_fields.get(str(step))
        annotation = None if field is None else field.annotation
        if isinstance(annotation, type) and is_dataclass(annotation):
            return [inner_field.name for inner_field in fields(annotation)]
        inner = _section_type(annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _section_type(annotation: Any) -> type[ConfigSection] | None:
    """The annotation of a field if it is a section, else None."""
    is_section = isinstance(annotation, type) and issubclass(annotation, ConfigSection)
    return annotation if is_section else None
