"""Histories of known users: from the run, a dataset, a Parquet file or a function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from segue.dataset import Dataset, Items
from segue.errors import DatasetError, RequestError
from segue.features import USER, stored_features
from segue.recommender.ids import id_string, id_strings
from segue.runs import RunFolder
from segue.runs.checksums import checksum
from segue.runs.histories import StoredHistories
from segue.storage.paths import checked_path
from segue.storage.reading import exists
from segue.tokens import N_SPECIALS

HISTORY_COLUMNS = ("user", "items")
"""Columns of a Parquet file of histories: the id of a user, and the list of item ids."""


class UserHistory(NamedTuple):
    """The history and the sequence features of a user.

    Attributes:
        item_ids: the user's events, oldest first; None for an item that the run does not know.
        sequence_features: values by name.
    """

    item_ids: Sequence[str | None]
    sequence_features: Mapping[str, Any]


class Histories(ABC):
    """The histories of users."""

    @property
    @abstractmethod
    def source(self) -> str:
        """Name of the source, for messages."""

    @property
    def end_us(self) -> int | None:
        """The time of the last event of all histories, in microseconds; None if not known."""
        return None

    @property
    @abstractmethod
    def fingerprint(self) -> dict[str, str] | None:
        """What identifies the content, in JSON values; None if that cannot be known."""

    @abstractmethod
    def find(self, user: str) -> UserHistory | None:
        """The history of a user; None for an unknown user."""


def last_time(dataset: Dataset) -> int | None:
    """The time of the last event of a dataset, in microseconds; None if it has no times."""
    times = dataset.sequences.times
    return None if times is None or not len(times) else int(times.max())


def open_histories(histories: Any) -> Histories:
    """Open the histories of known users.

    Args:
        histories: a prepared dataset or its folder; a Parquet file with the columns ``user`` and
            ``items`` (a list of item ids per user); or a function from a user id (a string) to
            the user's item ids, or to None for an unknown user.

    Raises:
        DatasetError: the dataset or the file cannot be read.
        RequestError: it is none of these, or an impossible path.
    """
    if isinstance(histories, Dataset):
        return DatasetHistories(histories)
    if callable(histories):
        return FunctionHistories(histories)
    try:
        path = checked_path(histories, RequestError)
    except TypeError:
        message = f"histories is of type {type(histories).__name__}"
        raise RequestError(message, "give a dataset, a Parquet file or a function") from None
    return (
        FileHistories(path) if path.suffix == ".parquet" else DatasetHistories(Dataset.open(path))
    )


class RunHistories(Histories):
    """The histories that are attached to a run."""

    def __init__(
        self, stored: StoredHistories, items: Items, model: str, training: Mapping[str, Any]
    ) -> None:
        """Find users of a run.

        Args:
            stored: the histories.
            items: the items of the run.
            model: name of the run in messages.
            training: ``fingerprint`` and ``vocabulary_size`` of the dataset of the training.
        """
        self._stored = stored
        self._items = items
        self._model = model
        self._training = training

    @classmethod
    def open(
        cls, folder: RunFolder, items: Items, items_checksum: str, training: Mapping[str, Any]
    ) -> RunHistories | None:
        """Map the histories of a run; None if it has none.

        Raises:
            RunError: the file is damaged or of other items.
        """
        if not exists(folder.histories):
            return None
        stored = StoredHistories(folder.histories, items_checksum, len(items))
        return cls(stored, items, folder.path.name, training)

    @property
    def has_split(self) -> bool:
        """Whether the parts are known; not where an older version attached the histories."""
        return self._stored.metadata.manifest is not None

    @cached_property
    def dataset(self) -> Dataset | None:
        """The histories as a dataset with a split; None without ``has_split``.

        Raises:
            RunError: its description in the file is damaged.
        """
        size, fingerprint = self._training["vocabulary_size"], self._training["fingerprint"]
        return self._stored.dataset(self._items, size, fingerprint)

    @property
    def source(self) -> str:
        return f"the histories of {self._model} (from the dataset {self._stored.metadata.dataset})"

    @property
    def end_us(self) -> int | None:
        return self._stored.metadata.end_us

    @property
    def fingerprint(self) -> dict[str, str]:
        return {"dataset": self._stored.metadata.fingerprint}

    def find(self, user: str) -> UserHistory | None:
        stored = self._stored.find(user)
        if stored is None:
            return None
        ids = self._items.ids
        item_ids = [
            ids[index - N_SPECIALS] if index >= N_SPECIALS else None
            for index in stored.items.tolist()
        ]
        return UserHistory(item_ids, stored.features)


class DatasetHistories(Histories):
    """The sequences of a prepared dataset, by their ids."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    @property
    def source(self) -> str:
        return f"the dataset {self._dataset.name}"

    @cached_property
    def end_us(self) -> int | None:  # type: ignore[override] - computed once
        return last_time(self._dataset)

    @property
    def fingerprint(self) -> dict[str, str]:
        return {"dataset": self._dataset.fingerprint}

    def find(self, user: str) -> UserHistory | None:
        row = self._dataset.sequences.find(user)
        if row is None:
            return None
        ids = self._dataset.items.ids
        item_ids = [ids[index - N_SPECIALS] for index in self._dataset.sequences.row(row).tolist()]
        (features,) = stored_features(self._dataset.sequences, np.array([row]))
        return UserHistory(item_ids, {k: v for k, v in features.items() if k != USER})


class TrainingHistories(Histories):
    """The sequences of the dataset that a model was trained on, opened on first use."""

    def __init__(self, path: str, fingerprint: str, model: str) -> None:
        """Remember where the dataset is; nothing is read.

        Args:
            path: the folder of the dataset.
            fingerprint: its fingerprint when the model was trained.
            model: name of the model in messages.
        """
        self._path = path
        self._fingerprint = fingerprint
        self._model = model

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset.

        Raises:
            DatasetError: it is not at its path any more, or it has changed.
        """
        hint = (
            "give the history itself instead of a user, attach histories with `segue attach`, or "
            "load the model with histories="
        )
        try:
            dataset = Dataset.open(self._path)
        except DatasetError as error:
            message = f"cannot open the dataset that {self._model} was trained on: {error.message}"
            raise DatasetError(message, hint) from None
        if dataset.fingerprint != self._fingerprint:
            message = f"{dataset.path} is not the dataset that {self._model} was trained on"
            raise DatasetError(message, hint)
        return dataset

    @property
    def source(self) -> str:
        return self._histories.source

    @property
    def end_us(self) -> int | None:
        return self._histories.end_us

    @property
    def fingerprint(self) -> dict[str, str]:
        return {"dataset": self._fingerprint}

    @cached_property
    def _histories(self) -> DatasetHistories:
        return DatasetHistories(self.dataset)

    def find(self, user: str) -> UserHistory | None:
        return self._histories.find(user)


class FileHistories(Histories):
    """The histories of a Parquet file, read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            table = pq.read_table(path, columns=list(HISTORY_COLUMNS))
            table.validate(full=True)  # text that is not UTF-8
            self._checksum = checksum(path)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).split("\n", 1)[0]
            raise DatasetError(
                f"cannot read the histories of {path}: {reason}",
                "write a Parquet file with the columns user and items",
            ) from None
        self._items = table.column("items")
        if not isinstance(self._items.type, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
            raise DatasetError(
                f"the column items of {path} is of type {self._items.type}, expected lists",
                "write one row per user, with the list of item ids",
            )
        users = [self._user_id(user) for user in table.column("user").to_pylist()]
        self._row_of = {user: row for row, user in enumerate(users)}
        if len(self._row_of) < len(users):
            repeated = next(user for user, count in Counter(users).items() if count > 1)
            raise DatasetError(
                f"{path} has a user on two rows: {repeated!r}",
                "write one row per user, with the list of item ids",
            )

    @property
    def source(self) -> str:
        return str(self._path)

    @property
    def fingerprint(self) -> dict[str, str]:
        return {"file": self._checksum}

    def find(self, user: str) -> UserHistory | None:
        row = self._row_of.get(user)
        if row is None:
            return None
        return UserHistory(id_strings(self._items[row].as_py() or [], f"items of {user!r}"), {})

    def _user_id(self, user: Any) -> str:
        try:
            return id_string(user, "user")
        except RequestError as error:
            raise DatasetError(f"{self._path}: {error.message}", error.hint) from None


class FunctionHistories(Histories):
    """The histories that a function of the caller returns."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def source(self) -> str:
        return "the given histories"

    @property
    def fingerprint(self) -> None:
        return None

    def find(self, user: str) -> UserHistory | None:
        item_ids = self._function(user)
        if item_ids is None:
            return None
        return UserHistory(id_strings(item_ids, f"the history of {user!r}"), {})
