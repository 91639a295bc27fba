"""Durations and sizes as text: seconds of ``30m``, bytes of ``2GB``."""

from __future__ import annotations

import re
from typing import Any

_SECONDS_PER_UNIT = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES_PER_UNIT = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def to_seconds(value: Any) -> Any:
    """Seconds of ``30s``, ``30m``, ``2h`` or ``1.5d``; a value that is not text is returned."""
    if not isinstance(value, str):
        return value
    return _parse(value, _SECONDS_PER_UNIT, "a number with s, m, h or d, as in 30m")


def to_bytes(value: Any) -> Any:
    """Bytes of ``500KB``, ``600MB`` or ``2GB``; a value that is not text is returned.

    The units are powers of ten.
    """
    if not isinstance(value, str):
        return value
    return round(_parse(value.upper(), _BYTES_PER_UNIT, "a number with KB, MB or GB, as in 2GB"))


def _parse(text: str, units: dict[str, float] | dict[str, int], expected: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if match is None or match[2] not in units or float(match[1]) == 0:
        raise ValueError(f"expected {expected}")
    return float(match[1]) * units[match[2]]
