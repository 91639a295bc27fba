"""Bodies of calls: one request, or many as ``{"requests": [...]}``, and the name of the model.

A request has the keys of ``segue.recommender.request_body``, hence those of the methods of
``Recommender``. No key names a file.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import Discriminator, Field, Tag

from segue.config.section import ConfigSection
from segue.recommender.ids import Id
from segue.recommender.request_body import (
    ExplainBody,
    GenerateBody,
    RecommendBody,
    ScoreBody,
    SimilarBody,
)
from segue.server.errors import ApiError
from segue.server.settings import ServerSettings

ModelName = Annotated[
    str | None, Field(description="The name of a model; by default the first one of the server.")
]
BodyT = TypeVar("BodyT", bound=ConfigSection)
MAX_ITEMS = 500
"""Items that one call describes."""


class Many(ConfigSection, Generic[BodyT]):
    """Some requests to one model, which are answered in their order, all by one version."""

    requests: list[BodyT]
    model: ModelName = None


class RecommendOne(RecommendBody):
    """One request for recommendations."""

    model: ModelName = None


class ExplainOne(ExplainBody):
    """One request whose items are explained."""

    model: ModelName = None


class GenerateOne(GenerateBody):
    """One sequence to continue."""

    model: ModelName = None


class ScoreOne(ScoreBody):
    """One history with its candidates."""

    model: ModelName = None


class SimilarOne(SimilarBody):
    """One item."""

    model: ModelName = None


class RecommendMany(Many[RecommendBody]):
    """Many requests for recommendations."""


class ExplainMany(Many[ExplainBody]):
    """Many requests whose items are explained."""


class GenerateMany(Many[GenerateBody]):
    """Many sequences to continue."""


class ScoreMany(Many[ScoreBody]):
    """Many histories with their candidates."""


class SimilarMany(Many[SimilarBody]):
    """Many items."""


class ItemsBody(ConfigSection):
    """The ids of items to describe."""

    ids: Annotated[list[Id], Field(max_length=MAX_ITEMS)]
    model: ModelName = None


class ReloadBody(ConfigSection):
    """Which model to load again."""

    model: ModelName = None


def _form(body: Any) -> str:
    return "many" if isinstance(body, dict) and "requests" in body else "one"


_by_form = Discriminator(_form)
RecommendCall = Annotated[
    Annotated[RecommendOne, Tag("one")] | Annotated[RecommendMany, Tag("many")], _by_form
]
ExplainCall = Annotated[
    Annotated[ExplainOne, Tag("one")] | Annotated[ExplainMany, Tag("many")], _by_form
]
GenerateCall = Annotated[
    Annotated[GenerateOne, Tag("one")] | Annotated[GenerateMany, Tag("many")], _by_form
]
ScoreCall = Annotated[Annotated[ScoreOne, Tag("one")] | Annotated[ScoreMany, Tag("many")], _by_form]
SimilarCall = Annotated[
    Annotated[SimilarOne, Tag("one")] | Annotated[SimilarMany, Tag("many")], _by_form
]


def requests_of(call: Any, settings: ServerSettings) -> list[dict[str, Any]]:
    """The arguments of each request of a call.

    Raises:
        ApiError: there are no requests or too many, or a number, list or text is too large.
    """
    bodies: list[ConfigSection] = call.requests if isinstance(call, Many) else [call]
    if not bodies:
        message = "requests is empty, expected 1 request or more"
        raise ApiError(422, "invalid_request", message, "leave the call out")
    _check_size("requests", bodies, settings.max_requests)
    for number, body in enumerate(bodies):
        try:
            check_limits(body, settings)
        except ApiError as error:
            raise (
                error.within(f"requests[{number}]") if isinstance(call, Many) else error
            ) from None
    return [_arguments(body, settings) for body in bodies]


def _arguments(body: ConfigSection, settings: ServerSettings) -> dict[str, Any]:
    """The keys and values of a request; defaults are at most what the server allows."""
    arguments = dict(vars(body))  # iterating over the model itself takes ten times as long
    arguments.pop("model", None)
    for name, limit in _largest(settings).items():
        if name in arguments:
            arguments[name] = min(arguments[name], limit)
    return arguments


def _largest(settings: ServerSettings) -> dict[str, int]:
    return {"k": settings.max_k, "top_k": settings.max_k, "length": settings.max_length}


def check_limits(body: ConfigSection, settings: ServerSettings) -> None:
    """Refuse what would take too much memory or time, or a shape that is not compiled.

    Raises:
        ApiError: a number, list or text is too large.
    """
    largest, values = _largest(settings), vars(body)
    for name in body.model_fields_set:  # not the defaults
        value = values[name]
        if name in largest and value > largest[name]:
            message = f"{name} is {value}, more than the {largest[name]} that this server allows"
            raise ApiError(422, "invalid_request", message, "ask for fewer")
        if isinstance(value, list | dict):
            _check_size(name, value, settings.max_list)
        if isinstance(value, str | list | dict):
            _check_texts(name, value, settings.max_text)


def _check_texts(name: str, value: str | list[Any] | dict[Any, Any], limit: int) -> None:
    """Check a text, or those of a list or mapping."""
    values = [*value, *value.values()] if isinstance(value, dict) else value
    values = values if isinstance(values, list) else [values]
    texts = [text for text in values if isinstance(text, str)]
    together = "".join(texts)
    if len(together) > limit and max(map(len, texts)) > limit:
        message = f"a text of {name} has more than {limit:,} characters"
        raise ApiError(422, "invalid_request", message, "give a shorter one")
    if not _is_encodable(together):
        message = f"a text of {name} has half of a character (a surrogate)"
        raise ApiError(422, "invalid_request", message, "give whole characters")


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_size(name: str, values: Any, limit: int) -> None:
    if len(values) > limit:
        message = f"{name} has {len(values):,} elements, more than the {limit:,} allowed"
        raise ApiError(422, "invalid_request", message, "send fewer, or several calls")
