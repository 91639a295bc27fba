"""Requests as JSON objects: the arguments of ``Recommender``'s methods with strict types."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from segue.config import nearest_hint
from segue.config.section import ConfigSection
from segue.errors import RequestError
from segue.recommender.ids import Id
from segue.recommender.request_problems import problem_of
from segue.storage.reading import JSON_BYTES, Problems, decode_object, one_line, read_bytes

FILE_PROBLEMS = Problems(RequestError, 'write one JSON object, such as {"items": ["12"], "k": 5}')


Position = Annotated[int, Field(strict=False)]
"""A position in a list, from 0: keys of JSON objects are text."""


class FilterBody(ConfigSection):
    """Which items may be listed; see ``segue.recommender.control_options.ControlOptions``."""

    exclude: list[Id] | None = None
    only: list[Id] | None = None
    where: str | list[str] | None = None


class ControlBody(FilterBody):
    """The controls of a request; see ``segue.recommender.control_options.ControlOptions``."""

    cap: dict[str, int] | None = None
    diversity: float | None = None
    popularity: float | None = None
    like: list[Id] | None = None
    unlike: list[Id] | None = None


class RecommendBody(ControlBody):
    """The keys of a request; each is documented in ``Recommender.recommend``."""

    items: list[Id] = Field(default_factory=list)
    k: int = 10
    user: Id | None = None
    sequence_features: dict[str, str] | None = None
    include_seen: bool | None = None
    probabilities: bool = False


class ExplainBody(RecommendBody):
    """The keys of a request; each is documented in ``Recommender.explain``."""

    candidates: list[Id] | None = None
    members: bool = False


class GenerateBody(ControlBody):
    """The keys of a request; each is documented in ``Recommender.generate``."""

    items: list[Id] = Field(default_factory=list)
    length: int = 20
    user: Id | None = None
    sequence_features: dict[str, str] | None = None
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    end_weight: float = 0.0
    locked: dict[Position, Id] | None = None
    include_seen: bool | None = None
    seed: int = 0


class ScoreBody(ConfigSection):
    """The keys of a request; each is documented in ``Recommender.score``."""

    items: list[Id] = Field(default_factory=list)
    candidates: list[Id]
    user: Id | None = None
    sequence_features: dict[str, str] | None = None


class SimilarBody(FilterBody):
    """The keys of a request; each is documented in ``Recommender.similar_items``."""

    item: Id
    k: int = 10


BodyT = TypeVar("BodyT", bound=ConfigSection)
STANDARD_INPUT = Path("-")
"""The path that stands for standard input."""


def read_body(path: Path, kind: type[ConfigSection] = RecommendBody) -> dict[str, Any]:
    """The arguments that a JSON file gives to a method of ``Recommender``.

    Args:
        path: the file; ``-`` for standard input.
        kind: the keys of the request.

    Raises:
        RequestError: the file cannot be read, is no JSON object, or has a key that is unknown, of
            a wrong type or given twice.
    """
    text, path = _read(path)
    content = decode_object(text, path, FILE_PROBLEMS)
    json.loads(text, object_pairs_hook=partial(_check_distinct, path))
    try:
        body = checked_body(kind, content)
    except RequestError as error:
        raise RequestError(f"{path}: {error.message}", error.hint or FILE_PROBLEMS.hint) from None
    return body.model_dump(exclude_unset=True)


def checked_body(kind: type[BodyT], content: dict[str, Any]) -> BodyT:
    """A request with the keys of ``kind``.

    Raises:
        RequestError: a key is unknown, missing or of a wrong type.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problem = problem_of([dict(one) for one in error.errors()], root="the request")
    hint = ""
    if problem.unknown_key is not None:
        hint = nearest_hint(problem.unknown_key, list(kind.model_fields))
    raise RequestError(problem.message, hint)


def _read(path: Path) -> tuple[bytes, Path]:
    """The bytes of a file or of standard input, and its name in messages."""
    if path != STANDARD_INPUT:
        return read_bytes(path, FILE_PROBLEMS), path
    path = Path("standard input")
    text = sys.stdin.buffer.read(JSON_BYTES + 1)
    if len(text) > JSON_BYTES:
        raise FILE_PROBLEMS.damaged(path, f"it has more than {JSON_BYTES:,} bytes")
    return text, path


def _check_distinct(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Check that no key of a JSON object occurs twice, of which one would be lost."""
    names = [name for name, _ in pairs]
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        message = f"{path} has the key {one_line(repr(repeated[0]), 80)} twice"
        raise RequestError(message, "keep one of them")
    return dict(pairs)
