"""The API of the views: each response has its shape, and its content a known answer."""

from __future__ import annotations

import asyncio
import gc
import io
import shutil
import struct
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from app_client import AppClient

from segue.dataset import Dataset
from segue.item_map import ItemMap, write_map
from segue.recommender import Recommender
from segue.runs import RunFolder
from segue.server import long_computation, view_schemas
from segue.server.app import create_app
from segue.server.errors import ApiError
from segue.server.log import Log
from segue.server.long_computation import LongComputation, PerModel, Report
from segue.server.registry import ModelRegistry, ServedModel, load_model
from segue.server.routes.served import finished, not_there_yet
from segue.server.settings import ServerSettings


@pytest.fixture(scope="module")
def run(cycle_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run, into which its map is written."""
    return shutil.copytree(cycle_run, tmp_path_factory.mktemp("views") / "cycles")


@pytest.fixture(scope="module")
def viewer(run: Path, cycles: Dataset, small_settings: ServerSettings) -> Iterator[AppClient]:
    """A client of a server with people."""
    log = Log(io.BytesIO())
    registry = ModelRegistry({"cycles": run})
    app = create_app(registry, settings=small_settings, log=log, data=cycles)
    with AppClient(app) as client:
        yield client


def ready(client: AppClient, path: str) -> dict[str, Any]:
    """The content of a view, once it is there."""
    views = client.app.state.views
    computation = views.maps if "map" in path else views.people
    model = client.app.state.service.registry.find()
    client.get(path)
    client.run(_waited(computation.of(model)))
    content = client.get(path).json()
    assert content["status"] == "ready", content
    return content


async def _waited(computation: LongComputation[Any]) -> None:
    await asyncio.to_thread(computation.wait)


class TestMap:
    def test_points_are_those_of_the_file(self, viewer: AppClient, run: Path) -> None:
        state = ready(viewer, "/v1/map")
        view_schemas.MapShape.model_validate(state)
        assert state["n_items"] == 12
        assert (state["attribute"], state["groups"]) == (None, [])
        response = viewer.get("/v1/map/points")
        assert response.headers["content-type"] == "application/octet-stream"
        x = struct.unpack("<12H", response.content[:24])
        assert len(response.content) == 12 * 6
        import pyarrow.parquet as pq

        stored = pq.read_table(RunFolder(run).item_map).column("x").to_numpy()
        np.testing.assert_allclose(np.array(x) / 65_535 * 2 - 1, stored, atol=2e-5)
        popularity = response.content[60:]
        assert max(popularity) == 255
        assert list(popularity) == sorted(popularity, reverse=True)

    def test_a_map_in_the_run_is_used(self, run: Path) -> None:
        from segue.server.registry import load_model
        from segue.server.served_map import open_map

        model = load_model("cycles", run)
        positions = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)
        write_map(model.folder, ItemMap(positions, 0.25), model.recommender.fingerprint)

        def report(_: float) -> None:
            pytest.fail("it was computed again")

        assert open_map(model, report).kept_neighbours == 0.25
        model.folder.item_map.write_bytes(b"damaged")
        assert open_map(model, lambda _: None).kept_neighbours == 1
        model.folder.item_map.unlink()

    def test_items_by_number_and_id(self, viewer: AppClient) -> None:
        body = {"indices": [0, 3, 99], "items": ["i4", "nowhere", 7]}
        response = viewer.post("/v1/map/items", body)
        items = view_schemas.MapItemsShape.model_validate(response.json()).items
        names = viewer.app.state.service.registry.find().recommender.items.ids
        assert [item.item_id for item in items[:2]] == [names[0], names[3]]
        assert all(names[item.index] == item.item_id for item in items)
        assert "i4" in [item.item_id for item in items]
        assert viewer.post("/v1/map/items", {"indices": [-1]}).status_code == 422
        assert viewer.post("/v1/map/items", {"indices": [0] * 501}).status_code == 422
        assert viewer.post("/v1/map/items", {"path": "x"}).status_code == 422


class TestPeople:
    def test_the_worst_come_first(self, viewer: AppClient) -> None:
        people = ready(viewer, "/v1/people")
        view_schemas.PeopleShape.model_validate(people)
        ranks = [person["worst_rank"] for person in people["people"]]
        assert ranks == sorted(ranks, reverse=True)
        assert people["n_ranked"] == people["n_people"] == people["n_matches"] == 60
        assert people["part"] == "test"
        assert len(ranks) == 50

    def test_pages_and_search(self, viewer: AppClient) -> None:
        every = ready(viewer, "/v1/people?limit=100")["people"]
        second = viewer.get("/v1/people?start=50&limit=5").json()
        assert second["people"] == every[50:55]
        result = viewer.get("/v1/people?q=U1").json()
        expected = [person for person in every if "u1" in person["person_id"]]
        assert result["people"] == expected
        assert result["n_matches"] == len(expected) == 11
        assert viewer.get("/v1/people?start=900").json()["people"] == []
        assert viewer.get("/v1/people?limit=0").status_code == 422

    def test_a_person(self, viewer: AppClient, cycles: Dataset) -> None:
        ready(viewer, "/v1/people")
        response = viewer.get("/v1/people/u7?k=4")
        person = view_schemas.PersonShape.model_validate(response.json())
        row = cycles.sequences.find("u7")
        assert row is not None
        ids = [cycles.items.ids[index - 4] for index in cycles.sequences.row(row).tolist()]
        assert [item.item_id for item in person.history] == ids[:-1]
        (truth,) = person.truth
        assert (truth.item_id, truth.is_shown) == (ids[-1], True)
        own, popular = person.lists
        assert (own.name, popular.name) == ("cycles", "popularity")
        assert own.rank == truth.rank
        for listed in person.lists:
            assert [item.rank for item in listed.items] == [1, 2, 3, 4]
            hits = [item.item_id for item in listed.items if item.is_hit]
            assert hits == ([ids[-1]] if listed.rank is not None and listed.rank <= 4 else [])

    def test_the_second_list_may_be_that_of_another_model(self, viewer: AppClient) -> None:
        ready(viewer, "/v1/people")
        lists = viewer.get("/v1/people/u7?against=cycles").json()["lists"]
        assert lists[0] == lists[1]
        assert viewer.get("/v1/people/u7?against=none").json()["error"]["code"] == "unknown_model"

    def test_an_unknown_person(self, viewer: AppClient) -> None:
        ready(viewer, "/v1/people")
        response = viewer.get("/v1/people/%3Cb%3E%2Fx")
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "unknown_person"

    def test_without_data_the_hint_says_how_to_get_them(self, client: AppClient) -> None:
        people = client.get("/v1/people").json()
        view_schemas.PeopleShape.model_validate(people)
        assert people["status"] == "unavailable"
        assert "--data" in people["hint"]
        assert client.get("/v1/people/u7").json()["error"]["code"] == "unknown_person"


class TestModel:
    def test_the_card(self, viewer: AppClient, cycles: Dataset) -> None:
        card = viewer.get("/v1/model/card").json()
        view_schemas.CardShape.model_validate(card)
        assert len(card["sentences"]) == 5
        topics = [sentence["topic"] for sentence in card["sentences"]]
        assert topics[:4] == ["Task", "Kind", "Training", "Validation"]
        assert "12 items" in card["sentences"][0]["text"]
        assert card["audit"]["counts"]["events"] == cycles.manifest.counts.events
        names = [node["name"] for node in card["graph"]]
        assert "item_embeddings" in names
        assert names[-1] == "scores"
        assert all(
            source < at for at, node in enumerate(card["graph"]) for source in node["sources"]
        )
        assert all(
            score["low"] <= score["mean"] <= score["high"] for score in card["scores"]["scores"]
        )

    def test_a_kept_evaluation_is_shown(self, run: Path, cycle_model: Recommender) -> None:
        from segue.inspection import description

        folder = RunFolder(run)
        estimate = {"mean": 0.4, "ci95": [0.3, 0.5]}
        results = [
            {"model": name, "task": "next-item", "n": 60, "metrics": {"ndcg@10": estimate}}
            for name in ("cycles", "item-knn")
        ]
        folder.write_json(folder.evaluation, {"part": "test", "results": results})
        try:
            result = description.scores(folder, folder.read_card(), cycle_model)
            assert result is not None
            assert [score.role for score in result.scores] == ["model", "baseline"]
            assert (result.part, result.n, result.scores[0].low) == ("test", 60, 0.3)
            folder.evaluation.write_text('{"results": 3}')
            assert description.scores(folder, folder.read_card(), cycle_model) is not None
        finally:
            folder.evaluation.unlink()

    def test_an_evaluation_that_is_written_while_the_run_is_served_is_shown(
        self, viewer: AppClient, run: Path
    ) -> None:
        def shown() -> dict[str, Any]:
            return view_schemas.CardShape.model_validate(
                viewer.get("/v1/model/card").json()
            ).model_dump()["scores"]

        folder, before = RunFolder(run), shown()
        estimate = {"mean": 0.4, "ci95": [0.3, 0.5]}
        result = {"model": "x", "task": "next-item", "n": 60, "metrics": {"ndcg@10": estimate}}
        folder.write_json(folder.evaluation, {"part": "test", "results": [result]})
        try:
            assert shown() != before
            assert (shown()["part"], shown()["scores"][0]["mean"]) == ("test", 0.4)
        finally:
            folder.evaluation.unlink()
        assert shown() == before

    def test_curves_are_those_of_the_log(self, viewer: AppClient) -> None:
        curves = viewer.get("/v1/model/curves").json()
        view_schemas.CurvesShape.model_validate(curves)
        assert curves["best"]["step"] > 0
        loss = next(curve for curve in curves["series"] if curve["name"] == "training")
        assert loss["steps"] == sorted(loss["steps"])
        assert loss["values"][-1] < loss["values"][0]

    def test_long_curves_are_thinned_to_means(self) -> None:
        from segue.inspection.description import MAX_POINTS, _thinned

        values = np.arange(1_000.0)
        thinned = _thinned(values)
        assert len(thinned) <= MAX_POINTS
        assert thinned[0] == 1.5
        assert _thinned(values[:10]).tolist() == values[:10].tolist()


def test_the_system_counts_what_models_answer(viewer: AppClient) -> None:
    before = viewer.get("/v1/system").json()["recent"]["n_requests"]
    viewer.post("/v1/recommend", {"items": ["i1"]})
    viewer.post("/v1/recommend", {"items": ["i1"], "k": 0})
    viewer.get("/v1/models")
    system = viewer.get("/v1/system").json()
    view_schemas.SystemShape.model_validate(system)
    assert system["recent"]["n_requests"] == before + 2
    assert system["recent"]["n_errors"] >= 1
    assert system["recent"]["mean_batch"] == 1
    assert [model["name"] for model in system["models"]] == ["cycles"]


def test_a_background_computation_fails_or_stops_alone() -> None:
    def fail(_: Report) -> int:
        raise ValueError

    failed = LongComputation(fail)
    failed.wait()
    assert (failed.state, failed.value) == ("failed", None)
    release, reached = threading.Event(), threading.Event()

    def long(report: Report) -> int:
        report(0.5)
        reached.set()
        release.wait(10)
        report(0.9)
        return 3

    stopped = LongComputation(long)
    reached.wait(10)
    assert (stopped.state, stopped.share) == ("computing", 0.5)
    with pytest.raises(ApiError, match="longer than"):
        asyncio.run(finished(stopped, 0.0))
    stopped.stop()
    release.set()
    stopped.wait()
    assert stopped.value is None


def test_a_failure_is_reported_and_later_tried_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[float] = [0.0]
    outcomes: list[int | None] = [None, 3]
    clock = SimpleNamespace(monotonic=lambda: seconds[0])
    monkeypatch.setattr(long_computation, "time", clock)

    def compute(_: ServedModel, __: Report) -> int:
        outcome = outcomes.pop(0)
        if outcome is None:
            raise ValueError
        return outcome

    values, model = PerModel("number", compute, Log(io.BytesIO())), load_model("cycles", run)
    failed = values.of(model)
    failed.wait()
    assert "failed" in not_there_yet(failed, "it is being computed").message
    seconds[0] = long_computation.RETRY_S
    assert values.of(model) is failed
    seconds[0] += 0.1
    again = values.of(model)
    again.wait()
    assert (again.state, again.value) == ("ready", 3)
    seconds[0] *= 10
    assert values.of(model) is again


def test_a_model_that_was_loaded_again_is_released(
    run: Path, small_settings: ServerSettings
) -> None:
    registry = ModelRegistry({"cycles": run})
    app = create_app(registry, settings=small_settings, log=Log(io.BytesIO()))
    with AppClient(app) as client:
        client.get("/v1/model/card")
        old = weakref.ref(registry.find())
        computation = app.state.views.cards.of(registry.find())
        client.run(app.state.service.reload("cycles"))
        assert computation.value is not None, "who holds the value does not hold the model"
        gc.collect()
        assert old() is None
        assert client.get("/v1/model/card").status_code == 200
