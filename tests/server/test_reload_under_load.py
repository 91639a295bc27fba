"""Reload under load, over sockets: two different runs in turn, no failed and no mixed answer."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from real_server import real_server

from segue.server.api_keys import KeyRing, new_key
from segue.server.registry import load_model
from small_ensembles import mixed_copy

if TYPE_CHECKING:
    from segue.dataset import Dataset
    from segue.server.settings import ServerSettings

HISTORIES = (["i1", "i2"], ["i5"], [])
N_THREADS = 4


def lists(answers: list[dict[str, Any]]) -> list[list[tuple[str, Any]]]:
    return [
        [(item["item_id"], pytest.approx(item["score"], rel=1e-4)) for item in answer["items"]]
        for answer in answers
    ]


@pytest.mark.slow
def test_twenty_reloads(
    cycle_run: Path, cycles: Dataset, small_settings: ServerSettings, tmp_path: Path
) -> None:
    runs = [cycle_run, mixed_copy(cycle_run, cycles, tmp_path / "mixed")]
    path, (secret, key) = tmp_path / "current", new_key("boss", "admin")
    path.symlink_to(runs[0])
    expected = {}
    for run in runs:
        model = load_model("cycles", run)
        answers = model.recommender.recommend(HISTORIES, k=4)
        expected[model.version] = lists([answer.to_dict() for answer in answers])
    first, second = expected.values()
    assert first != second
    responses: list[httpx.Response] = []
    is_over = threading.Event()
    body = {"requests": [{"items": history, "k": 4} for history in HISTORIES]}

    def load(http: httpx.Client) -> None:
        while not is_over.is_set():
            responses.append(http.post("/v1/recommend", json=body))

    with real_server(path, small_settings, keys=KeyRing([key])) as address:
        headers = {"authorization": f"Bearer {secret}"}
        with httpx.Client(base_url=address.url, headers=headers, timeout=60) as http:
            threads = [threading.Thread(target=load, args=(http,)) for _ in range(N_THREADS)]
            for thread in threads:
                thread.start()
            try:
                versions = []
                for number in range(1, 21):
                    (tmp_path / "next").symlink_to(runs[number % 2])
                    (tmp_path / "next").replace(path)
                    reloaded = http.post("/v1/admin/reload", json={}).json()
                    versions.append(reloaded["models"][0]["version"])
            finally:
                is_over.set()
                for thread in threads:
                    thread.join()
    assert versions == [*reversed(expected)] * 10
    assert {response.status_code for response in responses} == {200}
    assert {response.headers["x-model-version"] for response in responses} == set(expected)
    for response in responses:
        answers = response.json()["answers"]
        assert {answer["model"] for answer in answers} == {"cycles"}
        assert lists(answers) == expected[response.headers["x-model-version"]]
