"""A process that runs commands of ``segue`` one after another, for the fuzzing target.

It reads one JSON list of arguments per line on stdin, and writes one JSON object per command.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from pathlib import Path


def peak_bytes() -> int:
    """The largest resident memory of this process since the last ``reset_peak``."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def prepare_frame(path: str, out: str) -> int:
    """Prepare a Parquet file as a table in memory; the outcome is reported as by the command."""
    import pyarrow.parquet as pq

    import segue

    try:
        segue.prepare(pq.read_table(path), out, split="leave-one-out", memory_limit="300MB")
    except segue.SegueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run(arguments: list[str]) -> dict[str, object]:
    """Run one command, and report its exit code, its error output, its time and its memory."""
    from segue.cli import main

    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    reset_peak()
    begin = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = prepare_frame(*arguments[1:]) if arguments[0] == "frame" else main(arguments)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - an exception that escapes is a finding
            code, _ = -1, err.write(f"Traceback: {type(error).__name__}: {error}")
    seconds = time.monotonic() - begin
    err.seek(0)
    return {"code": code, "err": err.read(), "seconds": seconds, "peak": peak_bytes()}


def main() -> None:
    # File names need not be valid text.
    stdin = io.TextIOWrapper(sys.stdin.buffer, "utf-8", errors="surrogateescape")
    replies, sys.stdout = sys.stdout, sys.stderr
    for line in stdin:
        print(json.dumps(run(json.loads(line))), file=replies, flush=True)


if __name__ == "__main__":
    main()
