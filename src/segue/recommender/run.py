"""``Run``: the folder of a training run, with its card, configuration, metrics and model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from segue.config import Config
from segue.dataset import Dataset
from segue.recommender.attach import attach_histories
from segue.recommender.recommender import Recommender
from segue.runs import RunFolder


@dataclass(frozen=True)
class Run(os.PathLike[str]):
    """A training run, as returned by ``segue.train`` or opened with ``Run.open``.

    It is path-like: it can be given wherever the path of a run is expected. Everything is read
    from the folder when it is requested, so a run that is still being trained can be followed.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Open a folder that ``segue.train`` wrote.

        Raises:
            RunError: the folder is not a run, is damaged, or has another format version.
        """
        folder = RunFolder(path)
        folder.read_config()
        return cls(folder.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def config(self) -> Config:
        """The configuration, complete with all defaults.

        Raises:
            RunError: the file is missing or damaged.
        """
        config, _ = RunFolder(self.path).read_config()
        return config

    @property
    def card(self) -> dict[str, Any]:
        """The card: dataset, seed, machine, steps, best validation, results, checksums.

        It describes the best weights so far; ``finished`` says why the run ended.

        Raises:
            RunError: the file is damaged, or not written yet because no weights were.
        """
        return RunFolder(self.path).read_card()

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended; if not, ``segue.train(..., resume=True)`` continues it."""
        return RunFolder(self.path).read_finished_card() is not None

    def metrics(self) -> pa.Table:
        """The logged metrics, one row per record.

        Returns:
            ``step`` (integer), ``kind`` (``train`` or ``validation``) and a column of floats per
            metric: null in the records without it, NaN where its value was not finite.

        Raises:
            RunError: no step was logged yet.
        """
        from segue.runs.metrics_log import MetricsLog  # loads tensorboardX

        return MetricsLog(RunFolder(self.path)).to_arrow()

    @property
    def ensemble(self) -> dict[str, Any] | None:
        """The members of the model's ensemble; None if the model is a transformer alone.

        Returns:
            ``encoder_weight`` of the transformer, and ``members``: for each ``name``, ``kind``,
            ``weight``, ``scale`` and ``history_weights`` of sparse ones, ``parameters`` of its
            fit, ``entries`` (stored numbers) and ``bytes`` (size of its file).

        Raises:
            RunError: a file of the ensemble is missing or damaged.
        """
        folder = RunFolder(self.path).ensemble
        return folder.summary() if folder.exists() else None

    def attach(self, data: Dataset | str | os.PathLike[str]) -> dict[str, Any]:
        """Copy the histories of a dataset into the run, so that ``user`` needs nothing outside it.

        All events of all sequences are copied, those of validation and test too, with the cuts of
        the split. Histories that are attached already are replaced. The run then contains the data
        of people.

        Args:
            data: a prepared dataset, or its folder; its items are joined to the run's by id.

        Returns:
            ``users``, ``events``, ``bytes``, ``dataset``, ``fingerprint``, ``unknown_events``,
            those of items that the run does not know, and ``users_in_training``, the users of
            another dataset with the id of a user whom the model has learnt.

        Raises:
            DatasetError: the dataset cannot be opened, or two sequences have the same id.
            RequestError: no item of the dataset is an item of the run.
            RunError: the run is damaged, or is being trained.
            StorageError: no space or no permission; the histories of before are unchanged.
        """
        folder = RunFolder(self.path)
        folder.read_config()
        data = data if isinstance(data, Dataset) else Dataset.open(data)
        with folder.locked():
            return attach_histories(folder, data)

    def load(self, *, without_ensemble: bool = False) -> Recommender:
        """The model: ``Recommender.load`` of this run.

        Args:
            without_ensemble: whether to load the transformer alone.

        Raises:
            RunError: the folder is not a complete run, or a file in it was changed.
        """
        return Recommender.load(self, without_ensemble=without_ensemble)
