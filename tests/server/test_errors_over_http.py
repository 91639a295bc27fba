"""Wrong requests: their status, one shape for all errors, and nothing that is left behind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from app_client import AppClient

from segue.server import schemas

JSON = {"content-type": "application/json"}
DEEP = b'{"items": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"


def error_of(response: Any, status: int, code: str) -> dict[str, str]:
    """The error of a response, whose status, code and shape are checked."""
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
    schemas.ErrorShape.model_validate(response.json())
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    return response.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"items": [True]}, "items[0] is true, expected a string or an integer"),
        ({"items": [1.5]}, "items[0] is 1.5, expected a string or an integer"),
        ({"items": ["i1", None]}, "items[1] is null, expected a string or an integer"),
        ({"items": [["i1"]]}, "items[0] is a list, expected a string or an integer"),
        ({"user": True}, "user is true, expected a string or an integer"),
        ({"items": "i1"}, 'items is "i1", expected a list'),
        ({"items": None}, "items is null, expected a list"),
        ({"k": "10"}, 'k is "10", expected an integer'),
        ({"k": True}, "k is true, expected an integer"),
        ({"where": 3}, "where is 3, expected a text or a list of texts"),
        ({"where": ["year > 3", 3]}, "where[1] is 3, expected a text"),
        ({"include_seen": "yes"}, 'include_seen is "yes", expected true or false'),
        ({"sequence_features": {"str": 3, "int": 4}}, "sequence_features.str is 3, expected a te"),
        ({"sequence_features": {"a b": 3}}, 'sequence_features["a b"] is 3, expected a text'),
        ({"k": 0}, "k is 0, expected 1 or more"),
        ({"k": 13}, "k is 13, more than the 12 that this server allows"),
        ({"kk": 1}, "unknown key kk"),
        ({"cap": {"title": "2"}}, 'cap.title is "2", expected an integer'),
        ({"cap": ["title"]}, "cap is a list, expected an object"),
        ({"diversity": 2}, "diversity is 2"),
        ({"popularity": "high"}, 'popularity is "high", expected a number'),
        ({"items": [""]}, "missing id"),
        ({"items": ["x"] * 51}, "items has 51 elements, more than the 50 allowed"),
        ({"items": ["x" * 1_001]}, "a text of items has more than 1,000 characters"),
        ({"sequence_features": {"mood": "x"}}, "no sequence feature 'mood'"),
        ({"requests": []}, "requests is empty"),
        ({"requests": [{}] * 65}, "requests has 65 elements"),
        ({"requests": [{"items": ["i1"]}, {"k": -1}]}, "requests[1]: k is -1"),
        ({"requests": [{"model": "cycles"}]}, "unknown key requests[0].model"),
        ({"requests": [{}], "k": 2}, "unknown key k"),
        ({"requests": [{}, {"items": [0.5]}]}, "requests[1].items[0] is 0.5, expected a string"),
        ({"requests": [{}, {"k": 13}]}, "requests[1]: k is 13, more than the 12"),
        ({"requests": [{}, []]}, "requests[1] is a list, expected an object"),
        ({"requests": 3}, "requests is 3, expected a list"),
        ([], "the body is a list, expected an object"),
        ("text", 'the body is "text", expected an object'),
        (None, "the body is null, expected an object"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_body_that_cannot_be_answered(client: AppClient, body: Any, message: str) -> None:
    response = client.post("/v1/recommend", content=json.dumps(body).encode(), headers=JSON)
    assert message in error_of(response, 422, "invalid_request")["message"]


@pytest.mark.parametrize(("path", "body", "message"), [
    ("/v1/score", {"items": ["i1"]}, "candidates is missing"),
    ("/v1/similar", {"requests": [{}]}, "requests[0].item is missing"),
    ("/v1/generate", {"locked": {"x": "i1"}}, 'a key of locked is "x", expected an integer'),
    ("/v1/items", {"ids": ["i1"] * 501}, "ids has 501 elements, expected 500 or fewer"),
    ("/v1/events", {"events": [{"time": 3}]}, "events[0].event_id is missing"),
])  # fmt: skip
def test_a_body_of_another_route(client: AppClient, path: str, body: Any, message: str) -> None:
    error = error_of(client.post(path, body), 422, "invalid_request")
    assert error["message"] == message
    assert "/openapi.json" in error["hint"]


@pytest.mark.parametrize(("path", "message"), [
    ("/v1/items", "q is missing"),
    ("/v1/items?q=x&limit=0", "limit is 0, expected 1 or more"),
    ("/v1/items?q=x&limit=many", "limit is many, expected an integer"),
    ("/v1/people?limit=1000", "limit is 1000, expected 200 or less"),
    (f"/v1/people?q={'x' * 201}", "q has 201 characters, expected 200 or fewer"),
])  # fmt: skip
def test_a_query_string(client: AppClient, path: str, message: str) -> None:
    assert error_of(client.get(path), 422, "invalid_request")["message"] == message


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"items": ["\xff"]}', b"\xff\xfe", DEEP, b'{"k": ' + b"9" * 5_000 + b"}"],
    ids=["empty", "cut", "not UTF-8", "UTF-16", "deep", "long number"],
)
def test_a_body_that_is_not_json(client: AppClient, content: bytes) -> None:
    response = client.post("/v1/recommend", content=content, headers=JSON)
    assert response.status_code in (400, 422)
    schemas.ErrorShape.model_validate(response.json())
    assert client.post("/v1/recommend", {"items": ["i1"]}).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        rb'{"items": ["\ud800"]}',
        rb'{"\ud800": 1}',
        rb'{"sequence_features": {"\ud800": "x"}}',
        rb'{"requests": [{"where": ["\udfff = 1"]}]}',
        rb'{"model": "\ud800"}',
    ],
)
def test_half_a_character_is_no_text(client: AppClient, content: bytes) -> None:
    response = client.post("/v1/recommend", content=content, headers=JSON)
    assert response.status_code == 422
    schemas.ErrorShape.model_validate(response.json())


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_the_content_type_must_be_json(client: AppClient, content_type: str) -> None:
    # A web page elsewhere can send these without the browser asking the server first.
    headers = {"content-type": content_type}
    response = client.post("/v1/recommend", content=b"{}", headers=headers)
    error_of(response, 415, "unsupported_media_type")


def test_a_compressed_body_is_refused(client: AppClient) -> None:
    headers = JSON | {"content-encoding": "gzip"}
    response = client.post("/v1/recommend", content=b"x", headers=headers)
    error_of(response, 415, "unsupported_media_type")


def test_a_large_body_is_refused_with_or_without_its_length(client: AppClient) -> None:
    body = b" " * ((1 << 20) + 1)
    error_of(client.post("/v1/score", content=body, headers=JSON), 413, "content_too_large")

    async def parts() -> Any:
        for _ in range(20):
            yield b" " * (1 << 16)

    response = client.post("/v1/score", content=parts(), headers=JSON)
    error_of(response, 413, "content_too_large")


def test_unknown_routes_methods_models_and_items(client: AppClient) -> None:
    error_of(client.get("/v2/recommend"), 404, "not_found")
    error_of(client.get("/v1/recommend"), 405, "method_not_allowed")
    error = error_of(client.post("/v1/recommend", {"model": "cycle"}), 404, "unknown_model")
    assert error["hint"] == "did you mean 'cycles'?"
    error_of(client.get("/v1/model", params={"model": "../../etc"}), 404, "unknown_model")
    error_of(client.get("/v1/items/nowhere"), 404, "unknown_item")
    error_of(client.get("/v1/items/..%2F..%2Fetc%2Fpasswd"), 404, "unknown_item")
    error_of(client.post("/v1/similar", {"item": "nowhere"}), 422, "invalid_request")
    error_of(client.get("/v1/items"), 422, "invalid_request")
    error_of(client.get("/v1/items", params={"q": "x", "limit": 0}), 422, "invalid_request")


def test_no_page_of_scripts(client: AppClient) -> None:
    for path in ("/docs", "/redoc"):
        error_of(client.get(path), 404, "not_found")
