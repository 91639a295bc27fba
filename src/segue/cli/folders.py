"""Telling a prepared dataset from a run."""

from __future__ import annotations

from pathlib import Path

from segue.errors import RequestError


def is_run(path: Path) -> bool:
    """Whether a folder holds a run."""
    return (path / "config.json").is_file()


def check_run_or_dataset(path: Path) -> None:
    """Raise RequestError unless a folder is one of the two."""
    if not path.exists():
        raise RequestError(f"there is no folder {path}", "give a dataset or a run")
    if not is_run(path) and not (path / "manifest.json").is_file():
        raise RequestError(
            f"{path} is neither a dataset nor a run: no manifest.json and no config.json in it",
            "give a folder that segue prepare or segue train wrote",
        )
