"""User errors: a message of one line, exit code 2, and no partial output."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import segue

COMMAND = "import sys; from segue.cli import main; sys.exit(main())"


@pytest.fixture
def output_folder(tmp_path: Path) -> Path:
    """The folder a failing command must leave empty."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


LOG = "user_id,item_id,timestamp\nu1,a,1\nu1,b,2\nu1,c,3\n"
FILES: list[tuple[str, bytes, list[str], list[str]]] = [
    ("empty.csv", b"", [], ["empty.csv"]),
    ("head.csv", b"user_id,item_id,timestamp\n", [], ["head.csv"]),
    ("mpd.slice.0-999.json", b'{"playlists": [{"pid": 0, "tra', [], ["mpd.slice.0-999.json"]),
    ("nameless.csv", b"alpha,beta\n1,2\n", [], ["alpha", "--user-column"]),
    ("log.csv", LOG.encode(), ["--item-column", "itme_id"], ["itme_id", "'item_id'"]),
    ("log.csv", LOG.replace("b,2", "b,soon").encode(), [], ["soon", "3"]),
    ("log.csv", LOG.replace("b,2", "\xe9,2").encode("latin-1"), [], ["log.csv"]),
    ("log.csv", b"user_id,item_id\nu1,a\nu2,b\n", [], ["leaves nothing"]),
    ("log.csv", LOG.encode(), ["--split", "global-time", "--time-column", "tiem"], ["tiem"]),
    ("log.csv", b"user_id,item_id\nu,a\nu,b\nu,c\n", ["--split", "global-time"], ["needs times"]),
    ("log.csv", LOG.encode(), ["--min-rating", "3"], ["rating"]),
    ("log.csv", LOG.encode(), ["--min-item-events", "9"], ["filter less"]),
    ("log.csv", LOG.encode(), ["--event-type", "buy"], ["event"]),
    ("log.csv", LOG.encode(), ["--items-file", "no-items.csv"], ["no-items.csv"]),
    (
        "log.csv",
        LOG.encode(),
        ["--sequences", "9"],
        ["sequences applies only to", "--format demo"],
    ),
    ("log.csv", LOG.encode(), ["--format", "demo"], ["demo"]),
    ("log.csv", LOG.encode(), ["--format", "mpd"], ["log.csv"]),
]


@pytest.mark.parametrize(("name", "content", "options", "expected"), FILES)
def test_invalid_logs_are_errors(
    tmp_path: Path,
    output_folder: Path,
    name: str,
    content: bytes,
    options: list[str],
    expected: list[str],
) -> None:
    (tmp_path / name).write_bytes(content)
    error = segue("prepare", tmp_path / name, "-o", output_folder / "data", *options).error
    for word in expected:
        assert word in error
    assert list(output_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["no-such-log.csv"], "no-such-log.csv does not exist"),
        ([], "--format demo"),
        (["--format", "movielens"], "format movielens reads a log, but none was given"),
    ],
)
def test_missing_sources_are_errors(
    output_folder: Path, arguments: list[str], expected: str
) -> None:
    assert expected in segue("prepare", *arguments, "-o", output_folder / "data").error
    assert list(output_folder.iterdir()) == []


def test_prepare_does_not_replace_other_files(log: Path, output_folder: Path) -> None:
    (output_folder / "thesis.txt").write_text("five years of work")
    assert "contains no readable dataset" in segue("prepare", log, "-o", output_folder).error
    assert [file.name for file in output_folder.iterdir()] == ["thesis.txt"]


def test_prepare_into_a_path_that_cannot_be_written(log: Path, output_folder: Path) -> None:
    (output_folder / "file").write_text("")
    assert "cannot write" in segue("prepare", log, "-o", output_folder / "file" / "data").error


def test_a_full_disk(tmp_path: Path, log: Path) -> None:
    """Simulated by a limit on file sizes; no file is left."""
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); {COMMAND}"
    output = tmp_path / "out" / "data"
    arguments = [sys.executable, "-c", code, "prepare", log, "-o", output]
    process = subprocess.run(
        [str(word) for word in arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 2
    assert process.stderr.startswith(f"error: cannot write {output}: ")
    assert process.stderr.count("\n") == 1
    assert list(output.parent.iterdir()) == []


def damaged_copy(folder: Path, copy: Path, name: str, content: bytes | None) -> Path:
    """A copy of a folder in which one file has other content, or is missing."""
    shutil.copytree(folder, copy)
    (copy / name).unlink()
    if content is not None:
        (copy / name).write_bytes(content)
    return copy


@pytest.mark.parametrize("name", ["manifest.json", "items.parquet", "sequences.arrow"])
@pytest.mark.parametrize(
    "content", [None, b"not this", b'{"format_version": 2, "files": {"\xff": 0}}']
)
def test_damaged_datasets_are_errors(
    world: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    copy = damaged_copy(world, tmp_path / "copy", name, content)
    assert name in segue("inspect", copy).error
    assert name in segue("train", copy, "-o", tmp_path / "run").error
    assert not (tmp_path / "run").exists()


def test_a_dataset_of_another_format_version(world: Path, tmp_path: Path) -> None:
    manifest = json.loads((world / "manifest.json").read_text())
    content = json.dumps({**manifest, "format_version": 99}).encode()
    copy = damaged_copy(world, tmp_path / "copy", "manifest.json", content)
    assert "format version 99, expected 2" in segue("inspect", copy).error


@pytest.mark.parametrize(
    "name", ["config.json", "weights.safetensors", "items.parquet", "card.json"]
)
@pytest.mark.parametrize("content", [None, b"not this"])
def test_damaged_runs_are_errors(
    run: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    copy = damaged_copy(run, tmp_path / "copy", name, content)
    assert name in segue("recommend", copy).error
    assert name in segue("generate", copy).error


def test_a_manifest_of_another_program_is_no_dataset(tmp_path: Path, log: Path) -> None:
    site = tmp_path / "public"
    site.mkdir()
    (site / "manifest.json").write_text('{"name": "My app", "icons": []}')
    assert "manifest.json is damaged" in segue("inspect", site).error
    assert "contains no readable dataset" in segue("prepare", log, "-o", site).error
    assert [path.name for path in site.iterdir()] == ["manifest.json"]


def test_folders_without_dataset_or_run_are_errors(tmp_path: Path, world: Path) -> None:
    for verb in (["inspect"], ["search", "text"]):
        error = segue(verb[0], tmp_path, *verb[1:]).error
        assert "neither a dataset nor a run" in error
    assert "not a complete run" in segue("recommend", world).error
    assert "manifest.json" in segue("train", tmp_path, "-o", tmp_path / "run").error


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--preset", "sasrek"], "did you mean 'sasrec'?"),
        (["--preset", "demo", "--config", "{config}"], "give one of them"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--set", "model.layer=2"], "did you mean 'layers'?"),
        (["--set", "laers=2"], "did you mean 'layers'?"),
        (["--set", "layers"], "write key=value"),
        (["--set", "layers=many"], "model.layers"),
        (["--set", "heads=3"], "not a multiple of heads"),
        (["--set", "model.end=true", "--resume"], "no config.json"),
    ],
)
def test_invalid_options_of_train_are_errors(
    world: Path, output_folder: Path, tiny_config: Path, options: list[str], expected: str
) -> None:
    filled = [word.format(config=tiny_config) for word in options]
    assert expected in segue("train", world, "-o", output_folder / "run", *filled).error
    assert list(output_folder.iterdir()) == []


@pytest.mark.parametrize("text", ["[model\n", "[model]\nlayer = 2\n", "\xff"])
def test_invalid_configuration_files_are_errors(
    world: Path, tmp_path: Path, output_folder: Path, text: str
) -> None:
    file = tmp_path / "my.toml"
    file.write_bytes(text.encode("latin-1"))
    assert segue("train", world, "-o", output_folder / "run", "--config", file).error
    assert list(output_folder.iterdir()) == []


def test_a_run_is_never_overwritten(run: Path, world: Path) -> None:
    before = (run / "card.json").read_bytes()
    assert "continue it with --resume" in segue("train", world, "-o", run).error
    assert (run / "card.json").read_bytes() == before


def test_resume_needs_the_same_configuration_and_dataset(run: Path, world: Path, log: Path) -> None:
    options = ("-o", run, "--resume")
    assert "another configuration" in segue("train", world, *options, "--set", "layers=4").error
    other_dataset = log.parent / "data"
    assert segue("prepare", log, "-o", other_dataset).code == 0
    assert "another dataset" in segue("train", other_dataset, *options).error
