"""Durations and sizes as text."""

from __future__ import annotations

import pytest

from segue.config.quantities import to_bytes, to_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30m", 1800), ("2h", 7200), ("1.5d", 129_600), (" 1 m ", 60)],
)
def test_durations(text: str, seconds: float) -> None:
    assert to_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("1KB", 1000), ("600MB", 600_000_000), ("2gb", 2 * 10**9), ("10B", 10)]
)
def test_sizes_are_powers_of_ten(text: str, size: int) -> None:
    assert to_bytes(text) == size


@pytest.mark.parametrize("text", ["", "30", "m", "-1m", "0m", "1 week", "1e3s", "nan h", "30m30s"])
def test_invalid_durations(text: str) -> None:
    with pytest.raises(ValueError, match="as in 30m"):
        to_seconds(text)


@pytest.mark.parametrize("text", ["", "2", "GB", "2GiB", "-2GB", "0GB", "2 GB RAM"])
def test_invalid_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="as in 2GB"):
        to_bytes(text)


@pytest.mark.parametrize("value", [30, 1.5, None, ["30m"]])
def test_other_values_are_left_to_the_validation(value: object) -> None:
    assert to_seconds(value) is value
    assert to_bytes(value) is value
