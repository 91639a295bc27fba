"""The base class of all configuration sections, and types that their fields share."""

from __future__ import annotations

import os
import struct
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from segue.config.quantities import to_bytes, to_seconds

SMALLEST_FLOAT32 = 2.0**-126
"""The smallest positive float32 that is not rounded to zero on every device."""


def _check_float32(value: float) -> float:
    """Refuse a number that overflows in float32, or that it rounds to zero or up to one."""
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        raise ValueError("expected a number that float32 can hold, at most 3.4e38") from None
    if value and abs(value) < SMALLEST_FLOAT32:
        raise ValueError("expected 0, or a number from 1.2e-38 up: float32 rounds others to 0")
    if value < 1 <= rounded:
        raise ValueError("float32 rounds it to 1: expected at most 0.99999994")
    return value


PositiveInt = Annotated[int, Field(gt=0, lt=2**63)]
Dimension = Annotated[int, Field(gt=0, le=1_000_000)]
"""A size of an array of the model or of a batch."""
StepCount = Annotated[int, Field(gt=0, lt=2**31)]
"""A number of steps or epochs, which the device counts in int32."""
DeviceFloat = Annotated[float, AfterValidator(_check_float32)]
"""A number that is used on the device, hence in float32."""
Share = Annotated[DeviceFloat, Field(ge=0, lt=1)]
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
