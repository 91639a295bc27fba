"""The number of examples of a property test whose examples are expensive."""

from __future__ import annotations

from hypothesis import settings


def examples(thorough: int) -> int:
    """The share of ``thorough`` examples that the profile of the session has (see conftest.py)."""
    most = settings.get_profile("thorough").max_examples
    return -(-thorough * settings.default.max_examples // most)
