"""Tables, histograms, JSON and the progress display as they are printed."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from segue.cli.console import (
    BAR_WIDTH,
    bar,
    duration,
    histogram,
    key_values,
    percent,
    print_json,
    stdout,
    table,
)
from segue.cli.train import show_progress
from segue.trainer import Progress


def console(*, terminal: bool = False, width: int = 60) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=width, markup=False, color_system=None
    )


def printed(target: Console) -> str:
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue()


@given(st.floats(0, 1))
def test_a_bar_is_as_long_as_its_share(share: float) -> None:
    blocks = bar(share)
    eighths = 8 * blocks.count("█") + (0 if not blocks.strip("█") else " ▏▎▍▌▋▊▉".index(blocks[-1]))
    assert eighths == pytest.approx(8 * BAR_WIDTH * share, abs=1)
    assert bool(blocks) == (share > 0)
    assert set(bar(share, ascii_only=True)) <= {"#"}
    assert bool(bar(share, ascii_only=True)) == (share > 0)


def test_a_histogram_leaves_out_empty_bins_at_both_ends() -> None:
    counts = [0, 3, 0, 1, 0]
    bins = [{"from": 2**k, "to": 2 ** (k + 1) - 1, "n": n} for k, n in enumerate(counts)]
    target = console()
    target.print(histogram(bins, target))
    lines = printed(target).splitlines()
    assert [line.split()[0] for line in lines] == ["2-3", "4-7", "8-15"]
    assert lines[0].count("█") == BAR_WIDTH
    assert lines[0].split()[-3:] == ["3", "75.0", "%"]


def test_a_histogram_of_empty_bins_is_empty() -> None:
    target = console()
    target.print(histogram([{"from": 1, "to": 1, "n": 0}], target))
    assert printed(target).strip() == ""


def test_markup_in_a_title_is_printed_literally() -> None:
    target = console()
    target.print(table(("title", "n"), [["[bold]Hits[/bold] [1]", "2"]], text_columns=("title",)))
    target.print(key_values({"name": "[red]x"}))
    assert "[bold]Hits[/bold] [1]" in printed(target)
    assert "[red]x" in printed(target)


PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]))


@given(st.lists(PRINTABLE, min_size=1, max_size=4), st.integers(12, 30))
def test_titles_are_shortened_before_numbers_at_any_width(titles: list[str], width: int) -> None:
    target = console(width=width)
    target.print(
        table(("title", "n"), [[title, "17"] for title in titles], text_columns=("title",))
    )
    lines = printed(target).splitlines()
    assert len(lines) == 2 + len(titles)
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.endswith("17") for line in lines[2:])


@given(st.lists(st.text(), min_size=1, max_size=4), st.integers(1, 30))
def test_any_text_can_be_printed(titles: list[str], width: int) -> None:
    target = console(width=width)
    target.print(table(("title", "n"), [[title, "1"] for title in titles], text_columns=("title",)))
    target.print(key_values(dict.fromkeys(titles, "value")))
    assert printed(target)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0:00"), (59.6, "1:00"), (125.0, "2:05"), (3661.0, "1:01:01")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_percent() -> None:
    assert percent(0.1234) == "12.3 %"


def test_no_color_turns_colours_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bins = [{"from": 1, "to": 1, "n": 3}]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    for no_color, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        target = stdout()
        target.print(histogram(bins, target))
        assert ("\x1b[36m" in capsys.readouterr().out) is coloured


def test_json_of_nan_infinity_and_numpy_scalars(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    values = [float("nan"), float("inf"), np.float64(0.5), np.int64(3), np.bool_(True), "é"]
    print_json({"values": values})
    out = capsysbinary.readouterr().out
    assert json.loads(out) == {"values": [None, None, 0.5, 3, True, "é"]}
    assert out.count(b"\n") == 1
    with pytest.raises(TypeError, match="object"):
        print_json({"value": object()})


STEPS = [
    Progress(1, 30, 4.5, 1000.0, 65.0),
    Progress(2, 30, 4.4, 1000.0, 64.0),
    Progress(2, 30, 4.4, 1000.0, 64.0, "step 2: ndcg@10 0.1000 (best)"),
    Progress(30, 30, 4.0, 1000.0, 0.0),
]


def test_progress_without_a_terminal_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([100.0, 100.0, 101.0, 120.0, 120.0])
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    target = console()
    with show_progress(target) as display:
        for progress in STEPS:
            display(progress)
    assert display.step == 30
    assert printed(target).splitlines() == [
        "step 1/30  loss 4.5000  1,000 events/s  1:05 left",
        "step 2: ndcg@10 0.1000 (best)",
        "step 30/30  loss 4.0000  1,000 events/s  0:00 left",
    ]


def test_progress_in_a_terminal_is_a_bar_that_is_erased() -> None:
    target = console(terminal=True, width=100)
    with show_progress(target) as display:
        for progress in STEPS:
            display(progress)
    text = printed(target)
    assert "step 2: ndcg@10 0.1000 (best)" in text
    assert "loss 4.0000" in text
    assert "\x1b[2K" in text  # erased
