"""Run the command line inside the test process and capture what it prints."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any, NamedTuple

from segue.cli import main


class Outcome(NamedTuple):
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object on stdout, which must be its only line."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        content = json.loads(self.out)
        assert isinstance(content, dict)
        return content

    @property
    def error(self) -> str:
        """The error message on stderr, which must be its only line; the exit code must be 2."""
        assert self.code == 2, self.err
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("error: ")
        assert "Traceback" not in self.err
        return self.err.strip()


def segue(*arguments: object) -> Outcome:
    """Run ``segue`` with the arguments."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return Outcome(code, *texts)
