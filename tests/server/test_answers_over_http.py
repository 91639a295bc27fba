"""Answers over HTTP are those of ``Recommender``, alone, together and among wrong requests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from app_client import AppClient

from segue.recommender import Answer, Recommender
from segue.server import schemas
from segue.server.page_files import page_files

HISTORIES = [["i1"], ["i3", "i4"], [], ["i11", "i0", "nowhere"], ["i5"] * 9]


def check(answer: dict[str, Any], expected: Answer) -> None:
    """Compare an answer of the server with one of the library."""
    schemas.AnswerShape.model_validate(answer)
    plain = expected.to_dict()
    for key in plain.keys() - {"items", "took_ms"}:
        assert answer[key] == plain[key]
    assert [item["item_id"] for item in answer["items"]] == [
        item["item_id"] for item in plain["items"]
    ]
    scores = [item["score"] for item in answer["items"]]
    np.testing.assert_allclose(scores, [item["score"] for item in plain["items"]], rtol=1e-4)
    assert [item["title"] for item in answer["items"]] == [i["title"] for i in plain["items"]]
    assert [item["rank"] for item in answer["items"]] == [i["rank"] for i in plain["items"]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 3},
        {"include_seen": True},
        {"exclude": ["i4"], "where": "training_count >= 1"},
        {"popularity": 0.5},
        {"like": ["i7"], "unlike": ["i8"], "k": 4},
        {"diversity": 0.5, "k": 4},
        {"only": ["i2", "i3"], "k": 5},
    ],
    ids=str,
)
def test_recommendations(
    client: AppClient, cycle_model: Recommender, options: dict[str, Any]
) -> None:
    for items in HISTORIES[:3]:
        response = client.post("/v1/recommend", {"items": items, **options})
        assert response.status_code == 200, response.text
        check(response.json(), cycle_model.recommend(items, **options))


def test_items_have_attributes(client: AppClient, cycle_model: Recommender) -> None:
    item = client.post("/v1/recommend", {"items": ["i1"]}).json()["items"][0]
    described = cycle_model.items.describe(int(cycle_model.items.find([item["item_id"]])[0]))
    assert item["attributes"] == {"training_count": described["training_count"]}


def test_many_requests_in_one_call(client: AppClient, cycle_model: Recommender) -> None:
    requests = [{"items": items, "k": 2 + n} for n, items in enumerate(HISTORIES)]
    response = client.post("/v1/recommend", {"requests": requests, "model": "cycles"})
    answers = response.json()["answers"]
    assert len(answers) == len(requests)
    for answer, request in zip(answers, requests, strict=True):
        check(answer, cycle_model.recommend(**request))


def test_requests_at_the_same_time_get_their_own_answers(
    client: AppClient, cycle_model: Recommender
) -> None:
    bodies = [{"items": [f"i{n % 12}"], "k": 3 + n % 3} for n in range(30)]
    n_calls_before = _n_calls(client)
    responses = client.post_all("/v1/recommend", bodies)
    for response, body in zip(responses, bodies, strict=True):
        check(response.json(), cycle_model.recommend(**body))
    # Fewer calls of the model than requests: they were joined.
    assert 30 / 4 <= _n_calls(client) - n_calls_before < 30


def _n_calls(client: AppClient) -> float:
    """How often the server called the model."""
    lines = client.get("/metrics").text.splitlines()
    counts = [line for line in lines if line.startswith("segue_batch_requests_count")]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


def test_a_wrong_request_harms_no_neighbour(client: AppClient, cycle_model: Recommender) -> None:
    bodies = [{"items": ["i1"]}, {"user": "nobody"}, {"items": ["i2"]}, {"where": "colour = red"}]
    first, unknown, third, condition = client.post_all("/v1/recommend", bodies)
    check(first.json(), cycle_model.recommend(["i1"]))
    check(third.json(), cycle_model.recommend(["i2"]))
    assert (unknown.status_code, condition.status_code) == (422, 422)
    assert "nobody" in unknown.json()["error"]["message"]
    assert "colour" in condition.json()["error"]["message"]


def test_the_history_of_a_user(client: AppClient, cycle_model: Recommender) -> None:
    check(client.post("/v1/recommend", {"user": "u3"}).json(), cycle_model.recommend(user="u3"))


def test_generation(client: AppClient, cycle_model: Recommender) -> None:
    bodies = [{"items": [f"i{n}"], "length": 4, "seed": n % 2, "top_k": 3} for n in range(6)]
    for response, body in zip(client.post_all("/v1/generate", bodies), bodies, strict=True):
        check(response.json(), cycle_model.generate(**body))


def test_generation_with_controls_at_the_same_time(
    client: AppClient, cycle_model: Recommender
) -> None:
    bodies = [
        {"items": [f"i{n}"], "length": 3, "seed": n, "top_k": 3, "like": ["i9"]} for n in range(3)
    ]
    for response, body in zip(client.post_all("/v1/generate", bodies), bodies, strict=True):
        check(response.json(), cycle_model.generate(**body))


def test_generation_with_locked_items_and_controls(
    client: AppClient, cycle_model: Recommender
) -> None:
    options = {"length": 4, "temperature": 0.0, "exclude": ["i5"]}
    response = client.post("/v1/generate", {"items": ["i1"], "locked": {"2": "i9"}, **options})
    check(response.json(), cycle_model.generate(["i1"], locked={2: "i9"}, **options))


def test_explanations_and_probabilities(client: AppClient, cycle_model: Recommender) -> None:
    body = {"items": ["i1", "i2"], "k": 3, "probabilities": True}
    answer, expected = client.post("/v1/explain", body).json(), cycle_model.explain(**body)
    schemas.ExplanationShape.model_validate(answer)
    assert answer["events"] == ["i1", "i2"]
    np.testing.assert_allclose(answer["contributions"], expected.contributions, rtol=1e-3)
    assert [item["why"] for item in answer["items"]] == [
        item["why"] for item in expected.to_dict()["items"]
    ]
    listed = client.post("/v1/recommend", body).json()
    schemas.AnswerShape.model_validate(listed)
    np.testing.assert_allclose(
        [item["probability"] for item in listed["items"]],
        [item.probability for item in cycle_model.recommend(**body)],
        rtol=1e-3,
    )


def test_scores(client: AppClient, cycle_model: Recommender) -> None:
    bodies = [
        {"items": ["i1"], "candidates": ["i2", "i3", "nowhere"]},
        {"items": ["i4"], "candidates": []},
        {"items": ["x"], "candidates": [7, "i5"]},
    ]
    for response, body in zip(client.post_all("/v1/score", bodies), bodies, strict=True):
        answer = response.json()
        schemas.ScoresShape.model_validate(answer)
        expected = cycle_model.score(body["items"], body["candidates"])
        scores = [item["score"] for item in answer["items"]]
        assert [score is None for score in scores] == np.isnan(expected).tolist()
        finite = [score for score in scores if score is not None]
        np.testing.assert_allclose(finite, expected[np.isfinite(expected)], rtol=1e-4)
        assert [item["item_id"] for item in answer["items"]] == [str(c) for c in body["candidates"]]
        unknown = [item for item in answer["items"] if item["score"] is None]
        assert all(item["title"] == item["item_id"] for item in unknown)
        assert answer["unknown_items"] == [i for i in body["items"] if i == "x"]


def test_similar_items(client: AppClient, cycle_model: Recommender) -> None:
    response = client.post("/v1/similar", {"item": "i1", "k": 4})
    check(response.json(), cycle_model.similar_items("i1", 4))
    many = client.post("/v1/similar", {"requests": [{"item": "i1"}, {"item": "i2", "k": 2}]})
    assert [len(answer["items"]) for answer in many.json()["answers"]] == [10, 2]


def test_search_and_items(client: AppClient, cycle_model: Recommender) -> None:
    matches = client.get("/v1/items", params={"q": "i1", "limit": 2}).json()
    schemas.MatchesShape.model_validate(matches)
    assert {item["item_id"] for item in matches["items"]} <= {"i1", "i10", "i11"}
    assert len(matches["items"]) == 2
    nothing = client.get("/v1/items", params={"q": "zzzzz"}).json()
    assert (nothing["items"], nothing["notes"]) == ([], ["no item matches"])
    item = client.get("/v1/items/i4").json()
    schemas.Item.model_validate(item)
    assert item["item_id"] == "i4"


def test_models(client: AppClient, cycle_model: Recommender) -> None:
    models = client.get("/v1/models").json()
    schemas.ModelsShape.model_validate(models)
    model = client.get("/v1/model").json()
    schemas.ModelShape.model_validate(model)
    assert model["n_items"] == models["models"][0]["n_items"] == len(cycle_model.item_ids)
    assert model["version"] == client.post("/v1/recommend", {}).headers["x-model-version"]


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_each_file_of_the_page_says_once_what_it_varies_with(
    client: AppClient, encoding: str
) -> None:
    for name, file in page_files().items():
        for further in ({}, {"if-none-match": file.tag}):
            headers = {"accept-encoding": encoding, **further}
            response = client.get(f"/page/{name}", headers=headers)
            assert response.headers.get_list("vary") == ["Accept-Encoding"], name
