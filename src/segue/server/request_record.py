"""What the server notes of a request for its log and metrics: nothing that it contains."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass, field

from starlette.types import Scope

_KEY = "segue.record"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


@dataclass
class RequestRecord:
    """Notes of one request.

    Attributes:
        request_id: the client's ``X-Request-ID``, or one of the server.
        start_s: when it arrived, in seconds of ``time.perf_counter``.
        key: the name of its API key.
        model: the name of the model that answered.
        version: the version of that model.
        error: the code of the error response.
    """

    request_id: str
    start_s: float = field(default_factory=time.perf_counter)
    key: str | None = None
    model: str | None = None
    version: str | None = None
    error: str | None = None


def start_record(scope: Scope) -> RequestRecord:
    """Begin the record of a request."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    is_valid = _REQUEST_ID.fullmatch(given)
    record = RequestRecord(given.decode("ascii") if is_valid else f"{random.getrandbits(128):032x}")
    scope[_KEY] = record
    return record


def record_of(scope: Scope) -> RequestRecord:
    """The record of a request."""
    return scope[_KEY]
