"""The ensemble of a run: fitted after the last step, stored, served, and the same after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segue.config import Config
from segue.dataset import Dataset
from segue.preparation import prepare
from segue.recommender import Recommender, load_members
from segue.runs import RunFolder
from segue.trainer import train
from segue.trainer.ensemble import fit
from segue.trainer.ensemble.candidates import CONTINUATION, NEXT_ITEM, NBest, score_candidates
from segue.trainer.ensemble.requests import fitting_requests
from small_runs import CONFIG

MEMBERS = ("co-occurrence", "ease", "tale")


@pytest.fixture(scope="module")
def run(cycles: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble") / "run"
    return train(cycles, folder, config=CONFIG, ensemble=True, trials=3, max_steps=2).path


def files_of(run: Path) -> dict[str, bytes]:
    """The files that serving reads, without the card."""
    names = ["weights.safetensors", *(f"ensemble/{p.name}" for p in (run / "ensemble").iterdir())]
    return {name: (run / name).read_bytes() for name in names}


def card_of(run: Path) -> dict:
    """The card without the times and the machine, which differ from run to run."""
    card = json.loads((run / "card.json").read_text())
    return {key: card[key] for key in card.keys() - {"seconds", "core_seconds", "machine"}}


def test_the_card_has_the_weights_and_the_value_of_every_combination(run: Path):
    ensemble = card_of(run)["ensemble"]
    names = {"transformer", *MEMBERS, "popularity"}
    assert ensemble["weights"].keys() == names
    assert ensemble["held_out_ndcg@10"].keys() == names | {"all members", "all but transformer"}
    values = ensemble["held_out_ndcg@10"]
    assert values[ensemble["choice"]] == max(values.values())
    assert ensemble["requests"] == 60
    assert values["co-occurrence"] > 0.9  # item i is always followed by item i + 1
    assert values["popularity"] < 0.7


def test_the_run_is_served_with_its_members(run: Path, cycles: Dataset):
    members = load_members(RunFolder(run), cycles.vocabulary_size)
    stored = {member.name: member.weight for member in (*members.dense, *members.sparse)}
    weights = card_of(run)["ensemble"]["weights"]
    for name, weight in stored.items():
        assert weight in (pytest.approx(weights[name], rel=1e-6), fit.TIE_BREAKER)
    assert {name for name, weight in weights.items() if weight} - {"transformer"} <= stored.keys()
    calibration = card_of(run)["ensemble"]["calibration"]
    assert calibration["requests"] == 60
    assert Recommender.load(run).temperature == calibration["temperature"]
    assert Recommender.load(run, without_ensemble=True).temperature is None
    [best] = Recommender.load(run).recommend(["i3"], k=1).items
    assert best.item_id == "i4"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["write_members", pytest.param("choose_mixture", marks=pytest.mark.slow)]
)
def test_a_run_killed_while_its_ensemble_is_fitted_ends_the_same(
    run: Path,
    cycles: Dataset,
    config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
):
    original = getattr(fit, name)

    def killed(*arguments, **options):
        if name == "write_members":
            original(*arguments, **options)  # the members are there, the card is not
        raise KeyboardInterrupt

    resumed = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(fit, name, killed)
        with pytest.raises(KeyboardInterrupt):
            train(cycles, resumed, config=config, ensemble=True, trials=3, max_steps=2)
    assert json.loads((resumed / "card.json").read_text())["finished"] == "not yet"
    train(cycles, resumed, resume=True)
    assert files_of(resumed) == files_of(run)
    assert card_of(resumed) == card_of(run)


def test_candidates_are_scored_as_by_the_members(run: Path, cycles: Dataset):
    requests = fitting_requests(cycles)
    assert requests is not None
    ensemble = Recommender.load(run).ensemble
    members = list(load_members(RunFolder(run), cycles.vocabulary_size).sparse)
    alone = ensemble.encoder_alone()
    candidates = score_candidates(alone, members, requests)
    assert NEXT_ITEM.of_transformer >= 12  # so every item that was not seen is a candidate
    for row in (0, 17, 59):
        query = requests.query.slice(row, row + 1)
        seen = set(query.seen.values.tolist())
        items = [i for i in range(cycles.vocabulary_size) if cycles.is_candidate[i]]
        items = [item for item in items if item not in seen]
        n_items = int(candidates.is_item[row].sum())
        assert n_items == len(items)
        scores = candidates.scores[:, row, candidates.is_item[row]]
        expected = alone.top(query.with_k(n_items))
        by_item = dict(zip(expected.items[0].tolist(), expected.scores[0].tolist(), strict=True))
        np.testing.assert_allclose(scores[0], [by_item[item] for item in items], rtol=1e-5)
        for i, member in enumerate(members, start=1):
            dense = member.bonus(query).toarray()[0]
            np.testing.assert_allclose(scores[i], dense[items], rtol=1e-6)
        position = np.flatnonzero(candidates.is_item[row]).tolist().index(candidates.target[row])
        assert items[position] == requests.targets[row]


@pytest.mark.parametrize(("horizon", "n_best"), [(1, NEXT_ITEM), (3, CONTINUATION)])
def test_lists_are_fitted_on_more_candidates(
    horizon: int, n_best: NBest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = []

    def spy(*arguments):
        given.append(arguments[3])
        return score_candidates(*arguments)

    monkeypatch.setattr(fit, "score_candidates", spy)
    playlists = prepare(None, tmp_path / "world", sequences=60, items=240, mean_length=15)
    only = {"members": ("co-occurrence",), "trials": 1, "max_steps": 2, "horizon": horizon}
    train(playlists, tmp_path / "run", config=CONFIG, ensemble=True, **only)
    assert given == [n_best]


def test_without_validation_targets_the_transformer_stays_alone(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fit, "fitting_requests", lambda *_, **__: None)
    run = train(cycles, tmp_path / "run", config=config, ensemble=True, trials=3, max_steps=5)
    assert run.card["ensemble"]["choice"] == "transformer"
    assert not (run.path / "ensemble").exists()
