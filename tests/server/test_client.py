"""``segue.Client``: the methods, arguments and answers of ``Recommender``, over HTTP."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_overloads

import numpy as np
import pyarrow as pa
import pytest
from app_client import AppClient, InProcess

import segue
from segue.client import blocks, remote_model

if TYPE_CHECKING:
    from segue.recommender import Recommender

METHODS = ("recommend", "generate", "explain", "score", "similar_items", "search")


@pytest.fixture(scope="module")
def remote(client: AppClient) -> Iterator[segue.Client]:
    with segue.Client("http://localhost", transport=InProcess(client)) as remote:
        yield remote


def lists(answers: Any) -> list[list[tuple[str, int, float]]]:
    return [
        [(item.item_id, item.rank, pytest.approx(item.score, rel=1e-4)) for item in answer]
        for answer in answers
    ]


@pytest.mark.parametrize("name", METHODS)
def test_arguments_and_defaults_are_those_of_the_recommender(name: str) -> None:
    ours, theirs = getattr(segue.Client, name), getattr(segue.Recommender, name)
    variants = [[method, *get_overloads(method)] for method in (ours, theirs)]
    for of_client, of_model in zip(*variants, strict=True):
        signature, expected = inspect.signature(of_client), inspect.signature(of_model)
        assert _without_requests(signature) == _without_requests(expected)
        assert signature.return_annotation == expected.return_annotation


def _without_requests(signature: inspect.Signature) -> list[inspect.Parameter]:
    """The parameters, but for the type ``Request``, which only a model in the process takes."""
    return [
        parameter.replace(annotation=str(parameter.annotation).replace(" | Sequence[Request]", ""))
        for parameter in signature.parameters.values()
    ]


def test_the_client_loads_no_model_code() -> None:
    code = (
        "import sys, segue; segue.Client(); print('jax' in sys.modules, 'fastapi' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["False", "False"]


def test_one_history(remote: segue.Client, cycle_model: Recommender) -> None:
    answer = remote.recommend(["i1", "nowhere", "i2"], k=4)
    expected = cycle_model.recommend(["i1", "nowhere", "i2"], k=4)
    assert isinstance(answer, segue.Answer)
    assert lists([answer]) == lists([expected])
    assert answer.unknown_items == ["nowhere"]
    assert (answer.notes, answer.seen) == (expected.notes, expected.seen)
    assert answer.model == "cycles"
    assert answer.items[0].attributes is not None
    assert answer.items[0].attributes["training_count"] > 0
    assert answer.to_arrow().column_names == expected.to_arrow().column_names


@pytest.mark.parametrize(
    "items",
    [("i1", "i2"), iter(["i1", "i2"]), np.array(["i1", "i2"]), pa.array(["i1", "i2"])],
    ids=["tuple", "iterator", "array", "arrow"],
)
def test_histories_of_any_kind(remote: segue.Client, items: Any) -> None:
    assert [item.item_id for item in remote.recommend(items, k=1)] == ["i3"]


def test_many_histories_with_their_own_controls(
    remote: segue.Client, cycle_model: Recommender
) -> None:
    arguments: dict[str, Any] = {
        "k": 3,
        "controls": [{"exclude": ["i4"]}, None, {"popularity": np.float32(0.5)}],
        "exclude": {"i7"},
    }
    histories = [["i1", "i2"], ["i5"], []]
    answers = remote.recommend(histories, **arguments)
    assert isinstance(answers, segue.Answers)
    assert lists(answers) == lists(cycle_model.recommend(histories, **arguments))
    assert answers.to_arrow().num_rows == 9


def test_no_history_at_all(remote: segue.Client) -> None:
    assert remote.recommend(np.zeros((0, 3), np.int64)) == []


def test_more_histories_than_a_call_takes(
    remote: segue.Client, cycle_model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_model, "REQUESTS_PER_CALL", 2)
    histories = [[f"i{n}"] for n in range(5)]
    answers = remote.recommend(histories, k=2)
    assert lists(answers) == lists(cycle_model.recommend(histories, k=2))
    with pytest.raises(segue.ServerError, match=r"requests\[1\]") as raised:
        remote.recommend([*histories, ["i1"]], k=2, controls=[*[None] * 5, {"where": "nonsense"}])
    assert raised.value.__notes__ == ["of the histories from number 4 on"]


def test_calls_are_cut_by_their_size_too(
    remote: segue.Client, cycle_model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100)
    long = ["i\u00e9" * 20, "i1"]
    histories = [["i1"], ["i2"], ["i3"], long, ["i4"], ["i5"]]
    cut = list(blocks.blocks([{"items": items} for items in histories], 64))
    assert [body["items"] for block in cut for body in block] == histories
    assert [len(block) for block in cut] == [3, 1, 2]
    assert lists(remote.recommend(histories, k=2)) == lists(cycle_model.recommend(histories, k=2))


def test_generate(remote: segue.Client, cycle_model: Recommender) -> None:
    arguments: dict[str, Any] = {"length": 4, "seed": 3, "top_k": 6, "temperature": 0.7}
    one = remote.generate(["i1"], locked={np.int64(2): "i9"}, **arguments)
    assert lists([one]) == lists([cycle_model.generate(["i1"], locked={2: "i9"}, **arguments)])
    assert one.items[2].item_id == "i9"
    locks = [None, {0: "i8"}]
    many = remote.generate([["i1"], ["i2"]], locked=locks, **arguments)
    assert lists(many) == lists(cycle_model.generate([["i1"], ["i2"]], locked=locks, **arguments))


def test_score(remote: segue.Client, cycle_model: Recommender) -> None:
    one = remote.score(["i1"], ["i2", "nowhere", "i3"])
    assert isinstance(one, np.ndarray)
    assert one.dtype == np.float32
    np.testing.assert_allclose(one, cycle_model.score(["i1"], ["i2", "nowhere", "i3"]), rtol=1e-4)
    many = remote.score([["i1"], ["i2"]], [["i2"], ["i3", "i4"]])
    expected = cycle_model.score([["i1"], ["i2"]], [["i2"], ["i3", "i4"]])
    for ours, theirs in zip(many, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_explain(remote: segue.Client, cycle_model: Recommender) -> None:
    for arguments in ({"k": 3}, {"candidates": ["i3", "i7"]}, {"k": 2, "probabilities": True}):
        ours = remote.explain(["i1", "i2"], **arguments)
        theirs = cycle_model.explain(["i1", "i2"], **arguments)
        assert lists([ours]) == lists([theirs])
        assert ours.events == theirs.events
        np.testing.assert_allclose(ours.contributions, theirs.contributions, atol=1e-4)
        assert all(item.why for item in ours)
        assert ours.to_dict().keys() == theirs.to_dict().keys()
    many = remote.explain([["i1"], ["i2", "i3"]], k=2)
    assert [one.contributions.shape for one in many] == [(2, 1), (2, 2)]


def test_similar_items(remote: segue.Client, cycle_model: Recommender) -> None:
    filters: dict[str, Any] = {"k": 3, "exclude": ["i2"], "where": "training_count > 0"}
    ours = remote.similar_items("i1", **filters)
    assert lists([ours]) == lists([cycle_model.similar_items("i1", **filters)])
    assert len(remote.similar_items("i1", only=["i5"], k=2)) == 1
    assert len(remote.similar_items("i1", only=[], k=2)) == 0


def test_items_and_models(remote: segue.Client, cycle_model: Recommender) -> None:
    rows = cycle_model.search("i1", 3)
    expected = [{"title": row["item_id"], **row} for row in rows]
    ours = remote.search("i1", 3)
    assert ours == [{k: v for k, v in row.items() if k != "index"} for row in expected]
    assert remote.search("i1", 3, column="item_id") == ours
    assert remote.item("i1")["item_id"] == "i1"
    assert remote.model()["n_items"] == 12
    assert [model["name"] for model in remote.models()] == ["cycles"]


def test_a_model_by_name(client: AppClient) -> None:
    with segue.Client("http://localhost", model="cycle", transport=InProcess(client)) as misnamed:
        for call in (
            lambda: misnamed.recommend(["i1"]),
            lambda: misnamed.score([["i1"]], [["i2"]]),
            lambda: misnamed.similar_items("i1"),
            lambda: misnamed.search("i"),
            lambda: misnamed.item("i1"),
            misnamed.model,
        ):
            with pytest.raises(segue.ServerError) as raised:
                call()
            assert raised.value.code == "unknown_model"
        assert [model["name"] for model in misnamed.models()] == ["cycles"]


def test_errors_of_the_server_have_its_words(remote: segue.Client) -> None:
    with pytest.raises(segue.ServerError) as raised:
        remote.recommend(["i1"], k=13)
    error = raised.value
    assert (error.status, error.code) == (422, "invalid_request")
    assert error.message == "k is 13, more than the 12 that this server allows"
    assert error.hint == "ask for fewer"
    assert len(error.request_id) == 32
    assert str(error).endswith(f"(ask for fewer) [invalid_request, request {error.request_id}]")
    assert isinstance(error, segue.RequestError)
    for item_id in ("..", "../../etc/passwd", "a b?c#d", "%2e"):
        with pytest.raises(segue.ServerError) as raised:
            remote.item(item_id)
        assert raised.value.code == "unknown_item"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": "i1"}, "items is the single value"),
        ({"items": {"i1"}}, "has no order"),
        ({"items": [["i1"]], "user": ["a", "b"]}, "one value per history"),
        ({"items": [None]}, "missing id"),
        ({"items": ["i1"], "diversitty": 1}, "unknown argument or control 'diversitty'"),
        ({"items": ["i1"], "diversity": float("nan")}, "a number is not finite"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arguments_that_cannot_be_sent(
    remote: segue.Client, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(segue.RequestError, match=message):
        remote.recommend(**arguments)
