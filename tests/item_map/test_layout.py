"""The item map: planted clusters stay together, and the grid agrees with the sum over all pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.dataset import Items
from segue.errors import RunError
from segue.item_map import ItemMap, lay_out, read_map, write_map
from segue.item_map import layout as layout_module
from segue.item_map import neighbours as neighbours_module
from segue.item_map.groups import OTHER, group_items
from segue.item_map.neighbours import nearest_neighbours
from segue.item_map.quality import kept_neighbours
from segue.item_map.repulsion import RepulsionGrid, pairwise_forces
from segue.runs import RunFolder


def planted(n_clusters: int, size: int, dim: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1 around random centres, and the cluster of each."""
    random = np.random.default_rng(3)
    centres = random.normal(size=(n_clusters, dim))
    clusters = np.repeat(np.arange(n_clusters), size)
    vectors = centres[clusters] + 0.3 * random.normal(size=(len(clusters), dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), clusters


def true_neighbours(vectors: np.ndarray, k: int) -> list[set[int]]:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    return [set(row[:k].tolist()) for row in np.argsort(-cosines, axis=1)]


def test_exact_neighbours_are_those_of_all_pairs() -> None:
    vectors, _ = planted(5, 12)
    result = nearest_neighbours(vectors, 4)
    assert [set(row.tolist()) for row in result] == true_neighbours(vectors, 4)


def test_inverted_lists_find_nearly_all_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = planted(20, 40)
    monkeypatch.setattr(neighbours_module, "EXACT_ITEMS", 10)
    result = nearest_neighbours(vectors, 5)
    pairs = zip(result, true_neighbours(vectors, 5), strict=True)
    shares = [len(true & set(row.tolist())) / 5 for row, true in pairs]
    assert np.mean(shares) > 0.95
    assert (result != np.arange(len(vectors))[:, None]).all()


def test_the_grid_agrees_with_the_sum_over_all_pairs() -> None:
    points = np.random.default_rng(0).normal(scale=8, size=(200, 2)).astype(np.float32)
    forces = RepulsionGrid(256).forces(points)
    exact = pairwise_forces(points)
    assert forces.normaliser == pytest.approx(exact.normaliser, rel=0.01)
    errors = np.abs(forces.pushes - exact.pushes)
    assert errors.mean() < 0.04 * np.abs(exact.pushes).mean()
    assert errors.max() < 0.05 * np.abs(exact.pushes).max()


def test_forces_of_two_points_have_a_known_answer() -> None:
    forces = pairwise_forces(np.array([[0, 0], [0, 2]], np.float32))
    assert forces.normaliser == pytest.approx(2 / 5)
    np.testing.assert_allclose(forces.pushes, [[0, -2 / 25], [0, 2 / 25]], rtol=1e-6)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("pairwise", [10, 400])
def test_planted_clusters_stay_together(pairwise: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_module, "PAIRWISE_ITEMS", pairwise)
    vectors, clusters = planted(8, 25)
    positions = lay_out(vectors)
    assert positions.shape == (200, 2)
    assert np.abs(positions).max() == pytest.approx(1)
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :5]
    assert (clusters[nearest] == clusters[:, None]).mean() > 0.98
    assert kept_neighbours(vectors, positions) > 0.9
    assert np.array_equal(positions, lay_out(vectors)), "the same vectors give the same map"


def test_the_share_of_kept_neighbours_has_a_known_answer() -> None:
    angles = np.linspace(0, np.pi / 2, 200)
    on_circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert kept_neighbours(on_circle, on_circle) == 1
    shuffled = np.random.default_rng(0).permutation(on_circle)
    assert kept_neighbours(on_circle, shuffled) == pytest.approx(50 / 199, abs=0.08)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_few_items_have_a_map(n: int) -> None:
    positions = lay_out(planted(n, 1)[0])
    assert positions.shape == (n, 2)
    assert np.isfinite(positions).all()


def test_equal_and_empty_vectors_have_a_map() -> None:
    vectors = np.zeros((30, 4), np.float32)
    vectors[:20, 0] = 1
    assert np.isfinite(lay_out(vectors)).all()


def test_work_ends_when_its_watch_raises() -> None:
    shares: list[float] = []

    def watch(share: float) -> None:
        shares.append(share)
        if len(shares) == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        lay_out(planted(4, 10)[0], watch=watch)
    assert shares == sorted(shares)
    assert len(shares) == 5


class TestFile:
    def test_what_was_written_is_read(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        positions = np.random.default_rng(0).uniform(-1, 1, (7, 2)).astype(np.float32)
        write_map(folder, ItemMap(positions, 0.5), "abc")
        result = read_map(folder, "abc", 7)
        assert result is not None
        assert np.array_equal(result.positions, positions)
        assert result.kept_neighbours == 0.5

    def test_a_map_of_other_weights_is_none(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        assert read_map(folder, "abc", 7) is None
        write_map(folder, ItemMap(np.zeros((7, 2), np.float32), 0.5), "old")
        assert read_map(folder, "abc", 7) is None

    def test_damage_is_one_error(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        write_map(folder, ItemMap(np.zeros((7, 2), np.float32), 0.5), "abc")
        with pytest.raises(RunError, match="8 items"):
            read_map(folder, "abc", 8)
        write_map(folder, ItemMap(np.full((7, 2), np.nan, np.float32), 0.5), "abc")
        with pytest.raises(RunError, match="position"):
            read_map(folder, "abc", 7)
        folder.item_map.write_bytes(b"PAR1 no PAR1")
        with pytest.raises(RunError):
            read_map(folder, "abc", 7)


def items_with(**columns: list[object]) -> Items:
    import pyarrow as pa

    n = len(next(iter(columns.values())))
    table = pa.table({"item_id": [str(i) for i in range(n)], **columns, "training_count": [1] * n})
    return Items(table)


def test_groups_are_the_most_frequent_values() -> None:
    items = items_with(genres=[["a", "b"], ["b"], ["b"], [], None, ["a"]])
    groups = group_items(items, 6)
    assert (groups.attribute, groups.names) == ("genres", ["a", "b"])
    assert groups.codes.tolist() == [0, 1, 1, OTHER, OTHER, 0]


def test_rarer_values_are_other_and_items_may_have_none() -> None:
    names = [f"artist {number}" for number in range(20)]
    groups = group_items(items_with(artist=[*names, *names[:11]]), 31)
    assert len(groups.names) == 11
    assert groups.codes[15] == OTHER
    assert group_items(items_with(year=[1, 2]), 2).attribute is None
