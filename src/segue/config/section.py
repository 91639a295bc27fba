"""The base class of all configuration sections, and types that their fields share."""

from __future__ import annotations

import os
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from segue.config.quantities import to_bytes, to_seconds

PositiveInt = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seconds = Annotated[float, BeforeValidator(to_seconds), Field(gt=0)]
"""A duration in seconds, or text such as ``30m``."""
Bytes = Annotated[int, BeforeValidator(to_bytes), Field(gt=0, lt=2**50)]
"""A size in bytes, or text such as ``2GB``."""
FilePath = Annotated[
    str, BeforeValidator(lambda path: os.fspath(path) if isinstance(path, os.PathLike) else path)
]
"""The path of a file."""


class ConfigSection(BaseModel):
    """A frozen section of the configuration that refuses unknown keys and values of wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


ConfigSectionT = TypeVar("ConfigSectionT", bound=ConfigSection)

ColumnNames = Annotated[tuple[str, ...], Field(strict=False)]
"""Column names, in order; in TOML and JSON a list."""
