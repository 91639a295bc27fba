"""The base class of all configuration sections, and types that their fields share."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class ConfigSection(BaseModel):
    """A frozen section of the configuration that refuses unknown keys and values of wrong type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


ConfigSectionT = TypeVar("ConfigSectionT", bound=ConfigSection)

ColumnNames = Annotated[tuple[str, ...], Field(strict=False)]
"""Column names, in order; in TOML and JSON a list."""
