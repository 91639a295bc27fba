"""What can be wrong with the arguments of a request, found without loading the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from segue.dataset import Items
from segue.errors import RunError
from segue.recommender.control_options import NAMES, read_controls
from segue.recommender.counts import check_count
from segue.recommender.item_attributes import ItemAttributes
from segue.recommender.locks import check_locks
from segue.recommender.request_body import GenerateBody
from segue.recommender.sampling import Sampling
from segue.runs import RunFolder
from segue.runs.checksums import RUN_PROBLEMS
from segue.storage.arrow_files import parquet_schema
from segue.tokens import INDEX_DTYPE, N_SPECIALS, UNK

COUNTS = ("k", "length")
SAMPLING = tuple(field.name for field in fields(Sampling))


def check_arguments(run: Path, arguments: Mapping[str, Any]) -> None:
    """Check the arguments of a request in their order, as the method that they are for does.

    It takes milliseconds. What depends on the catalogue or the model, such as the largest ``k`` and
    unknown items, is checked by the method itself.

    Args:
        run: the folder of the run; where it is none, its model says so when it is loaded.
        arguments: as of ``Recommender.recommend`` or ``Recommender.generate``.

    Raises:
        RequestError: a number is out of range, a locked position is not in the list, or a control
            is impossible, whatever the items are.
    """
    for name in COUNTS:
        if name in arguments:
            check_count(name, arguments[name])
    Sampling(**{name: arguments[name] for name in SAMPLING if name in arguments}).check_ranges()
    _check_controls(run, {name: arguments[name] for name in NAMES if name in arguments})
    if (locked := arguments.get("locked")) is not None:
        check_locks(locked, arguments.get("length", GenerateBody().length))


def _check_controls(run: Path, controls: Mapping[str, Any]) -> None:
    """Check controls against the names and types of the attributes of a run's items.

    They are checked like those of any request, as if no item existed.
    """
    if not controls:
        return
    try:
        schema = parquet_schema(RunFolder(run).items, RUN_PROBLEMS)
    except RunError:
        return
    attributes = ItemAttributes(Items(schema.empty_table()), N_SPECIALS)
    read_controls(controls, attributes, lambda ids: (np.full(len(ids), UNK, INDEX_DTYPE), []))
