"""One query, one list: library, command line, batch command, server and client agree."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from app_client import AppClient, InProcess

import segue
from segue.cli import main
from small_ensembles import mixed_copy

if TYPE_CHECKING:
    from segue.dataset import Dataset
    from segue.recommender import Recommender
    from segue.server.settings import ServerSettings

RECOMMENDATIONS: dict[str, dict[str, Any]] = {
    "history": {"items": ["100", "201", "302"]},
    "integers and an unknown item": {"items": [100, 999, 302], "k": 4},
    "nothing": {"k": 6},
    "user": {"user": "7"},
    "user and items": {"user": "8", "items": ["100"], "k": 3},
    "sequence features": {"sequence_features": {"gender": "M"}, "k": 5},
    "seen": {"items": ["100", "201"], "include_seen": True},
    "filters": {
        "items": ["100", "201"], "exclude": ["302"], "where": ["genres lacks Horror"], "k": 5,
    },
    "candidates": {"items": ["100"], "only": ["200", "201", "300"], "k": 3},
    "caps": {"items": ["100", "201"], "cap": {"genres": 2}, "k": 3},
    "dials": {"items": ["100", "201"], "popularity": -0.5, "diversity": 0.4, "k": 5},
    "examples": {"items": ["100"], "like": ["205"], "unlike": ["301"], "k": 5},
}  # fmt: skip
GENERATIONS: dict[str, dict[str, Any]] = {
    "history": {"items": ["100", "201"]},
    "user": {"user": "7"},
    "filters": {"items": ["100"], "exclude": ["200"], "where": "genres lacks Western"},
    "examples": {"items": ["100"], "like": ["205"], "popularity": 0.5},
}
SAMPLING = {"length": 4, "seed": 11, "top_k": 8, "temperature": 0.8}

SEEN = {"popularity": 0.2, "include_seen": True, "exclude": ["200"]}
LOCKED = {"length": 4, **SEEN}

Lists = dict[str, list[tuple[str, Any]]]


class Interfaces(NamedTuple):
    """The same model behind all interfaces."""

    run: Path
    model: Recommender
    server: AppClient
    client: segue.Client


@pytest.fixture(scope="module")
def interfaces(
    genre_run: Path,
    genres: Dataset,
    small_settings: ServerSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Interfaces]:
    from segue.server.app import create_app
    from segue.server.log import Log
    from segue.server.registry import ModelRegistry

    run = mixed_copy(genre_run, genres, tmp_path_factory.mktemp("parity") / "mixed")
    app = create_app(ModelRegistry({"m": run}), settings=small_settings, log=Log(io.BytesIO()))
    with AppClient(app) as server:
        client = segue.Client("http://localhost", transport=InProcess(server))
        yield Interfaces(run, segue.Recommender.load(run), server, client)


def compared(answer: Any) -> list[tuple[str, Any]]:
    """Ids and scores of an answer: an object, or one as plain values."""
    items = answer["items"] if isinstance(answer, dict) else answer.to_dict()["items"]
    assert items
    # Scores that are computed together may differ in their last digits.
    return [(item["item_id"], pytest.approx(item["score"], rel=1e-4, abs=1e-5)) for item in items]


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """The JSON object that a command prints."""
    assert main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def of_batch(
    verb: str, run: Path, requests: dict[str, dict[str, Any]], folder: Path, *options: str
) -> Lists:
    """The lists that the batch command writes."""
    source, output = folder / f"{verb}.jsonl", folder / f"{verb}.out.jsonl"
    rows = [json.dumps({"id": name, **request}) for name, request in requests.items()]
    source.write_text("\n".join(rows) + "\n")
    arguments = [verb, str(run), "--input", str(source), "--output", str(output), *options]
    assert main(arguments) == 0
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    return {answer["id"]: compared(answer) for answer in answers}


def all_alike(requests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The requests as the arguments of one call for many histories with equal ``k``."""
    own = ("items", "user", "sequence_features", "k", "include_seen")
    return {
        "items": [request.get("items", []) for request in requests.values()],
        "user": [request.get("user") for request in requests.values()],
        "sequence_features": [r.get("sequence_features") for r in requests.values()],
        "controls": [
            {name: value for name, value in request.items() if name not in own} or None
            for request in requests.values()
        ],
    }


def test_recommend(
    interfaces: Interfaces, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, model, server, client = interfaces
    expected = {name: compared(model.recommend(**r)) for name, r in RECOMMENDATIONS.items()}
    assert of_batch("recommend", run, RECOMMENDATIONS, tmp_path) == expected
    capsys.readouterr()
    query = tmp_path / "query.json"
    for name, request in RECOMMENDATIONS.items():
        query.write_text(json.dumps(request))
        shown = printed(capsys, "recommend", run, "--query", query, "--json")
        assert compared(shown) == expected[name], name
        assert compared(server.post("/v1/recommend", request).json()) == expected[name], name
        assert compared(client.recommend(**request)) == expected[name], name
    call = {"requests": list(RECOMMENDATIONS.values())}
    answers = server.post("/v1/recommend", call).json()["answers"]
    assert [compared(answer) for answer in answers] == list(expected.values())


def test_recommend_for_many_histories(interfaces: Interfaces) -> None:
    _, model, _, client = interfaces
    arguments = all_alike(RECOMMENDATIONS)
    expected = [compared(answer) for answer in model.recommend(**arguments, k=3)]
    assert [compared(answer) for answer in client.recommend(**arguments, k=3)] == expected
    assert len(expected) == len(RECOMMENDATIONS)


def test_generate(
    interfaces: Interfaces, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, model, server, client = interfaces
    expected = {
        name: compared(model.generate(**request, **SAMPLING))
        for name, request in GENERATIONS.items()
    }
    options = [
        text for key, value in SAMPLING.items()
        for text in (f"--{key.replace('_', '-')}", str(value))
    ]  # fmt: skip
    assert of_batch("generate", run, GENERATIONS, tmp_path, *options) == expected
    capsys.readouterr()
    shown = printed(capsys, "generate", run, "--items", "100,201", *options, "--json")
    assert compared(shown) == expected["history"]
    query = tmp_path / "query.json"
    for name, request in GENERATIONS.items():
        body = {**request, **SAMPLING}
        query.write_text(json.dumps(body))
        shown = printed(capsys, "generate", run, "--query", query, "--json")
        assert compared(shown) == expected[name], name
        assert compared(server.post("/v1/generate", body).json()) == expected[name], name
        assert compared(client.generate(**body)) == expected[name], name
    many = client.generate(**all_alike(GENERATIONS), **SAMPLING)
    assert [compared(answer) for answer in many] == list(expected.values())


def test_locks_and_options_of_a_query_on_standard_input(
    interfaces: Interfaces, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model, server, _ = interfaces
    body = {"items": ["100", "201"], "locked": {"1": "302", "3": "205"}, "temperature": 0, **LOCKED}

    def shown(*options: object) -> list[tuple[str, Any]]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(body).encode())))
        return compared(printed(capsys, "generate", run, "--query", "-", *options, "--json"))

    locked = {1: "302", 3: "205"}
    expected = compared(model.generate(["100", "201"], locked=locked, temperature=0.0, **LOCKED))
    assert shown() == compared(server.post("/v1/generate", body).json()) == expected
    assert [item for item, _ in expected][1::2] == ["302", "205"]
    options = ("--item", "100", "--lock", "1=302", "--length", 2)  # they take precedence
    changed = compared(model.generate(["100"], 2, locked={0: "302"}, temperature=0.0, **SEEN))
    assert shown(*options) == changed


def test_similar_items_and_explanations(
    interfaces: Interfaces, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run, model, server, client = interfaces
    expected = compared(model.similar_items("100", 5))
    assert compared(printed(capsys, "similar", run, "--item", "100", "-k", 5, "--json")) == expected
    assert compared(server.post("/v1/similar", {"item": "100", "k": 5}).json()) == expected
    assert compared(client.similar_items(100, 5)) == expected
    history = ["100", "201"]
    for own in ({"k": 3}, {"candidates": ["302", "100"]}):
        arguments = {"items": history, "members": True, **own}
        explained = model.explain(**arguments).to_dict()
        query = tmp_path / "query.json"
        query.write_text(json.dumps(arguments))
        shown = printed(capsys, "recommend", run, "--why", "--query", query, "--json")
        over_http = server.post("/v1/explain", arguments).json()
        for answer in (shown, over_http, client.explain(**arguments).to_dict()):
            assert compared(answer) == compared(explained)
            for name in ("events", "contributions", "member_ranks"):
                assert answer[name] == explained[name]
            texts = [item["why"]["text"] for item in answer["items"]]
            assert texts == [item["why"]["text"] for item in explained["items"]]
