"""Tables as pandas data frames, with and without pandas."""

from __future__ import annotations

import pyarrow as pa
import pytest

from segue.errors import RequestError
from segue.recommender import Answer, Recommendation
from segue.recommender.answers import Answers

ANSWER = Answer([Recommendation("a", "A", 0.5, 1)], [], 0, "model", 1.0)


def test_without_pandas_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.tables.find_spec", lambda name: None)
    with pytest.raises(RequestError, match="needs pandas, which is not installed") as error:
        ANSWER.to_pandas()
    assert "to_arrow" in error.value.hint


def test_data_frames_have_the_columns_of_the_tables() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    for result in (ANSWER, Answers([ANSWER, ANSWER])):
        assert pa.Table.from_pandas(result.to_pandas()).to_pylist() == result.to_arrow().to_pylist()
