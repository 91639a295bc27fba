"""The histories of a run as a dataset, with the split of the dataset that they come from."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from segue.dataset import Dataset, Items
from segue.dataset.manifest import manifest_of
from segue.dataset.manifest_schema import Counts
from segue.dataset.sequences import Sequences
from segue.dataset.sequences_file import check_values, sequences_of
from segue.storage.reading import Problems
from segue.tokens import N_SPECIALS, UNK


class HistoriesDataset(Dataset):
    """The users of a run as sequences, ascending by user, cut as in the dataset they come from.

    It has the items of the run; an event of any other item is ``UNK``. Times, ratings and the
    attributes that the model does not read are left out.
    """

    def __init__(
        self,
        batch: pa.RecordBatch,
        file: Path,
        manifest: dict[str, Any],
        *,
        name: str,
        items: Items,
        vocabulary_size: int,
        is_of_training: bool,
        problems: Problems,
    ) -> None:
        """Check the description; the events are checked when they are first used.

        Args:
            batch: the mapped file, with ``sequence_id`` as the name of the users.
            file: its path.
            manifest: the manifest of the dataset that the histories come from.
            name: the name of this dataset.
            items: the items of the run.
            vocabulary_size: that of the run.
            is_of_training: whether the run was trained on this dataset. Any other one has other
                items than this one, so this one does not get its fingerprint.
            problems: the error to raise.

        Raises:
            problems.error: the manifest is none, or is damaged.
        """
        content = manifest_of(manifest, file, problems)
        n_events = len(batch.column("items").values)
        counts = Counts(len(batch), n_events, len(items), vocabulary_size - N_SPECIALS)
        fingerprint = content.fingerprint
        if not is_of_training:
            fingerprint += " in the items of a run"
        described = msgspec.structs.replace(content, counts=counts, fingerprint=fingerprint)
        super().__init__(file, described, sequences_of(batch, file))
        self._batch = batch
        self._name = name
        self._problems = problems
        self.items = items

    @property
    def name(self) -> str:
        return self._name

    @cached_property
    def sequences(self) -> Sequences:  # type: ignore[override] - checked once
        check_values(
            self._batch,
            self.path,
            len(self.items),
            is_windows=self.split_rule.needs_target_rows,
            lowest_item=UNK,
            problems=self._problems,
        )
        return self._sequences
