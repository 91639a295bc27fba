"""Items in answers: attributes as JSON, encoded once per item."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from segue.dataset import Items
from segue.tokens import UNK

CACHED_ITEMS = 100_000
"""Items whose JSON is kept: about 20 MB."""
_OUTSIDE_ATTRIBUTES = ("index", "item_id", "title")


class ItemDescriptions:
    """The attributes of items. Safe to use from several threads."""

    def __init__(self, items: Items) -> None:
        """Describe the items of a model."""
        self._items = items
        self._cache: OrderedDict[str, msgspec.Raw] = OrderedDict()

    def find(self, item_id: str) -> dict[str, Any] | None:
        """``item_id``, ``title`` and ``attributes`` of an item; None if there is none."""
        (index,) = self._items.find([item_id])
        return None if index == UNK else self.describe(int(index))

    def describe(self, index: int) -> dict[str, Any]:
        """``item_id``, ``title`` and ``attributes`` of an item index."""
        row = self._items.describe(index)
        attributes = {key: row[key] for key in row if key not in _OUTSIDE_ATTRIBUTES}
        title = row.get("title", row["item_id"])
        return {"item_id": row["item_id"], "title": title, "attributes": attributes}

    def attributes(self, item_id: str) -> msgspec.Raw:
        """The attributes of an item as JSON: what the source gave, and ``training_count``."""
        encoded = self._cache.get(item_id)
        if encoded is None:
            description = self.find(item_id)
            values = {} if description is None else description["attributes"]
            encoded = msgspec.Raw(msgspec.json.encode(values))
            self._cache[item_id] = encoded
            if len(self._cache) > CACHED_ITEMS:
                self._cache.popitem(last=False)
        return encoded
