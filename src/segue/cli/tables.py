"""Tables, histograms and figures for people: plain, narrow and aligned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

NUMERIC = "right"

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
    """A table with a heading; columns hold numbers, but for those of ``left``."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        if name in left:
            drawn.add_column(name, overflow="ellipsis", no_wrap=True, min_width=6)
        else:
            drawn.add_column(name, justify=NUMERIC, no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    return drawn


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
