"""The run folder: what a training run leaves behind, and all that serving needs.

=====================  =============================================================
``config.json``        the configuration, and the dataset that it was trained on
``weights.safetensors``  the best weights by the validation metric
``card.json``          what was trained where and how well, and the files' checksums
``items.parquet``      the item table: ids, titles, training counts
``sequence_values.json``  what the model knows of sequences: words of names, users; where it
                       is told of them
``item_vectors.safetensors``  fixed vectors that scores are blended with; where they are
``metrics.jsonl``      one line a logged step or validation
``events/``            the same for TensorBoard
``checkpoints/``       for resuming
=====================  =============================================================

Every file is written under another name and renamed, so a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segue.config import Config, validated
from segue.errors import ConfigError, RunError, StorageError
from segue.files import partial_of, replace_file

FORMAT_VERSION = 1

CHECKED_FILES = ("config.json", "weights.safetensors", "items.parquet")
"""Files whose checksums are in the card: what a recommender is built from, together with
``sequence_values.json`` and ``item_vectors.safetensors`` where there are such."""

_MEND = "restore the file from a copy, or train again"
_CONTINUE = "it is being trained, or was stopped while it wrote: continue it with --resume"

DATASET_KEYS = frozenset({"name", "path", "fingerprint", "table_size"})
"""What ``config.json`` says of the dataset."""


class RunFolder:
    """Paths, reading and writing of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.weights = self.path / "weights.safetensors"
        self.card = self.path / "card.json"
        self.items = self.path / "items.parquet"
        self.sequence_values = self.path / "sequence_values.json"
        self.item_vectors = self.path / "item_vectors.safetensors"
        self.metrics = self.path / "metrics.jsonl"
        self.events = self.path / "events"
        self.checkpoints = self.path / "checkpoints"

    def create(self) -> None:
        """Make the folder, or empty one in which nothing has begun.

        Raises:
            RunError: it is there already and holds something.
            StorageError: it cannot be made.
        """
        self._make()
        with self._creating():
            if not self.is_unbegun():
                raise _in_the_way(self.path)
            for left in self.path.iterdir():
                left.unlink()  # of a start with other options, perhaps

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training in the folder; a kill lets go of it too.

        The folder is made where there is none.

        Raises:
            RunError: another one trains in it, or a file is in its place.
            StorageError: it cannot be made.
        """
        self._make()
        if os.name == "nt":  # has no locks of folders
            yield
            return
        folder = os.open(self.path, os.O_RDONLY)
        try:
            if not _lock(folder):
                raise RunError(
                    f"another process trains in {self.path}",
                    "wait until it has ended, or choose another folder",
                )
            yield
        finally:
            os.close(folder)

    def _make(self) -> None:
        with self._creating():
            if self.path.exists() and not self.path.is_dir():
                raise _in_the_way(self.path)
            self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _creating(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = f"cannot create {self.path}: {error.strerror}"
            raise StorageError(message, "choose another folder") from None

    def is_unbegun(self) -> bool:
        """Whether the folder is empty, or all in it is of a start that was cut short."""
        names = {path.name for path in self.path.iterdir()}
        partial = partial_of(self.config).name
        files = (self.items, self.sequence_values)
        known = {partial} | {path.name for file in files for path in (file, partial_of(file))}
        return not names or (partial in names and names <= known)

    def begin(self, config: dict[str, Any], write_rest: Callable[[], object]) -> None:
        """Write the configuration, and what a run needs beside it.

        Where the configuration is, the run can be resumed: so it is written first, and gets
        its name last.

        Args:
            write_rest: writes the item table and the like.

        Raises:
            StorageError: no space, no permission; nothing is left in the folder.
        """

        def write(partial: Path) -> None:
            partial.write_bytes(_encoded(config))
            write_rest()

        try:
            replace_file(self.config, write)
        except StorageError:
            for path in self.path.iterdir():
                path.unlink()
            raise

    def write(self, file: Path, content: bytes) -> None:
        """Replace a file whole.

        Raises:
            StorageError: no space, no permission; the old content is still there.
        """
        replace_file(file, lambda partial: partial.write_bytes(content))

    def write_json(self, file: Path, content: dict[str, Any]) -> None:
        """Replace a JSON file whole."""
        self.write(file, _encoded(content))

    def read_json(self, file: Path) -> dict[str, Any]:
        """Read a JSON object.

        Raises:
            RunError: the file is missing or is not a JSON object.
        """
        try:
            content = json.loads(file.read_text("utf-8"))
        except OSError:
            hint = "is this the folder that `segue train -o` wrote?"
            raise RunError(f"{self.path} is not a complete run: no {file.name}", hint) from None
        except ValueError as error:
            raise RunError(f"{file} is damaged: {error}", _MEND) from None
        if not isinstance(content, dict):
            raise RunError(f"{file} is damaged: expected an object", _MEND)
        return content

    def read_config(self) -> tuple[Config, dict[str, Any]]:
        """The configuration, and what ``config.json`` says of the dataset.

        Raises:
            RunError: not a run, damaged, or of another format version.
        """
        content = self.read_json(self.config)
        if content.get("format_version") != FORMAT_VERSION:
            raise RunError(
                f"{self.path} has run format {content.get('format_version')!r}, "
                f"this version of Segue reads {FORMAT_VERSION}",
                "train again, or use the version of Segue that wrote it",
            )
        try:
            config, dataset = validated(Config, content["config"]), content["dataset"]
        except KeyError as error:
            raise RunError(f"{self.config} is damaged: no key {error}", _MEND) from None
        except ConfigError as error:
            raise RunError(f"{self.config} is damaged: {error.message}", error.hint) from None
        if not isinstance(dataset, dict) or not dataset.keys() >= DATASET_KEYS:
            expected = ", ".join(sorted(DATASET_KEYS))
            message = f"{self.config} is damaged: its dataset has not all of {expected}"
            raise RunError(message, _MEND)
        return config, dataset

    def read_sequence_values(self) -> dict[str, list[str]]:
        """What the model knows of each sequence feature; nothing where it reads none.

        Raises:
            RunError: the file is damaged.
        """
        return self.read_json(self.sequence_values) if self.sequence_values.exists() else {}

    def checksums(self) -> dict[str, str]:
        """Content hashes of the files that a recommender is built from.

        Raises:
            RunError: a file is missing.
        """
        try:
            files = [self.path / name for name in CHECKED_FILES]
            files += [file for file in (self.sequence_values, self.item_vectors) if file.exists()]
            return {file.name: _checksum(file) for file in files}
        except OSError as error:
            missing = Path(error.filename).name
            raise RunError(f"{self.path} is not a complete run: no {missing}", _MEND) from None

    def verify(self) -> dict[str, Any]:
        """Read the card, and check that every file is the one it was written for.

        Raises:
            RunError: a file is missing or altered.
        """
        card = self.read_json(self.card)
        expected = card.get("checksums")
        if not isinstance(expected, dict):
            raise RunError(f"{self.card} is damaged: no checksums", _MEND)
        mend = _CONTINUE if card.get("finished") == "not yet" else _MEND
        found = self.checksums()
        for name in expected.keys() | found.keys():
            if name not in found:
                raise RunError(f"{self.path} is not a complete run: no {name}", _MEND)
            if found[name] != expected.get(name):
                message = f"{self.path / name} is not the file that this run wrote"
                raise RunError(f"{message}: its checksum differs", mend)
        return card


def _in_the_way(path: Path) -> RunError:
    hint = "continue it with --resume, or choose another folder"
    return RunError(f"{path} exists and is not empty", hint)


def _lock(folder: int) -> bool:
    """Lock an open folder until it is closed; False if another process has."""
    import fcntl

    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that knows no locks
        return True
    return True


def _encoded(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()[:32]
