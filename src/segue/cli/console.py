"""Console output: JSON and results on stdout, messages on stderr; tables, histograms, formats.

Everything that is printed as text passes ``visible``: titles, ids and names of files may contain
control characters, and must not control the terminal. Importing this module is light: rich and
numpy are imported when something is printed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPED_WIDTH = 160
"""Columns of a table that is written to a file or a pipe."""

LABEL_SHARE = 4
"""A label column of a wide table takes at most 1/4 of the terminal's width."""
MIN_TEXT_WIDTH = 6
"""Minimum width of a text column, in characters."""
_GAP = 3
"""Columns between two cells of a wide table."""

BAR_WIDTH = 40
"""Width of the longest bar, in characters."""
_EIGHTHS = " ▏▎▍▌▋▊▉"

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]",
)
"""Control characters other than tab and line feed, separators of lines and paragraphs, and the
characters that reorder a line (bidirectional embeddings, overrides and isolates)."""


def visible(text: str) -> str:
    r"""Text with every control character as an escape such as ``\x1b``; see ``_CONTROL``."""
    return _CONTROL.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def print_json(content: Any) -> None:
    """Print one JSON object on stdout, as one line of UTF-8 whatever the terminal's encoding.

    NaN and infinities become null, because JSON has neither.
    """
    import msgspec

    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.encode(content, enc_hook=_numpy_scalar) + b"\n")
    sys.stdout.buffer.flush()


def stdout() -> Console:
    """The rich console for results. It prints titles literally: rich markup is off."""
    return _console(stderr=False)


def stderr() -> Console:
    """The rich console for progress, warnings and notes."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    from rich.console import Console
    from rich.text import Text

    class VisibleConsole(Console):
        """A console whose texts contain no control characters."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text), **options)

    stream = sys.stderr if stderr else sys.stdout
    fixed = not stream.isatty() and "COLUMNS" not in os.environ
    width = PIPED_WIDTH if fixed else None
    return VisibleConsole(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def _numpy_scalar(value: Any) -> Any:
    """Convert a numpy scalar to a Python number, for the JSON encoder."""
    import numpy as np

    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be encoded as JSON")


def key_values(rows: Mapping[str, str]) -> Table:
    """A table of two columns without a heading: name and value."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        grid.add_row(name, value)
    return grid


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: Sequence[str] = ()
) -> Table:
    """A table with a heading, one line per row.

    A row may have fewer cells than there are columns. In a narrow terminal text columns are
    shortened with an ellipsis before numbers are.

    Args:
        text_columns: columns of left-aligned text; all others are right-aligned numbers.
    """
    from rich.text import Text

    built = _empty_table()
    for name in columns:
        if name in text_columns:
            built.add_column(name, min_width=MIN_TEXT_WIDTH)
        else:
            built.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = zip(columns, row, strict=False)
        # rich narrows only columns that may wrap, so the cells themselves forbid wrapping.
        built.add_row(
            *(
                Text(_one_line(cell), no_wrap=True, overflow="ellipsis")
                if name in text_columns
                else cell
                for name, cell in cells
            )
        )
    return built


def _one_line(cell: str) -> str:
    return visible(cell).replace("\n", "\\n")


def fitting_tables(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, n_labels: int, width: int
) -> list[Table]:
    """Split a wide table into as many tables as are needed to show every number in full.

    Each table repeats the label columns. If not even one number column fits, its table is wider
    than the terminal, so print it without cropping.

    Args:
        n_labels: number of leading label columns; long labels are folded.
        width: width of the terminal in characters.
    """
    from rich.cells import cell_len

    rows = list(rows)
    lines = [[line for row in rows for line in row[i].split("\n")] for i in range(len(columns))]
    widths = [max(map(cell_len, (name, *lines[i]))) for i, name in enumerate(columns)]
    label_limit = max(width // LABEL_SHARE, MIN_TEXT_WIDTH)
    widths[:n_labels] = [min(label_width, label_limit) for label_width in widths[:n_labels]]
    available = width - sum(label_width + _GAP for label_width in widths[:n_labels])
    used, groups = -_GAP, [list(range(n_labels))]
    for i in range(n_labels, len(columns)):
        used += widths[i] + _GAP
        if used > available and len(groups[-1]) > n_labels:
            used = widths[i]
            groups.append(list(range(n_labels)))
        groups[-1].append(i)
    return [_fixed_width_table(columns, rows, widths, group, n_labels) for group in groups]


def _fixed_width_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    shown: Sequence[int],
    n_labels: int,
) -> Table:
    """A table of the columns ``shown``, each exactly as wide as its entry of ``widths``."""
    built = _empty_table()
    for i in shown:
        built.add_column(
            columns[i],
            justify="left" if i < n_labels else "right",
            overflow="fold",
            # rich shrinks a column of plain `width` where the terminal is too narrow.
            min_width=widths[i],
            max_width=widths[i],
        )
    for row in rows:
        built.add_row(*(row[i] for i in shown))
    return built


def _empty_table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, n_labels: int) -> str:
    """A table in GitHub's Markdown; the first ``n_labels`` columns are left-aligned."""
    rules = [":--" if i < n_labels else "--:" for i in range(len(columns))]
    lines = [columns, rules, *rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def histogram(bins: Sequence[dict[str, Any]], console: Console) -> Table:
    """A bar chart of the bins ``{"from", "to", "n"}`` of a dataset audit, one line per bin.

    Empty bins at both ends are left out.
    """
    from rich.table import Table
    from rich.text import Text

    filled = [i for i, entry in enumerate(bins) if entry["n"]]
    bins = bins[filled[0] : filled[-1] + 1] if filled else []
    total = sum(entry["n"] for entry in bins) or 1
    highest = max((entry["n"] for entry in bins), default=0) or 1
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, overflow="crop")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True, style="dim")
    for entry in bins:
        low, high, n = entry["from"], entry["to"], entry["n"]
        label = f"{low:,}" if low == high else f"{low:,}-{high:,}"
        blocks = Text(bar(n / highest, ascii_only=console.options.ascii_only), style="cyan")
        grid.add_row(label, blocks, f"{n:,}", percent(n / total))
    return grid


def bar(share: float, *, ascii_only: bool = False) -> str:
    """A text bar of length ``share * BAR_WIDTH``, for a share from 0 to 1; not empty above 0."""
    if ascii_only:
        return "#" * max(round(BAR_WIDTH * share), int(share > 0))
    eighths = max(round(8 * BAR_WIDTH * share), int(share > 0))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def percent(share: float) -> str:
    """A share between 0 and 1 as ``12.3 %``; small ones with two digits, as ``0.0034 %``."""
    if 0 < share < 0.001:
        return f"{float(f'{100 * share:.1e}'):.6f}".rstrip("0") + " %"
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """A time span as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
