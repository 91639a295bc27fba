"""Arrow tables as pandas data frames, where pandas is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pyarrow as pa

from segue.errors import RequestError


def pandas_of(table: pa.Table) -> Any:
    """A pandas data frame with the columns of a table.

    Raises:
        RequestError: pandas is not installed.
    """
    if find_spec("pandas") is None:
        message = "to_pandas needs pandas, which is not installed"
        raise RequestError(message, "install pandas, or use to_arrow")
    return table.to_pandas()
