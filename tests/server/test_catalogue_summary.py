"""``/v1/catalogue``, ``POST /v1/items`` and ``/v1/covers``: what a page shows of a catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from app_client import AppClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from segue.errors import RequestError
from segue.server.bodies import ItemsBody
from segue.server.catalogue_summary import N_STEPS, describe_column, popularity_steps
from segue.server.covers import MAX_BYTES, Covers
from segue.server.schemas import CatalogueShape, ItemsShape

PNG = b"\x89PNG\r\n\x1a\n"


def column(values: list) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values[:1]), pa.array(values[1:])])


def test_numbers_have_a_range() -> None:
    described = describe_column("year", column([1990, None, 2001, 1990]))
    assert described is not None
    assert (described["kind"], described["minimum"], described["maximum"]) == ("number", 1990, 2001)
    assert described["n_values"] == 2
    not_finite = describe_column("length", pa.chunked_array([[float("nan"), float("inf"), 2.0]]))
    assert not_finite is not None
    assert (not_finite["minimum"], not_finite["maximum"]) == (2.0, 2.0)


def test_texts_have_their_frequent_values_first() -> None:
    described = describe_column("artist", column(["b", "a", "a", "c", "", None, "b", "a"]))
    assert described is not None
    assert described["kind"] == "text"
    assert [(v["value"], v["n_items"]) for v in described["values"]] == [
        ("a", 3),
        ("b", 2),
        ("c", 1),
    ]


def test_of_many_texts_only_the_most_frequent_are_listed() -> None:
    texts = [f"t{n:03d}" for n in range(200)] + ["t150", "t150", "t007", "x" * 201, "x" * 201]
    described = describe_column("title", column(texts))
    assert described is not None
    assert described["n_values"] == 201
    values = [(v["value"], v["n_items"]) for v in described["values"]]
    # The text of 201 characters is among the most frequent 60, and too long to be listed.
    expected = [("t150", 3), ("t007", 2), *((f"t{n:03d}", 1) for n in range(58) if n != 7)]
    assert values == expected


def test_lists_are_counted_by_element() -> None:
    described = describe_column("genres", pa.chunked_array([[["x", "y"], None, ["y"], []]]))
    assert described is not None
    assert described["kind"] == "list"
    assert [(v["value"], v["n_items"]) for v in described["values"]] == [("y", 2), ("x", 1)]


def test_a_column_that_conditions_do_not_support_is_left_out() -> None:
    assert describe_column("vector", pa.chunked_array([[[1.0, 2.0]]])) is None
    assert describe_column("empty", pa.chunked_array([pa.array([None, ""], pa.string())])) is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=200))
def test_levels_of_popularity_have_similar_shares_of_the_events(counts: list[int]) -> None:
    steps = popularity_steps(np.array(counts, np.int64))
    assert len(steps) == N_STEPS
    assert steps == sorted(steps)
    assert set(steps) <= set(counts)
    for level, step in enumerate(steps, 1):
        below = sum(count for count in counts if count < step)
        assert below <= sum(counts) * level / (N_STEPS + 1) + 1e-6
        assert below + counts.count(step) * step >= sum(counts) * level / (N_STEPS + 1) - 1e-6


def test_the_catalogue_of_a_model(client: AppClient) -> None:
    answer = client.get("/v1/catalogue").json()
    CatalogueShape.model_validate(answer)
    assert answer["model"] == "cycles"
    counts = [item["attributes"]["training_count"] for item in answer["popular"]]
    assert counts == sorted(counts, reverse=True)
    ids = [item["item_id"] for example in answer["examples"] for item in example]
    assert len(ids) == len(set(ids)) > 0
    assert set(ids) <= {item["item_id"] for item in answer["popular"]}
    assert answer["n_covers"] == 0
    assert answer["run"] is None, "a server that others can reach shows no path"
    assert client.get("/v1/catalogue?model=x").json()["error"]["code"] == "unknown_model"


def test_items_by_their_ids(client: AppClient) -> None:
    answer = client.post("/v1/items", {"ids": ["i2", "nothing", "i1", "i2", "<b>"]}).json()
    ItemsShape.model_validate(answer)
    assert [item["item_id"] for item in answer["items"]] == ["i2", "i1"]
    assert answer["unknown_items"] == ["nothing", "<b>"]
    assert answer["items"][0] == client.get("/v1/items/i2").json()


def test_a_call_describes_500_items() -> None:
    assert len(ItemsBody(ids=["x"] * 500).ids) == 500
    with pytest.raises(ValidationError):
        ItemsBody(ids=["x"] * 501)


@pytest.mark.parametrize("body", [{}, {"ids": "i1"}, {"ids": [True]}, {"ids": ["x"] * 51}])
def test_impossible_ids(client: AppClient, body: dict) -> None:
    response = client.post("/v1/items", body)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid_request"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "covers" / "folder.png").mkdir(parents=True)
    (tmp_path / "covers" / "i1.png").write_bytes(PNG)
    (tmp_path / "covers" / "i2.JPG").write_bytes(b"jpeg")
    (tmp_path / "covers" / "i3.html").write_text("<script>")
    (tmp_path / "covers" / "i4.png").write_bytes(b"x" * (MAX_BYTES + 1))
    (tmp_path / "secret.png").write_bytes(PNG)
    return tmp_path / "covers"


def test_covers_are_the_images_of_a_folder(folder: Path) -> None:
    covers = Covers.of_folder(folder)
    assert len(covers) == 3
    assert covers.find("i1") == (PNG, "image/png")
    assert covers.find("i2") == (b"jpeg", "image/jpeg")
    for item_id in ("i3", "i4", "folder", "../secret", "secret", "covers/i1", "", "i1.png"):
        assert covers.find(item_id) is None
    (folder / "i1.png").unlink()
    assert covers.find("i1") is None


def test_a_folder_of_covers_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot read the covers"):
        Covers.of_folder(tmp_path / "nothing")


@pytest.fixture
def covered(folder: Path) -> Iterator[AppClient]:
    """A client of a server of covers without a model."""
    from segue.server.app import create_app
    from segue.server.registry import ModelRegistry

    with AppClient(create_app(ModelRegistry({}), covers=Covers.of_folder(folder))) as client:
        yield client


def test_covers_over_http(covered: AppClient) -> None:
    response = covered.get("/v1/covers/i1")
    assert (response.status_code, response.content) == (200, PNG)
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-content-type-options"] == "nosniff"
    for path in ("i3", "nothing", "..%2fsecret", "%2e%2e/secret.png", "/etc/passwd"):
        assert covered.get(f"/v1/covers/{path}").status_code == 204
