"""The exceptions that Segue raises for errors of the user.

Each has a message (what was given, what was expected) and a hint (what to do). The command
line prints both as one line and exits with code 2; any other exception that escapes is a
defect of Segue itself.
"""

from __future__ import annotations


class SegueError(Exception):
    """Base class of all errors that the user can cause and correct.

    Attributes:
        message: what was given and what was expected, in one line.
        hint: what to do about it, in one line; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class SourceError(SegueError):
    """A file or folder of the user's log cannot be read in the chosen format."""


class DatasetError(SegueError):
    """A prepared dataset is missing, damaged, of another format version, or not suitable."""


class ConfigError(SegueError):
    """An option, preset or configuration key is unknown or has an impossible value."""


class RunError(SegueError):
    """A run folder is missing, incomplete, altered, or unfit for the requested operation."""


class NotFiniteError(RunError):
    """A model has weights or scores that are not finite, so it cannot answer."""


class RequestError(SegueError):
    """A request, for recommendations for example, cannot be satisfied as it is."""


class ServerError(RequestError):
    """A server refused a call of ``Client`` or failed to answer it, or it was not reached.

    Attributes:
        code: the code of the error, such as ``invalid_request`` or ``queue_full``; see the page
            "Server" of the documentation. Without an answer of the server it is ``unreachable``,
            ``timeout`` or ``unexpected_response``.
        status: the HTTP status; None without a response.
        request_id: by which the server's log names the call; may be empty.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        code: str,
        status: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message, hint)
        self.code = code
        self.status = status
        self.request_id = request_id

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{super().__str__()} [{self.code}{request}]"


class StorageError(SegueError):
    """A file could not be written: no space, no permission, a limit on file size."""


class EventStoreError(SegueError):
    """A database of user events is missing, of another program, damaged, or cannot be used."""


class ResourceError(SegueError):
    """More memory is needed than the machine has, or than a limit allows."""


def quantity(n: int, singular: str, plural: str | None = None) -> str:
    """``1 sequence`` or ``1,200 sequences``; ``plural`` where appending an s is not enough."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"
