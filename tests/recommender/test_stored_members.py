"""Members of an ensemble in a run folder: round trips, interrupted writes, refused members."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from segue.baselines.cooccurrence import CoOccurrence
from segue.baselines.item_item import HistoryWeights, ItemItemRanker
from segue.baselines.item_knn import ItemKNN
from segue.dataset import Dataset
from segue.errors import RunError, SegueError, StorageError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import (
    Ensemble,
    ItemBias,
    Members,
    PureSVD,
    Recommender,
    Run,
    SparseMember,
    load_members,
    write_members,
)
from segue.recommender.stored_members import Member
from segue.runs import RunFolder, ensemble
from segue.tokens import N_SPECIALS
from small_ensembles import write_checksums

pytestmark = pytest.mark.usefixtures("strict_types")


def members_of(data: Dataset) -> list[Member]:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(data.vocabulary_size, 3)).astype(np.float32)
    counted, knn = CoOccurrence.fit(data), ItemKNN.fit(data)
    timed = HistoryWeights(5, half_life=2.5, half_life_s=86_400.0, distinct=True)
    last = ItemItemRanker("last", counted.pairs, counted.counts, timed)
    return [
        PureSVD(vectors, 2.0, {"factors": 3}),
        ItemBias.of_popularity(counted.counts, 0.1),
        SparseMember(counted, 1.0, 0.05, {"window": 5, "decay": "1/d", "shrunk": True}),
        SparseMember(knn, 0.5, 0.01),
        SparseMember(last, 0.25, 0.1, {"cut": None, "share": 0.5}),
    ]


@pytest.fixture
def folder(cycle_run: Path, tmp_path: Path) -> RunFolder:
    shutil.copytree(cycle_run, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def query_of(data: Dataset) -> Query:
    histories = Ragged.from_rows([[4, 5, 6], [], [9, 9], [7, 4, 200]])
    times = np.arange(len(histories.values)) * 10**9
    return Query(histories, histories, np.full(4, -1), k=data.n_candidates, times=times)


def test_loaded_members_score_as_the_written_ones(folder: RunFolder, cycles: Dataset) -> None:
    members = members_of(cycles)
    write_members(folder, members, 0.5)
    loaded = load_members(folder, cycles.vocabulary_size)
    assert loaded.encoder_weight == 0.5
    assert [member.name for member in (*loaded.dense, *loaded.sparse)] == [
        "puresvd",
        "popularity",
        "co-occurrence",
        "item-knn",
        "last",
    ]
    query = query_of(cycles)
    for expected, member in zip(members, (*loaded.dense, *loaded.sparse), strict=True):
        assert type(member) is type(expected)
        assert (member.weight, member.parameters) == (expected.weight, expected.parameters)
        if isinstance(expected, SparseMember) and isinstance(member, SparseMember):
            assert (member.bonus(query) != expected.bonus(query)).nnz == 0
            assert member.bonus(query).nnz
            loaded_ranker, ranker = member.ranker, expected.ranker
            assert isinstance(loaded_ranker, ItemItemRanker)
            assert isinstance(ranker, ItemItemRanker)
            np.testing.assert_array_equal(loaded_ranker.scores(query), ranker.scores(query))
        else:
            assert not isinstance(expected, SparseMember)
            np.testing.assert_array_equal(member.vectors, expected.vectors)
            np.testing.assert_array_equal(member.states(query, 4), expected.states(query, 4))


@pytest.mark.parametrize("encoder_weight", [0.0, 0.5, 1.0])
def test_a_loaded_run_ranks_as_its_ensemble(
    folder: RunFolder, cycles: Dataset, encoder_weight: float
) -> None:
    """Lists equal the full sort of a dense reference, from the loaded members alone."""
    members = members_of(cycles)
    write_members(folder, members, encoder_weight)
    write_checksums(folder)
    loaded = Recommender.load(folder.path).ensemble
    alone = Recommender.load(folder.path, without_ensemble=True).ensemble
    query = query_of(cycles)
    scores = encoder_weight * (alone.states(query).astype(np.float64) @ alone.item_vectors().T)
    for member in members:
        if isinstance(member, SparseMember):
            scores += member.bonus(query).toarray()
        else:
            scores += member.states(query, 4).astype(np.float64) @ member.vectors.T
    scores[:, :N_SPECIALS] = -np.inf
    scores[:, N_SPECIALS:][:, ~cycles.is_candidate[N_SPECIALS : scores.shape[1]]] = -np.inf
    for row in range(4):
        seen = query.seen.row(row)
        scores[row, seen[seen < scores.shape[1]]] = -np.inf
    ranked = loaded.top(query)
    expected = -np.sort(-scores, axis=1)[:, : query.k]
    np.testing.assert_allclose(ranked.scores, expected, rtol=1e-4, atol=1e-4)


def test_equal_members_give_equal_bytes_and_stale_files_go(
    folder: RunFolder, cycles: Dataset
) -> None:
    members = members_of(cycles)
    write_members(folder, members, 0.5)
    files = {path.name: path.read_bytes() for path in folder.ensemble.path.iterdir()}
    assert files.keys() == {"ensemble.json"} | {f"{m.name}.safetensors" for m in members}
    (folder.ensemble.path / "ease.safetensors.partial").write_bytes(b"of a write that was stopped")
    write_members(folder, members_of(cycles), 0.5)
    assert {path.name: path.read_bytes() for path in folder.ensemble.path.iterdir()} == files
    write_members(folder, members[:1])
    assert sorted(path.name for path in folder.ensemble.path.iterdir()) == [
        "ensemble.json",
        "puresvd.safetensors",
    ]
    write_members(folder, [])
    assert not folder.ensemble.path.exists()
    assert load_members(folder, cycles.vocabulary_size) == Members(1.0, (), ())


def test_an_interrupted_write_is_refused_and_can_be_repeated(
    folder: RunFolder, cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = members_of(cycles)
    write_members(folder, members[:3])
    write_checksums(folder)
    card = json.loads(folder.card.read_text())
    folder.write_json(folder.card, card | {"finished": "not yet"})
    written = []
    replace_file = ensemble.replace_file

    def stop_early(file: Path, write) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(file)
        replace_file(file, write)

    changed = [PureSVD(members[0].vectors + 1, 2.0), *members[1:]]
    monkeypatch.setattr(ensemble, "replace_file", stop_early)
    with pytest.raises(KeyboardInterrupt):
        write_members(folder, changed)
    monkeypatch.undo()
    for read in (
        lambda: load_members(folder, cycles.vocabulary_size),
        lambda: Recommender.load(folder.path),
    ):
        with pytest.raises(RunError, match=r"puresvd\.safetensors is not the file") as caught:
            read()
    assert "--resume" in caught.value.hint
    write_members(folder, changed)
    write_checksums(folder)
    assert len(Recommender.load(folder.path).ensemble.members) == len(members)


def test_members_not_in_the_card_are_refused(folder: RunFolder, cycles: Dataset) -> None:
    write_members(folder, members_of(cycles))
    with pytest.raises(RunError, match=r"ensemble/ensemble\.json is not the file that this run"):
        Recommender.load(folder.path)


def test_the_run_describes_its_ensemble(folder: RunFolder, cycles: Dataset) -> None:
    assert Run(folder.path).ensemble is None
    members = members_of(cycles)
    write_members(folder, members, 0.5)
    summary = Run(folder.path).ensemble
    assert summary is not None
    assert summary["encoder_weight"] == 0.5
    puresvd, _, counted, _, last = summary["members"]
    file = folder.ensemble.path / "puresvd.safetensors"
    assert puresvd == {
        "kind": "puresvd",
        "name": "puresvd",
        "weight": 2.0,
        "parameters": {"factors": 3},
        "entries": 3 * cycles.vocabulary_size,
        "bytes": file.stat().st_size,
    }
    assert (counted["scale"], counted["entries"]) == (0.05, members[2].ranker.pairs.nnz)
    assert counted["history_weights"]["length"] == 10
    assert last["history_weights"] == {
        "length": 5,
        "power": 0.0,
        "half_life": 2.5,
        "half_life_s": 86_400.0,
        "distinct": True,
    }


def test_the_answer_says_that_the_ensemble_was_left_out(folder: RunFolder, cycles: Dataset) -> None:
    before = Recommender.load(folder.path).recommend(["i3"], k=3)
    write_members(folder, members_of(cycles), 0.5)
    write_checksums(folder)
    alone = Recommender.load(folder.path, without_ensemble=True)
    answer = alone.recommend(["i3"], k=3)
    assert answer.items == before.items
    assert answer.model == f"{folder.path.name} (without ensemble)"
    together = Run(folder.path).load().recommend(["i3"], k=3)
    assert together.model == folder.path.name
    assert [item.score for item in together.items] != [item.score for item in before.items]


def test_members_that_cannot_be_stored_are_refused(
    folder: RunFolder, cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.ones((cycles.vocabulary_size, 1), np.float32)
    bias, counted = ItemBias(vectors, 1.0), SparseMember(CoOccurrence.fit(cycles), 1.0, 0.1)

    class Other:
        name = "other"

        def sparse_scores(self, query: Query):
            return counted.ranker.sparse_scores(query)

    refused: list[tuple[list[Member], float, str]] = [
        ([bias, bias], 1.0, "two members have the same name"),
        ([ItemBias(vectors, 1.0, name="../weights")], 1.0, "name"),
        ([ItemBias(vectors, 1e9)], 1.0, "weight"),
        ([bias], float("nan"), "encoder_weight"),
        ([counted], 0.0, "no member scores all items"),
        ([SparseMember(Other(), 1.0, 0.1)], 1.0, "member other is a Other"),
        ([ItemBias(vectors, 1.0, name=f"b{i}") for i in range(17)], 1.0, "length"),
    ]
    for members, encoder_weight, message in refused:
        with pytest.raises(RunError, match=message):
            write_members(folder, members, encoder_weight)
    monkeypatch.setattr(ensemble, "MAX_ENTRIES", 3)
    with pytest.raises(RunError, match=r"member co-occurrence has .* entries, expected at most 3"):
        write_members(folder, [counted])
    assert not folder.ensemble.exists()
    folder.ensemble.path.write_text("in the way")
    with pytest.raises(StorageError, match="cannot create"):
        write_members(folder, [bias])


def test_members_of_another_model_are_refused(folder: RunFolder, cycles: Dataset) -> None:
    for member in members_of(cycles):
        write_members(folder, [member])
        for size in (cycles.vocabulary_size - 1, cycles.vocabulary_size + 1):
            with pytest.raises(RunError, match=r"cannot read .* has the dtype and shape"):
                load_members(folder, size)


def test_matrices_beyond_the_limit_are_not_read(
    folder: RunFolder, cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_members(folder, members_of(cycles))
    monkeypatch.setattr(ensemble, "MAX_ENTRIES", 3)
    with pytest.raises(RunError, match="expected at most 3"):
        load_members(folder, cycles.vocabulary_size)


def test_two_members_of_one_name_and_versions_are_refused(
    folder: RunFolder, cycles: Dataset
) -> None:
    def edited(**changes: object) -> SegueError:
        write_members(folder, members_of(cycles))
        index = folder.ensemble.index
        index.write_text(json.dumps(json.loads(index.read_text()) | changes))
        with pytest.raises(RunError) as caught:
            load_members(folder, cycles.vocabulary_size)
        return caught.value

    write_members(folder, members_of(cycles))
    [first, *_] = json.loads(folder.ensemble.index.read_text())["members"]
    assert "two members have the same name" in edited(members=[first, first]).message
    assert "format version 2, expected 1" in edited(format_version=2).message
    assert "kind" in edited(members=[first | {"kind": "oracle"}]).message
    assert "no member scores all items" in edited(members=[], encoder_weight=0).message


def test_an_ensemble_lists_its_members(cycles: Dataset, cycle_run: Path) -> None:
    encoder, members = Recommender.load(cycle_run).encoder, members_of(cycles)
    both = Ensemble(encoder, members[:2], members[2:])
    assert list(both.members) == members
    assert both.encoder_alone().members == ()
