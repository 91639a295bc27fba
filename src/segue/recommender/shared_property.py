"""``shared_property``: a cached property whose value copies take from their original."""

from __future__ import annotations

from functools import cached_property
from typing import Any, TypeVar

ValueT = TypeVar("ValueT")


class shared_property(cached_property[ValueT]):  # noqa: N801 - used like ``cached_property``
    """A cached property that a copy takes from its original, its attribute ``_original``.

    So what is large is on the device once, whichever of the copies is asked first.
    """

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """The value of the original, computed on first use."""
        if instance is None:
            return self
        return super().__get__(instance._original or instance, owner)
