"""A short run of the fuzzing target; ``make fuzz`` is the long one."""

from __future__ import annotations

import pytest
from plain_parse import NotComparableError, split_records

import fuzz

pytestmark = pytest.mark.slow


@pytest.mark.timeout(600)
def test_damaged_logs_and_folders_end_in_an_answer_or_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = fuzz.main(["--logs", "60", "--folders", "20", "--seed", "1000"])
    assert code == 0, capsys.readouterr().out


def test_the_second_parser_reads_quoted_text() -> None:
    text = 'a,"b ""c"", d"\r\n"e\nf",g\n\n'
    assert split_records(text, ",", quoted=True) == [["a", 'b "c", d'], ["e\nf", "g"]]
    with pytest.raises(NotComparableError):
        split_records('a,"b\n', ",", quoted=True)
