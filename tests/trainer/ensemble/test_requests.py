"""The validation requests that the weights of an ensemble are fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from segue.dataset import Dataset
from segue.preparation import prepare
from segue.trainer.ensemble.requests import FittingRequests, fitting_requests


@pytest.fixture(scope="module")
def playlists(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Whole playlists are held out; most have more than 25 tracks, some more than 100."""
    folder = tmp_path_factory.mktemp("playlists") / "world"
    return prepare(None, folder, sequences=150, items=600, mean_length=60)


@pytest.fixture(scope="module")
def requests(playlists: Dataset) -> FittingRequests:
    requests = fitting_requests(playlists, continuation=True)
    assert requests is not None
    return requests


def test_events_are_given_as_in_an_evaluation(playlists: Dataset, requests: FittingRequests):
    settings: dict[str, set[int]] = {"first": set(), "random": set()}
    for request, row in enumerate(requests.query.rows.tolist()):
        given = requests.query.histories.row(request)
        events = playlists.sequences.row(row)
        is_first = np.array_equal(given, events[: len(given)])
        settings["first" if is_first else "random"].add(len(given))
        if not is_first:  # a subsequence, in its order
            places = iter(events.tolist())
            assert all(item in places for item in given.tolist())
    assert settings["first"] == {1, 5, 10, 25, 100}
    assert settings["random"] == {25, 100}


def test_the_target_is_an_item_of_the_rest(playlists: Dataset, requests: FittingRequests):
    for request, target in enumerate(requests.targets.tolist()):
        assert target in playlists.sequences.row(int(requests.query.rows[request]))
        assert target not in requests.query.histories.row(request)
        assert playlists.is_candidate[target]


def test_a_seed_gives_the_same_requests_and_a_limit_holds(
    playlists: Dataset, requests: FittingRequests
):
    again = fitting_requests(playlists, continuation=True)
    assert again is not None
    np.testing.assert_array_equal(again.targets, requests.targets)
    few = fitting_requests(playlists, continuation=True, max_requests=20)
    assert few is not None
    assert len(few) == 20
