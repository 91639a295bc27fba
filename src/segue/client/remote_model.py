"""``RemoteModel``: the methods of ``Recommender`` as calls over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, Unpack, overload

import numpy as np
from jaxtyping import Float32

from segue.client.blocks import REQUESTS_PER_CALL, blocks
from segue.client.requests import bodies_of, similar_body
from segue.client.responses import ExplainedAnswer, Many, Scores, decoded
from segue.client.transport import Transport
from segue.errors import ServerError
from segue.recommender.answers import Answer, Answers, Explanation
from segue.recommender.control_options import ControlOptions
from segue.recommender.ids import Id
from segue.recommender.request_body import ExplainBody, GenerateBody, RecommendBody, ScoreBody

T = TypeVar("T")


class RemoteModel:
    """A model of a server. Arguments and answers are those of ``Recommender``."""

    def __init__(self, transport: Transport, name: str | None) -> None:
        """Prepare.

        Args:
            transport: of calls to the server.
            name: of the model; None for the first one of the server.
        """
        self._transport = transport
        self._model = name

    @overload
    def recommend(
        self,
        items: Iterable[Id] = (),
        k: int = 10,
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        controls: Mapping[str, Any] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer: ...

    @overload
    def recommend(
        self,
        items: Iterable[Iterable[Id]],
        k: int = 10,
        *,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        controls: Sequence[Mapping[str, Any] | None] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answers: ...

    def recommend(
        self,
        items: Any = (),
        k: int = 10,
        *,
        user: Any = None,
        sequence_features: Any = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        controls: Any = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer | Answers:
        """``Recommender.recommend`` by the server: the items most likely to come next."""
        bodies, has_many = bodies_of(
            RecommendBody,
            items,
            shared={"k": k, "include_seen": include_seen, "probabilities": probabilities},
            per_history={"user": user, "sequence_features": sequence_features},
            controls=controls,
            shared_controls=shared_controls,
        )
        answers = self._post("/v1/recommend", bodies, has_many, Answer)
        return Answers(answers) if has_many else answers[0]

    @overload
    def generate(
        self,
        items: Iterable[Id] = (),
        length: int = 20,
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        locked: Mapping[int, Id] | None = None,
        include_seen: bool | None = None,
        seed: int = 0,
        controls: Mapping[str, Any] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer: ...

    @overload
    def generate(
        self,
        items: Iterable[Iterable[Id]],
        length: int = 20,
        *,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        locked: Sequence[Mapping[int, Id] | None] | None = None,
        include_seen: bool | None = None,
        seed: int = 0,
        controls: Sequence[Mapping[str, Any] | None] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answers: ...

    def generate(  # noqa: PLR0913 - one parameter per option
        self,
        items: Any = (),
        length: int = 20,
        *,
        user: Any = None,
        sequence_features: Any = None,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        locked: Any = None,
        include_seen: bool | None = None,
        seed: int = 0,
        controls: Any = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer | Answers:
        """``Recommender.generate`` by the server: continue a sequence item by item."""
        bodies, has_many = bodies_of(
            GenerateBody,
            items,
            shared={
                "length": length,
                "temperature": temperature,
                "top_k": top_k,
                "top_p": top_p,
                "end_weight": end_weight,
                "include_seen": include_seen,
                "seed": seed,
            },
            per_history={"user": user, "sequence_features": sequence_features, "locked": locked},
            controls=controls,
            shared_controls=shared_controls,
        )
        answers = self._post("/v1/generate", bodies, has_many, Answer)
        return Answers(answers) if has_many else answers[0]

    @overload
    def explain(
        self,
        items: Iterable[Id] = (),
        k: int = 10,
        *,
        candidates: Iterable[Id] | None = None,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        members: bool = False,
        controls: Mapping[str, Any] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Explanation: ...

    @overload
    def explain(
        self,
        items: Iterable[Iterable[Id]],
        k: int = 10,
        *,
        candidates: Sequence[Iterable[Id]] | None = None,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        members: bool = False,
        controls: Sequence[Mapping[str, Any] | None] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> list[Explanation]: ...

    def explain(  # noqa: PLR0913 - one parameter per option
        self,
        items: Any = (),
        k: int = 10,
        *,
        candidates: Any = None,
        user: Any = None,
        sequence_features: Any = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        members: bool = False,
        controls: Any = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Explanation | list[Explanation]:
        """``Recommender.explain`` by the server: recommend, and why each item."""
        bodies, has_many = bodies_of(
            ExplainBody,
            items,
            shared={
                "k": k,
                "include_seen": include_seen,
                "probabilities": probabilities,
                "members": members,
            },
            per_history={
                "user": user,
                "sequence_features": sequence_features,
                "candidates": candidates,
            },
            controls=controls,
            shared_controls=shared_controls,
        )
        answers = self._post("/v1/explain", bodies, has_many, ExplainedAnswer)
        explanations = [answer.explanation() for answer in answers]
        return explanations if has_many else explanations[0]

    def score(
        self,
        items: Any,
        candidates: Iterable[Any],
        *,
        user: Any = None,
        sequence_features: Any = None,
    ) -> Float32[np.ndarray, " candidates"] | list[Float32[np.ndarray, " candidates"]]:
        """``Recommender.score`` by the server: the score of each candidate as the next item."""
        bodies, has_many = bodies_of(
            ScoreBody,
            items,
            shared={},
            per_history={
                "user": user,
                "sequence_features": sequence_features,
                "candidates": candidates,
            },
        )
        scores = [s.array() for s in self._post("/v1/score", bodies, has_many, Scores)]
        return scores if has_many else scores[0]

    def similar_items(
        self,
        item: Any,
        k: int = 10,
        *,
        exclude: Iterable[Id] = (),
        only: Iterable[Id] | None = None,
        where: str | Iterable[str] = (),
    ) -> Answer:
        """``Recommender.similar_items`` by the server."""
        body = similar_body(item, k, exclude=exclude, only=only, where=where)
        return decoded(self._transport.post("/v1/similar", {**body, **self._named}), Answer)

    @property
    def _named(self) -> dict[str, Any]:
        return {} if self._model is None else {"model": self._model}

    def _post(
        self, path: str, bodies: list[dict[str, Any]], has_many: bool, kind: Callable[..., T]
    ) -> list[T]:
        """The answers to some requests."""
        if not has_many:
            return [decoded(self._transport.post(path, {**bodies[0], **self._named}), kind)]
        answers: list[T] = []
        for block in blocks(bodies, REQUESTS_PER_CALL):
            try:
                body = self._transport.post(path, {"requests": block, **self._named})
            except ServerError as error:
                if len(block) < len(bodies):
                    error.add_note(f"of the histories from number {len(answers)} on")
                raise
            answers += decoded(body, Many[kind]).answers  # type: ignore[valid-type]
        return answers
