"""``POST /v1/recommend``, ``/v1/generate``, ``/v1/score``, ``/v1/explain``, ``/v1/similar``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from segue.server.bodies import (
    ExplainCall,
    GenerateCall,
    Many,
    RecommendCall,
    ScoreCall,
    SimilarCall,
)
from segue.server.request_record import record_of
from segue.server.routes import BODY_ERRORS
from segue.server.schemas import (
    AnswerShape,
    AnswersShape,
    ExplanationShape,
    ExplanationsShape,
    ManyScoresShape,
    ScoresShape,
)
from segue.server.service import ClientDisconnectedError

CLIENT_CLOSED_REQUEST = 499
"""A status for the log alone: nobody receives the response."""
VERSION_HEADER = "x-model-version"
"""The response header with the version of the model that answered."""

router = APIRouter(tags=["recommendations"])
_LISTS: dict[int | str, Any] = {200: {"model": AnswerShape | AnswersShape}, **BODY_ERRORS}
_EXPLANATIONS: dict[int | str, Any] = {
    200: {"model": ExplanationShape | ExplanationsShape},
    **BODY_ERRORS,
}
_SCORES: dict[int | str, Any] = {200: {"model": ScoresShape | ManyScoresShape}, **BODY_ERRORS}


@router.post("/v1/recommend", responses=_LISTS)
async def recommend(body: RecommendCall, request: Request) -> Response:
    """The items most likely to come next, for one history or many."""
    return await _answer("recommend", body, request)


@router.post("/v1/generate", responses=_LISTS)
async def generate(body: GenerateCall, request: Request) -> Response:
    """Continue a sequence item by item; one sequence or many."""
    return await _answer("generate", body, request)


@router.post("/v1/score", responses=_SCORES)
async def score(body: ScoreCall, request: Request) -> Response:
    """The score of each candidate as the next item."""
    return await _answer("score", body, request)


@router.post("/v1/explain", responses=_EXPLANATIONS)
async def explain(body: ExplainCall, request: Request) -> Response:
    """Recommend, and say how much each event contributes to each item."""
    return await _answer("explain", body, request)


@router.post("/v1/similar", responses=_LISTS)
async def similar(body: SimilarCall, request: Request) -> Response:
    """The items most similar to one, by the cosine of their vectors."""
    return await _answer("similar", body, request)


async def _answer(method: str, body: Any, request: Request) -> Response:
    record = record_of(request.scope)
    if isinstance(body, Many) and record.key is not None:
        request.app.state.limiter.charge(record.key, len(body.requests) - 1)
    try:
        answer = await request.app.state.service.answer(method, body, request.is_disconnected)
    except ClientDisconnectedError:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    record.model, record.version = answer.model.name, answer.model.version
    headers = {VERSION_HEADER: answer.model.version}
    return Response(answer.body, headers=headers, media_type="application/json")
