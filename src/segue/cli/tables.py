"""Tables, histograms and figures for people: plain, narrow and aligned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

NUMERIC = "right"

LABEL_SHARE = 4
"""A label takes at most one of so many parts of a terminal's width."""
_GAP = 3

BAR_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def facts(rows: Mapping[str, str]) -> Table:
    """Two columns: what it is called, what it is."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[str] = ()
) -> Table:
    """A table with a heading; columns hold numbers, but for those of ``left``.

    A row may end early. Where there is no room, the text of ``left`` is cut before a number.
    """
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        if name in left:
            drawn.add_column(name, min_width=6)
        else:
            drawn.add_column(name, justify=NUMERIC, no_wrap=True)
    for row in rows:
        cells = zip(columns, row, strict=False)
        # Only a column that may wrap gives way, so that its cells have to refuse to.
        drawn.add_row(
            *(
                Text(cell, no_wrap=True, overflow="ellipsis") if name in left else cell
                for name, cell in cells
            )
        )
    return drawn


def fitting(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, labels: int, width: int
) -> list[Table]:
    """One table, or as many as it takes for every figure to be seen whole.

    Columns that have no room follow in a further table, with the labels again. Where not
    even one has room it is as wide as it must be, so print without cropping.

    Args:
        labels: how many of the first columns are labels, which fold where they are long.
        width: of the terminal.
    """
    rows = list(rows)
    lines = [[line for row in rows for line in row[i].split("\n")] for i in range(len(columns))]
    widths = [max(map(cell_len, (name, *lines[i]))) for i, name in enumerate(columns)]
    widths[:labels] = [min(wide, max(width // LABEL_SHARE, 6)) for wide in widths[:labels]]
    room = width - sum(wide + _GAP for wide in widths[:labels])
    drawn, groups = -_GAP, [list(range(labels))]
    for i in range(labels, len(columns)):
        drawn += widths[i] + _GAP
        if drawn > room and len(groups[-1]) > labels:
            drawn = widths[i]
            groups.append(list(range(labels)))
        groups[-1].append(i)
    return [_drawn(columns, rows, widths, group, labels) for group in groups]


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]], *, labels: int) -> str:
    """A table in GitHub's Markdown; the first ``labels`` columns are left-aligned."""
    rules = [":--" if i < labels else "--:" for i in range(len(columns))]
    lines = [columns, rules, *rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def histogram(bins: Sequence[dict[str, Any]], console: Console) -> Table:
    """Draw the bins ``{"from", "to", "n"}`` of an audit, a line each."""
    filled = [place for place, found in enumerate(bins) if found["n"]]
    bins = bins[filled[0] : filled[-1] + 1] if filled else []
    total = sum(found["n"] for found in bins) or 1
    most = max((found["n"] for found in bins), default=0) or 1
    drawn = Table.grid(padding=(0, 1))
    drawn.add_column(justify="right", no_wrap=True)
    drawn.add_column(no_wrap=True, overflow="crop")
    drawn.add_column(justify="right", no_wrap=True)
    drawn.add_column(justify="right", no_wrap=True, style="dim")
    for found in bins:
        low, high, n = found["from"], found["to"], found["n"]
        label = f"{low:,}" if low == high else f"{low:,}-{high:,}"
        blocks = Text(bar(n / most, ascii_only=console.options.ascii_only), style="cyan")
        drawn.add_row(label, blocks, f"{n:,}", percent(n / total))
    return drawn


def _drawn(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    shown: Sequence[int],
    labels: int,
) -> Table:
    """Some of the columns as a table, each of its given width."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i in shown:
        drawn.add_column(
            columns[i],
            justify="left" if i < labels else NUMERIC,
            overflow="fold",
            # A plain width would give way where the terminal is narrower than the table.
            min_width=widths[i],
            max_width=widths[i],
        )
    for row in rows:
        drawn.add_row(*(row[i] for i in shown))
    return drawn


def bar(share: float, *, ascii_only: bool = False) -> str:
    """A bar of ``share`` of the full width; anything above 0 shows."""
    if ascii_only:
        return "#" * max(round(BAR_WIDTH * share), int(share > 0))
    eighths = max(round(8 * BAR_WIDTH * share), int(share > 0))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def percent(share: float) -> str:
    """A share as ``12.3 %``."""
    return f"{100 * share:.1f} %"


def clock(seconds: float) -> str:
    """A time span as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
