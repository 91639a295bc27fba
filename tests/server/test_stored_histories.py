"""Requests with a user: stored events join the history of the run, and rejected items stay out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from app_client import AppClient
from test_errors_over_http import error_of

from segue.event_store import DEFAULT_WEIGHTS, Event
from segue.features import USER
from segue.server.stored_histories import join_history
from segue.server.user_events import EventsOfUser

if TYPE_CHECKING:
    from segue.recommender import Recommender

AFTER_TRAINING, BEFORE_TRAINING = "2025-06-01T12:00:00Z", "2019-06-01T12:00:00Z"
DEFAULTS = {"sequence_features": None, "exclude": None}


def store(client: AppClient, user: str, *events: tuple[str, str], time: str = AFTER_TRAINING):
    """Store events (item and kind) of a user, whose earlier ones are deleted."""
    client.request("DELETE", f"/v1/users/{user}/events")
    bodies = [
        {"event_id": f"{user}-{n}", "user_id": user, "item_id": item, "time": time, "kind": kind}
        for n, (item, kind) in enumerate(events)
    ]
    assert client.post("/v1/events", {"events": bodies}).json()["stored"] == len(events)


def listed(client: AppClient, body: dict[str, Any], route: str = "recommend") -> list[Any]:
    """The ids of an answer in their order, with scores as precise as batches leave them."""
    response = client.post(f"/v1/{route}", body)
    assert response.status_code == 200, response.text
    items = response.json()["items"]
    return [(item["item_id"], round(item["score"], 3)) for item in items]


BODIES = {
    "recommend": {"k": 5},
    "generate": {"length": 3, "top_k": 1},
    "score": {"candidates": ["i5", "i1"]},
    "explain": {"k": 2},
}


@pytest.mark.parametrize("route", BODIES)
def test_a_new_user_has_the_stored_history(client: AppClient, route: str) -> None:
    store(client, "new", ("i3", "view"), ("i4", "like"))
    for items in ([], ["i5"]):
        body = {"items": ["i3", "i4", *items], **BODIES[route]}
        of_user = {"items": items, "user": "new", **BODIES[route]}
        assert listed(client, of_user, route) == listed(client, body, route)


def test_a_user_of_the_run_keeps_the_earlier_history(
    client: AppClient, cycle_model: Recommender
) -> None:
    stored_of_run = cycle_model.histories.find("u1")
    assert stored_of_run is not None
    of_run = list(stored_of_run.item_ids)
    store(client, "u1", ("i7", "view"), time=AFTER_TRAINING)
    expected = listed(client, {"items": [*of_run, "i7"]})
    assert listed(client, {"user": "u1"}) == expected
    # What was stored while the dataset still grew is in the dataset, if it is part of the history.
    store(client, "u1", ("i7", "view"), time=BEFORE_TRAINING)
    assert listed(client, {"user": "u1"}) == listed(client, {"items": of_run})


def test_a_rejected_item_is_not_listed(client: AppClient) -> None:
    store(client, "new", ("i3", "view"), ("i4", "skip"), ("i4", "view"), ("i5", "dislike"))
    answer = listed(client, {"user": "new", "k": 8, "include_seen": True, "exclude": ["i6"]})
    expected = {"items": ["i3", "i4"], "k": 8, "include_seen": True, "exclude": ["i5", "i6"]}
    assert answer == listed(client, expected)
    assert not {"i5", "i6"} & {item for item, _ in answer}


def test_a_rejection_is_not_forgotten_after_many_events(
    client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.server.user_events.HISTORY_EVENTS", 2)
    later = [("i3", "view"), ("i4", "view"), ("i3", "view")]
    store(client, "new", ("i5", "dislike"), *later)
    answer = listed(client, {"user": "new", "k": 8, "include_seen": True})
    expected = {"items": ["i4", "i3"], "k": 8, "include_seen": True, "exclude": ["i5"]}
    assert answer == listed(client, expected)


def test_a_rejection_that_arrives_late_counts_by_its_time(client: AppClient) -> None:
    store(client, "new", ("i3", "view"), ("i5", "view"))
    late = {"user_id": "new", "kind": "skip", "time": BEFORE_TRAINING}
    events = [{"event_id": f"late-{item}", "item_id": item, **late} for item in ("i5", "i6")]
    assert client.post("/v1/events", {"events": events}).json()["stored"] == 2
    ids = {item for item, _ in listed(client, {"user": "new", "k": 12, "include_seen": True})}
    assert "i5" in ids  # viewed after it was rejected
    assert "i6" not in ids


def test_many_requests_each_with_its_user(client: AppClient) -> None:
    store(client, "new", ("i3", "view"))
    store(client, "other", ("i8", "view"))
    many = {"requests": [{"user": "new"}, {"items": ["i1"]}, {"user": "other"}, {"user": "u1"}]}
    answers = client.post("/v1/recommend", many).json()["answers"]
    first = [answer["items"][0]["item_id"] for answer in answers]
    assert first[:3] == ["i4", "i2", "i9"]


def test_a_user_that_nobody_knows(client: AppClient) -> None:
    error = error_of(client.post("/v1/recommend", {"user": "nobody"}), 422, "invalid_request")
    assert error["message"] == (
        "user 'nobody' has no stored events, and the run cycles does not know it"
    )
    assert "POST /v1/events" in error["hint"]
    many = {"requests": [{"items": ["i1"]}, {"user": "nobody"}]}
    error = error_of(client.post("/v1/recommend", many), 422, "invalid_request")
    assert error["message"].startswith("requests[1]: user 'nobody'")
    for impossible in ("x" * 300, "\0"):
        error_of(client.post("/v1/recommend", {"user": impossible}), 422, "invalid_request")


def test_items_that_the_run_does_not_know_are_reported(client: AppClient) -> None:
    store(client, "new", ("i3", "view"), ("since-then", "view"), ("never-seen", "skip"))
    answer = client.post("/v1/recommend", {"user": "new"}).json()
    assert answer["unknown_items"] == ["since-then"]


def of_user(*items: str) -> EventsOfUser:
    """What is stored of a user with some views."""
    return EventsOfUser([Event(item, "user", item, 0, "view") for item in items], set())


def test_a_user_of_training_keeps_the_embedding(genre_run: Path) -> None:
    from segue.recommender import Recommender

    model = Recommender.load(genre_run, histories=lambda user: None)
    user = next(iter(model.ensemble.vocabulary.values[USER]))
    arguments = {"items": ["b"], "user": user, **DEFAULTS}
    joined = join_history(model, arguments, user, of_user("a"), DEFAULT_WEIGHTS)
    assert (joined["items"], joined["user"]) == (["a", "b"], None)
    assert joined["sequence_features"] == {USER: user}
    assert join_history(model, arguments, user, of_user(), DEFAULT_WEIGHTS)["items"] == ["b"]


def test_a_run_whose_dataset_is_gone_answers_from_the_store(
    cycle_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segue.errors import DatasetError, RequestError
    from segue.recommender import Recommender
    from segue.recommender.histories import TrainingHistories

    def find(_: TrainingHistories, user: str) -> None:
        raise DatasetError("it is gone")

    monkeypatch.setattr(TrainingHistories, "find", find)
    model = Recommender.load(cycle_run)
    arguments = {"items": [], "user": "u1", **DEFAULTS}
    joined = join_history(model, arguments, "u1", of_user("i1"), DEFAULT_WEIGHTS)
    assert (joined["items"], joined["user"]) == (["i1"], None)
    with pytest.raises(RequestError, match="no stored events"):
        join_history(model, arguments, "u1", of_user(), DEFAULT_WEIGHTS)


def test_attached_histories_know_where_they_end(cycle_run: Path, tmp_path: Path) -> None:
    import shutil

    from segue.recommender import Recommender
    from segue.recommender.attach import attach_histories
    from segue.runs import RunFolder

    by_training = Recommender.load(cycle_run)
    run = Path(shutil.copytree(cycle_run, tmp_path / "run"))
    attach_histories(RunFolder(run), by_training.dataset)
    attached = Recommender.load(run)
    times = by_training.dataset.sequences.times
    assert times is not None
    assert attached.histories.end_us == by_training.histories.end_us == times.max()
