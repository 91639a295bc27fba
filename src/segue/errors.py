"""The exceptions that Segue raises for a user's mistake.

Every one carries a message (what was got, what was expected) and a hint (what to do).
The command line prints them as one line and exits with 2; anything else that escapes is
a defect of Segue itself.
"""

from __future__ import annotations


class SegueError(Exception):
    """Base of every error that a user can cause and mend.

    Attributes:
        message: what was got and what was expected, in one line.
        hint: what to do about it, in one line; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class SourceError(SegueError):
    """A file or folder of the user's log cannot be read as what it was taken for."""


class DatasetError(SegueError):
    """A prepared dataset is missing, damaged, of another format version, or unfit for the task."""


class ConfigError(SegueError):
    """An option, preset or configuration key is unknown or has an impossible value."""


class RunError(SegueError):
    """A run folder is missing, incomplete, altered, or does not match what it is asked for."""


class RequestError(SegueError):
    """A request for recommendations cannot be answered as asked."""


class StorageError(SegueError):
    """Something could not be written: no space, no permission, a limit on file size."""


class ResourceError(SegueError):
    """The machine has less memory than a run would take."""
