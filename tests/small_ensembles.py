"""Copies of small runs with ensembles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from segue.baselines.cooccurrence import CoOccurrence
from segue.baselines.item_knn import ItemKNN
from segue.dataset import Dataset
from segue.recommender import ItemBias, SparseMember, write_members
from segue.runs import RunFolder


def mixed_copy(run: Path, data: Dataset, copy: Path) -> Path:
    """A copy of a run with popularity, co-occurrence and item-kNN as further members."""
    shutil.copytree(run, copy)
    ranker, folder = CoOccurrence.fit(data), RunFolder(copy)
    members = [
        SparseMember(ranker, 1.0, 0.05, {"window": 5}),
        SparseMember(ItemKNN.fit(data), 0.5, 0.01),
        ItemBias.of_popularity(ranker.counts, 0.1),
    ]
    write_members(folder, members, 0.5)
    write_checksums(folder)
    return copy


def write_checksums(folder: RunFolder) -> None:
    """Write the checksums of the files as they are now to the card."""
    card = json.loads(folder.card.read_text())
    folder.write_json(folder.card, card | {"checksums": folder.checksums()})
