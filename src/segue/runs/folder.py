"""The run folder: its files, how they are written and how they are verified.

============================  ==========================================================
``config.json``               the configuration and the dataset of the run
``items.parquet``             the items: ids, titles, training counts
``sequence_values.json``      vocabulary of the sequence features (words of names, users);
                              only if the model reads sequence features
``item_vectors.safetensors``  item vectors of the PureSVD ensemble member; only if there is one
``weights.safetensors``       the weights with the best validation metric
``card.json``                 data fingerprint, seed, machine, results, checksums of files
``metrics.jsonl``             one line per logged step or validation
``events/``                   the same records for TensorBoard
``checkpoints/``              checkpoints, from which an interrupted run is resumed
============================  ==========================================================

``trainer.start`` writes the first three when a run begins, ``trainer.singular_vectors`` the item
vectors, and ``trainer.loop`` the others during training. Serving needs nothing else. Every file is
written under a temporary name and then renamed, so a reader never sees a partial file.
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
from segue.errors import ConfigError, RequestError, RunError, StorageError
from segue.storage.atomic import partial_path, replace_file

FORMAT_VERSION = 2
"""Version of the keys and array names in the folder. A run of another version is refused."""

CHECKED_FILES = ("config.json", "weights.safetensors", "items.parquet")
"""Files that every recommender is built from. Their checksums are in the card, with those of
``sequence_values.json`` and ``item_vectors.safetensors`` if these exist."""

RESTORE_HINT = "restore the file from a copy, or train again"
RESUME_HINT = (
    "the run is still being trained, or was stopped during a write: continue it with --resume"
)

DATASET_KEYS = frozenset({"name", "path", "fingerprint", "vocabulary_size"})
"""Required keys of the ``dataset`` object in ``config.json``."""


class RunFolder:
    """The files of one run: their paths, and methods that read, write and verify them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Set the paths; nothing is read or created."""
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
        """Create the folder, or remove the remains of an interrupted start from it.

        Raises:
            RunError: the folder exists and contains other files.
            StorageError: the folder cannot be created.
        """
        self._make_directory()
        with self._create_errors():
            if not self.is_unstarted():
                raise _not_empty_error(self.path)
            for path in self.path.iterdir():
                path.unlink()  # an interrupted start may have had other options

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against training by another process; create it if necessary.

        The lock ends with the process, even if it is killed.

        Raises:
            RunError: another process trains in the folder, or the path is a file.
            StorageError: the folder cannot be created.
        """
        self._make_directory()
        if os.name == "nt":  # folders cannot be locked on Windows
            yield
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            if not _lock(descriptor):
                raise RunError(
                    f"another process trains in {self.path}",
                    "wait until it has ended, or choose another folder",
                )
            yield
        finally:
            os.close(descriptor)

    def _make_directory(self) -> None:
        with self._create_errors():
            if self.path.exists() and not self.path.is_dir():
                raise _not_empty_error(self.path)
            self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _create_errors(self) -> Iterator[None]:
        """Convert errors of the operating system into a ``StorageError``."""
        try:
            yield
        except OSError as error:
            message = f"cannot create {self.path}: {error.strerror}"
            raise StorageError(message, "choose another folder") from None

    def is_unstarted(self) -> bool:
        """Whether the folder is empty or contains only the files of an interrupted start."""
        names = {path.name for path in self.path.iterdir()}
        partial = partial_path(self.config).name
        files = (self.items, self.sequence_values)
        start_files = {partial} | {
            path.name for file in files for path in (file, partial_path(file))
        }
        return not names or (partial in names and names <= start_files)

    def write_config(self, content: dict[str, Any], write_rest: Callable[[], object]) -> None:
        """Write ``config.json`` and the other files that exist before the first step.

        A folder with ``config.json`` is a run that can be resumed. So its content is written
        first, which marks the folder as started, and it is renamed last.

        Args:
            content: the content of ``config.json``.
            write_rest: a function that writes the other files, such as the items.

        Raises:
            StorageError: no space or no permission; nothing is left in the folder.
        """

        def write(partial: Path) -> None:
            partial.write_bytes(_to_json_bytes(content))
            write_rest()

        try:
            replace_file(self.config, write)
        except StorageError:
            for path in self.path.iterdir():
                path.unlink()
            raise

    def write(self, file: Path, content: bytes) -> None:
        """Replace a file atomically.

        Raises:
            StorageError: no space or no permission; the old content is still in place.
        """
        replace_file(file, lambda partial: partial.write_bytes(content))

    def write_json(self, file: Path, content: dict[str, Any]) -> None:
        """Replace a JSON file atomically; see ``write``."""
        self.write(file, _to_json_bytes(content))

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
            raise RunError(f"{file} is damaged: {error}", RESTORE_HINT) from None
        if not isinstance(content, dict):
            raise RunError(f"{file} is damaged: expected an object", RESTORE_HINT)
        return content

    def read_config(self) -> tuple[Config, dict[str, Any]]:
        """Read ``config.json``.

        Returns:
            The configuration, and the ``dataset`` object with the keys ``DATASET_KEYS``.

        Raises:
            RunError: the folder is not a run, is damaged, or has another format version.
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
            raise RunError(f"{self.config} is damaged: no key {error}", RESTORE_HINT) from None
        except ConfigError as error:
            raise RunError(f"{self.config} is damaged: {error.message}", error.hint) from None
        if not isinstance(dataset, dict) or not dataset.keys() >= DATASET_KEYS:
            expected = ", ".join(sorted(DATASET_KEYS))
            message = f"{self.config} is damaged: its dataset lacks one of the keys {expected}"
            raise RunError(message, RESTORE_HINT)
        return config, dataset

    def read_sequence_values(self) -> dict[str, list[str]]:
        """Read the values of each sequence feature that have an embedding.

        Returns:
            Values by feature name; empty if the model reads no sequence features.

        Raises:
            RunError: the file is damaged.
        """
        return self.read_json(self.sequence_values) if self.sequence_values.exists() else {}

    def read_finished_card(self) -> dict[str, Any] | None:
        """The content of ``card.json``; None if the run was stopped before it finished.

        Raises:
            RunError: the file is damaged.
        """
        card = self.read_json(self.card) if self.card.exists() else None
        return None if card is None or card["finished"] == "not yet" else card

    def checksums(self) -> dict[str, str]:
        """Checksums, by file name, of the files that a recommender is built from.

        Raises:
            RunError: a file is missing.
        """
        try:
            files = [self.path / name for name in CHECKED_FILES]
            files += [file for file in (self.sequence_values, self.item_vectors) if file.exists()]
            return {file.name: _checksum(file) for file in files}
        except OSError as error:
            missing = Path(error.filename).name
            raise RunError(
                f"{self.path} is not a complete run: no {missing}", RESTORE_HINT
            ) from None

    def verify(self) -> dict[str, Any]:
        """Read the card and compare the checksum of every file with it.

        Returns:
            The content of ``card.json``.

        Raises:
            RunError: a file is missing or was altered.
        """
        card = self.read_json(self.card)
        expected = card.get("checksums")
        if not isinstance(expected, dict):
            raise RunError(f"{self.card} is damaged: no checksums", RESTORE_HINT)
        hint = RESUME_HINT if card.get("finished") == "not yet" else RESTORE_HINT
        checksums = self.checksums()
        for name in expected.keys() | checksums.keys():
            if name not in checksums:
                raise RunError(f"{self.path} is not a complete run: no {name}", RESTORE_HINT)
            if checksums[name] != expected.get(name):
                message = f"{self.path / name} is not the file that this run wrote"
                raise RunError(f"{message}: its checksum differs", hint)
        return card


def _not_empty_error(path: Path) -> RunError:
    hint = "continue it with --resume, or choose another folder"
    return RunError(f"{path} exists and is not empty", hint)


def _lock(descriptor: int) -> bool:
    """Lock an open folder until it is closed; False if another process has locked it."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _to_json_bytes(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()[:32]


def is_run(path: Path) -> bool:
    """Whether a folder contains a run."""
    return (path / "config.json").is_file()


def check_run_or_dataset(path: Path) -> None:
    """Check that a folder contains a run or a prepared dataset.

    Raises:
        RequestError: the folder does not exist or contains neither.
    """
    if not path.exists():
        raise RequestError(f"there is no folder {path}", "give a dataset or a run")
    if not is_run(path) and not (path / "manifest.json").is_file():
        raise RequestError(
            f"{path} is neither a dataset nor a run: no manifest.json and no config.json in it",
            "give a folder that segue prepare or segue train wrote",
        )
