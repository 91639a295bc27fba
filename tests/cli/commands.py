"""The command line inside this process, with what it printed."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any, NamedTuple

from segue.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout; anything else there is an error."""
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        content = json.loads(self.out)
        assert isinstance(content, dict)
        return content

    @property
    def error(self) -> str:
        """The one line on stderr of a mistake that the user can mend."""
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
