"""A request as one JSON object: the arguments of ``Recommender.recommend`` with strict types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from segue.config import validated
from segue.config.section import ConfigSection
from segue.errors import ConfigError, RequestError
from segue.recommender.ids import Id
from segue.storage.reading import Problems, read_json

FILE_PROBLEMS = Problems(RequestError, 'write one JSON object, such as {"items": ["12"], "k": 5}')


class RecommendBody(ConfigSection):
    """The keys of a request; each is documented in ``Recommender.recommend``."""

    items: list[Id] = Field(default_factory=list)
    k: int = 10
    user: Id | None = None
    sequence_features: dict[str, str] | None = None
    include_seen: bool | None = None
    exclude: list[Id] | None = None
    only: list[Id] | None = None
    where: str | list[str] | None = None
    cap: dict[str, int] | None = None
    diversity: float | None = None
    popularity: float | None = None
    like: list[Id] | None = None
    unlike: list[Id] | None = None


def read_body(path: Path) -> dict[str, Any]:
    """The arguments that a JSON file gives to ``Recommender.recommend``.

    Raises:
        RequestError: the file cannot be read, is no JSON object, or has a key that is unknown or
            of a wrong type.
    """
    content = read_json(path, FILE_PROBLEMS)
    try:
        body = validated(RecommendBody, content, label="request key")
    except ConfigError as error:
        raise RequestError(f"{path}: {error.message}", error.hint) from None
    return body.model_dump(exclude_unset=True)
