"""Edited and damaged run folders: whatever is in them, the outcome is an answer or one line."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edited_folders import errors_of
from mutations import (
    Mutation,
    array_mutations,
    checkpoint_mutations,
    file_mutations,
    json_mutations,
    metrics_mutations,
    random_mutation,
    seal,
)
from segue.baselines.cooccurrence import CoOccurrence
from segue.catalogue_search import write_index
from segue.cli.inspect import inspect
from segue.cli.search import search
from segue.dataset import Dataset
from segue.dataset.items_file import read_items
from segue.pictures import draw_curves
from segue.recommender import ItemBias, PureSVD, Recommender, Run, SparseMember, write_members
from segue.runs import RunFolder
from segue.runs.checksums import checksum
from segue.trainer import train
from slow_cases import some_fast

ENSEMBLE = {
    "choice": "all members",
    "weights": {"transformer": 0.5, "co-occurrence": 1.0},
    "held_out_ndcg@10": {"transformer": 0.1, "all members": 0.2},
    "requests": 60,
    "calibration": {
        "temperature": 0.9,
        "requests": 60,
        "nats_at_1": 3.1,
        "nats": 3.0,
        "reliability": {
            "top-1": {
                "error_at_1": 0.02,
                "error": 0.01,
                "error_by_chance": 0.01,
                "bins": [{"probability": 0.1, "share": 0.11, "n": 60}],
            }
        },
    },
}
"""The ensemble in the card of a run that fitted one."""

REFUSED_SHARE = 0.3
"""Smallest share of the edits of JSON values that must be refused; the others are harmless."""


@pytest.fixture(scope="module")
def run(genre_run: Path, genres: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has every file: sequence features and an ensemble."""
    folder = tmp_path_factory.mktemp("edited") / "run"
    shutil.copytree(genre_run, folder)
    ranker = CoOccurrence.fit(genres)
    members = [
        PureSVD(np.ones((genres.vocabulary_size, 4), np.float32), 1.0, {"factors": 4}),
        ItemBias.of_popularity(ranker.counts, 0.1),
        SparseMember(ranker, 1.0, 0.01, {"window": 5, "decay": "1/d"}),
    ]
    write_members(RunFolder(folder), members, 0.5)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"ensemble": ENSEMBLE}))
    seal(folder)
    Run(folder).attach(genres)
    write_index(folder / "search.sqlite", read_items(folder), checksum(folder / "items.parquet"))
    return folder


def describe(folder: Path) -> None:
    run = Run.open(folder)
    assert run.is_finished == (run.card["finished"] != "not yet")
    with contextlib.redirect_stdout(io.StringIO()):
        inspect(folder)
        search(folder, "1")


def read_metrics(folder: Path) -> None:
    table = Run(folder).metrics()
    assert table.column("step").to_numpy().min() >= 0


def recommend(folder: Path) -> None:
    model = Recommender.load(folder)
    history = model.items.ids[:1]
    assert np.isfinite([item.score for item in model.recommend(history, k=3)]).all()


def load(folder: Path) -> None:
    Recommender.load(folder).items.find(["1"])


FILES_AND_ARRAYS = [
    (mutation,)
    for mutation in file_mutations("run") + array_mutations("run")
    if not mutation.name.startswith("metrics") and mutation.name != "items.parquet: many rows"
]


@pytest.mark.parametrize(
    "mutation", some_fast(FILES_AND_ARRAYS, every=5), ids=lambda mutation: mutation.name
)
def test_an_edited_file_is_refused_in_one_line(run: Path, mutation: Mutation, tmp_path) -> None:
    harmless = {
        "items.parquet: is_candidate false",  # no item may be recommended then
        "weights.safetensors: metadata as number",  # not read
        "ensemble/puresvd.safetensors: metadata as number",
        "ensemble/co-occurrence.safetensors: metadata as number",
        "histories.arrow missing",
    }
    errors = errors_of(mutation, run, tmp_path / "copy", (describe, load))
    file = mutation.name.split(" ")[0].strip(":")
    if mutation.name not in harmless:
        assert errors
    # Without a format version, a folder is not recognised as a run of this version. Histories have
    # indices of items.
    named = (file, "has run format None", *["histories.arrow"] * (file == "items.parquet"))
    assert all(any(name in e.message for name in named) for e in errors), errors


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", ["card.json", "config.json", "ensemble/ensemble.json"])
def test_an_edited_value_is_refused_or_read(run: Path, name: str, tmp_path: Path) -> None:
    named = json_mutations(run, name)[::17]
    refused = [m for m in named if errors_of(m, run, tmp_path / "copy", (describe,))]
    assert len(refused) > REFUSED_SHARE * len(named)


@pytest.mark.parametrize("key", ["layers", "width", "feed_forward", "context"])
@pytest.mark.parametrize("value", [100_000, 2**31 - 1, 10**30])
def test_sizes_beyond_those_of_the_weights_allocate_nothing(
    run: Path, key: str, value: int, tmp_path: Path
) -> None:
    def edit(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text())
        content["config"]["model"][key] = value
        (folder / "config.json").write_text(json.dumps(content))
        seal(folder)

    [error] = errors_of(Mutation(key, edit), run, tmp_path / "copy", (load,))
    assert "model" in error.message


def test_weights_that_are_not_finite_are_refused(run: Path, tmp_path: Path) -> None:
    for name in ("weights.safetensors", "ensemble/puresvd.safetensors"):
        [mutation] = [m for m in array_mutations("run") if m.name == f"{name}: not finite"]
        [error] = errors_of(mutation, run, tmp_path / "copy", (load,))
        assert "not finite" in error.message
        assert name in error.message


@pytest.mark.parametrize("mutation", metrics_mutations(), ids=lambda m: m.name)
def test_lines_that_are_no_records_are_left_out(run: Path, mutation: Mutation, tmp_path) -> None:
    def draw(folder: Path) -> None:
        draw_curves(folder, tmp_path / "curves.svg")

    uses = (read_metrics,) if "alone" not in mutation.name else (read_metrics, draw)
    errors = errors_of(mutation, run, tmp_path / "copy", uses)
    assert not errors or " alone" in mutation.name or "many names" in mutation.name


@pytest.mark.parametrize(
    "mutation",
    [m for m in file_mutations("run") if m.name.startswith("metrics")],
    ids=lambda m: m.name,
)
def test_a_log_that_is_no_file_of_records_is_refused(
    run: Path, mutation: Mutation, tmp_path
) -> None:
    errors = errors_of(mutation, run, tmp_path / "copy", (read_metrics,))
    harmless = ("half", "without its end", "longer")
    assert bool(errors) != mutation.name.endswith(harmless)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mutation",
    some_fast(((mutation,) for mutation in checkpoint_mutations()[::5]), every=6),
    ids=lambda mutation: mutation.name,
)
def test_an_edited_checkpoint_is_refused_or_resumed(
    cycles: Dataset, cycle_run: Path, mutation: Mutation, tmp_path: Path
) -> None:
    def resume(folder: Path) -> None:
        train(cycles, folder, resume=True)
        assert (folder / "weights.safetensors").read_bytes() == (
            cycle_run / "weights.safetensors"
        ).read_bytes()

    errors_of(mutation, cycle_run, tmp_path / "copy", (resume,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "checkpoint: data/process_0-of-1.json: next_index zero",
        "checkpoint: trainer_state/metadata: step zero",
        "checkpoint: trainer_state/metadata: step missing",
        "checkpoint: trainer_state/metadata: seconds text",
        "checkpoint: state/arrays.safetensors a FIFO",
        "checkpoint: header huge shape",
    ],
)
def test_a_checkpoint_that_would_resume_elsewhere_is_refused(
    cycles: Dataset, cycle_run: Path, name: str, tmp_path: Path
) -> None:
    def resume(folder: Path) -> None:
        train(cycles, folder, resume=True)

    [mutation] = [m for m in checkpoint_mutations() if m.name == name]
    [error] = errors_of(mutation, cycle_run, tmp_path / "copy", (resume,))
    assert "checkpoint" in error.message


@pytest.mark.slow
def test_random_edits_end_in_an_answer_or_one_line(run: Path, tmp_path: Path) -> None:
    for seed in range(25):
        mutation = random_mutation("run", run, seed)
        errors_of(mutation, run, tmp_path / "copy", (describe, read_metrics, recommend))
