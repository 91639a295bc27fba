"""The run folder: its files, how they are written and how they are verified.

============================  ==========================================================
``config.json``               the configuration and the dataset of the run
``items.parquet``             the items: ids, titles, training counts
``sequence_values.json``      vocabulary of the sequence features (words of names, users);
                              only if the model reads sequence features
``ensemble/``                 the members beside the transformer, and their weights; only if there
                              are any; see ``segue.runs.ensemble``
``second/``                   the run folder of the second transformer, if there is one
``weights.safetensors``       the weights with the best validation metric
``card.json``                 data fingerprint, seed, machine, results, checksums of files
``histories.arrow``           the histories of users, if some were attached; see
                              ``segue.runs.histories``
``search.sqlite``             the index of ``segue search``, derived from the items, and built
                              where it is missing; see ``segue.catalogue_search``
``map.parquet``               the positions of the items in the plane, derived from the weights;
                              see ``segue.item_map``
``evaluation.json``           an evaluation to show with the run: what ``segue evaluate --json``
                              printed, if somebody kept it here
``metrics.jsonl``             one line per logged step or validation
``events/``                   the same records for TensorBoard
``checkpoints/``              checkpoints, from which an interrupted run is resumed
============================  ==========================================================

``trainer.start_files`` writes the first three when a run begins, ``recommender.stored_members`` the
ensemble, ``trainer.ensemble.conclude`` starts ``second/``, and ``trainer.loop`` writes the others
during training. Serving needs nothing else. Every file is
written under a temporary name and then renamed, so a reader never sees a partial file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segue.config import Config, validated
from segue.errors import ConfigError, RequestError, RunError, StorageError
from segue.runs.checksums import RESTORE_HINT, RUN_PROBLEMS, VALUES_BYTES, checksum
from segue.runs.ensemble import EnsembleFolder
from segue.runs.schema import Card, RunConfig, SequenceValues
from segue.storage.atomic import partial_path, replace_file
from segue.storage.locks import locked_folder
from segue.storage.reading import (
    JSON_BYTES,
    exists,
    finite_json,
    one_line,
    read_json,
    typed,
)

FORMAT_VERSION = 3
"""Version of the keys and array names in the folder. A run of another version is refused."""

CHECKED_FILES = ("config.json", "weights.safetensors", "items.parquet")
"""Files that every recommender is built from. Their checksums are in the card, with those of
``sequence_values.json`` and ``ensemble/ensemble.json`` if these exist."""

RESUME_HINT = (
    "the run is still being trained, or was stopped during a write: continue it with --resume"
)


class RunFolder:
    """The files of one run: their paths, and methods that read, write and verify them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Set the paths; nothing is read or created."""
        self.path = Path(path)
        self.second_path = self.path / "second"
        self.config = self.path / "config.json"
        self.weights = self.path / "weights.safetensors"
        self.card = self.path / "card.json"
        self.items = self.path / "items.parquet"
        self.sequence_values = self.path / "sequence_values.json"
        self.ensemble = EnsembleFolder(self.path / "ensemble", self.second_path)
        self.histories = self.path / "histories.arrow"
        self.search_index = self.path / "search.sqlite"
        self.item_map = self.path / "map.parquet"
        self.evaluation = self.path / "evaluation.json"
        self.metrics = self.path / "metrics.jsonl"
        self.events = self.path / "events"
        self.checkpoints = self.path / "checkpoints"

    @property
    def second(self) -> RunFolder:
        """The run folder of the second transformer of the ensemble."""
        return RunFolder(self.second_path)

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

        The lock ends with the process; see ``locked_folder``.

        Raises:
            RunError: another process trains in the folder, or the path is a file.
            StorageError: the folder cannot be created.
        """
        self._make_directory()
        with locked_folder(self.path) as is_locked:
            if not is_locked:
                raise RunError(
                    f"another process trains in {self.path}",
                    "wait until it has ended, or choose another folder",
                )
            yield

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

    def read_json(self, file: Path, limit: int = JSON_BYTES) -> dict[str, Any]:
        """Read a JSON object of at most ``limit`` bytes.

        Raises:
            RunError: the file is missing or is not a JSON object.
        """
        if not exists(file):
            hint = "is this the folder that `segue train -o` wrote?"
            raise RunError(f"{self.path} is not a complete run: no {file.name}", hint)
        return read_json(file, RUN_PROBLEMS, limit)

    def read_config(self) -> tuple[Config, dict[str, Any]]:
        """Read ``config.json``.

        Returns:
            The configuration, and the ``dataset`` object; see ``segue.runs.schema.RunDataset``.

        Raises:
            RunError: the folder is not a run, is damaged, or has another format version.
        """
        content = self.read_json(self.config)
        if content.get("format_version") != FORMAT_VERSION:
            raise RunError(
                f"{self.path} has run format {one_line(repr(content.get('format_version')), 50)}, "
                f"this version of Segue reads {FORMAT_VERSION}",
                "train again, or use the version of Segue that wrote it",
            )
        typed(content, RunConfig, self.config, RUN_PROBLEMS)
        try:
            return validated(Config, content["config"]), content["dataset"]
        except ConfigError as error:
            message = f"{self.config} is damaged: {one_line(error.message)}"
            raise RunError(message, error.hint or RESTORE_HINT) from None

    def read_sequence_values(self) -> SequenceValues:
        """Read the values of each sequence feature that have an embedding.

        Returns:
            Values by feature name; empty if the model reads no sequence features.

        Raises:
            RunError: the file is damaged.
        """
        if not exists(self.sequence_values):
            return {}
        content = self.read_json(self.sequence_values, VALUES_BYTES)
        return typed(content, SequenceValues, self.sequence_values, RUN_PROBLEMS)

    def read_card(self) -> dict[str, Any]:
        """The content of ``card.json``; see ``segue.runs.schema.Card``.

        Raises:
            RunError: the file is missing or damaged.
        """
        content = self.read_json(self.card)
        typed(content, Card, self.card, RUN_PROBLEMS)
        return content

    def read_finished_card(self) -> dict[str, Any] | None:
        """The content of ``card.json``; None if the run was stopped before it finished.

        Raises:
            RunError: the file is damaged.
        """
        card = self.read_card() if exists(self.card) else None
        return None if card is None or card["finished"] == "not yet" else card

    def checksums(self) -> dict[str, str]:
        """Checksums, by file name, of the files that a recommender is built from.

        Raises:
            RunError: a file is missing or cannot be read.
        """
        files = [self.path / name for name in CHECKED_FILES]
        optional = (self.sequence_values, self.ensemble.index)
        files += [file for file in optional if exists(file)]
        for file in files:
            if not exists(file):
                raise RunError(f"{self.path} is not a complete run: no {file.name}", RESTORE_HINT)
        return {file.relative_to(self.path).as_posix(): checksum(file) for file in files}

    def verify(self, *, without_ensemble: bool = False) -> dict[str, Any]:
        """Read the card and compare the checksum of every file with it.

        Args:
            without_ensemble: leave out the ensemble, which an interrupted run may have written
                without its card.

        Returns:
            The content of ``card.json``.

        Raises:
            RunError: a file is missing or was altered.
        """
        card = self.read_card()
        expected = dict(card["checksums"])
        hint = RESUME_HINT if card["finished"] == "not yet" else RESTORE_HINT
        checksums = self.checksums()
        if without_ensemble:
            for names in (expected, checksums):
                names.pop(self.ensemble.index.relative_to(self.path).as_posix(), None)
        for name in expected.keys() | checksums.keys():
            if name not in checksums:
                raise RunError(f"{self.path} is not a complete run: no {name}", RESTORE_HINT)
            if checksums[name] != expected.get(name):
                message = f"{self.path / name} is not the file that this run wrote"
                raise RunError(f"{message}: its checksum differs", hint)
        if self.ensemble.exists() and not without_ensemble:
            self.ensemble.verify(hint)
        return card


def _not_empty_error(path: Path) -> RunError:
    hint = "continue it with --resume, or choose another folder"
    return RunError(f"{path} exists and is not empty", hint)


def _to_json_bytes(content: dict[str, Any]) -> bytes:
    return (json.dumps(finite_json(content), indent=2, allow_nan=False) + "\n").encode()


def is_run(path: Path) -> bool:
    """Whether a folder contains a run."""
    return exists(path / "config.json")


def check_run_or_dataset(path: Path) -> None:
    """Check that a folder contains a run or a prepared dataset.

    Raises:
        RequestError: the folder does not exist or contains neither.
    """
    if not exists(path):
        raise RequestError(f"there is no folder {path}", "give a dataset or a run")
    if not is_run(path) and not exists(path / "manifest.json"):
        raise RequestError(
            f"{path} is neither a dataset nor a run: no manifest.json and no config.json in it",
            "give a folder that segue prepare or segue train wrote",
        )
