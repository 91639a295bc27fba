"""What can be wrong with the controls of a request, found without loading the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segue.dataset import Items
from segue.errors import RunError
from segue.recommender.control_options import NAMES, read_controls
from segue.recommender.item_attributes import ItemAttributes
from segue.runs import RunFolder
from segue.runs.checksums import RUN_PROBLEMS
from segue.storage.arrow_files import parquet_schema
from segue.tokens import INDEX_DTYPE, N_SPECIALS, UNK


def check_controls(run: Path, arguments: Mapping[str, Any]) -> None:
    """Check the controls among the arguments of a request against the attributes of a run's items.

    Only the names and types of the attributes are read, so it takes milliseconds. They are checked
    like those of any request, as if no item existed.

    Args:
        run: the folder of the run; where it is none, its model says so when it is loaded.
        arguments: as of ``Recommender.recommend``; those that are no controls are ignored.

    Raises:
        RequestError: a control is impossible, whatever the items are.
    """
    controls = {name: value for name, value in arguments.items() if name in NAMES}
    if not controls:
        return
    try:
        schema = parquet_schema(RunFolder(run).items, RUN_PROBLEMS)
    except RunError:
        return
    attributes = ItemAttributes(Items(schema.empty_table()), N_SPECIALS)
    read_controls(controls, attributes, lambda ids: (np.full(len(ids), UNK, INDEX_DTYPE), []))
