"""Whether the reading of an edited folder ended well: a correct answer, or one clear line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from mutations import Mutation
from segue.errors import SegueError


def error_of(use: Callable[[], object]) -> SegueError | None:
    """The error of a use, which must be for the user and in one line; None if there is none."""
    error = None
    try:
        use()
    except SegueError as raised:
        error = raised
    if error is not None:
        line = str(error)
        assert error.message
        assert error.hint
        assert "\n" not in line
        assert len(line) < 1200, line
    return error


def errors_of(
    mutation: Mutation, folder: Path, copy: Path, uses: Iterable[Callable[[Path], object]]
) -> list[SegueError]:
    """The errors of all uses of an edited copy of a folder."""
    if copy.exists():
        shutil.rmtree(copy)
    shutil.copytree(folder, copy)
    mutation.edit(copy)
    errors = []
    for use in uses:
        try:
            error = error_of(lambda use=use: use(copy))
        except Exception as unexpected:
            unexpected.add_note(f"after the mutation {mutation.name!r}")
            raise
        if error is not None:
            errors.append(error)
    return errors
