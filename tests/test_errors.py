"""Exceptions: the class hierarchy, messages and hints; and ``quantity``."""

from __future__ import annotations

import inspect

import pytest

from segue import errors
from segue.errors import RequestError, SegueError, ServerError, quantity

EXCEPTIONS = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
PLAIN = [exception for exception in EXCEPTIONS if exception is not ServerError]


def test_the_exceptions_are_the_documented_ones():
    assert {exception.__name__ for exception in EXCEPTIONS} == {
        "SegueError",
        "SourceError",
        "DatasetError",
        "ConfigError",
        "NotFiniteError",
        "RunError",
        "RequestError",
        "StorageError",
        "ResourceError",
        "EventStoreError",
        "ServerError",
    }


@pytest.mark.parametrize("exception", PLAIN)
def test_has_message_and_hint(exception: type[SegueError]):
    error = exception("got 3 columns, expected 2", "name the item column")
    assert isinstance(error, SegueError)
    assert error.message == "got 3 columns, expected 2"
    assert error.hint == "name the item column"
    assert str(error) == "got 3 columns, expected 2 (name the item column)"


@pytest.mark.parametrize("exception", PLAIN)
def test_hint_may_be_absent(exception: type[SegueError]):
    error = exception("nothing to do")
    assert error.hint == ""
    assert str(error) == "nothing to do"


def test_an_error_of_a_server_says_its_code_and_the_request():
    error = ServerError("no room", "try later", code="queue_full", status=503, request_id="r-1")
    assert isinstance(error, RequestError)
    assert str(error) == "no room (try later) [queue_full, request r-1]"
    assert str(ServerError("no answer", code="timeout")) == "no answer [timeout]"


@pytest.mark.parametrize("exception", EXCEPTIONS)
def test_docstring_states_when_it_is_raised(exception: type[SegueError]):
    assert exception.__doc__


def test_is_caught_by_the_base_class_that_the_package_exports():
    import segue

    with pytest.raises(segue.SegueError, match="no such file"):
        raise errors.SourceError("no such file")


@pytest.mark.parametrize(("n", "singular", "plural", "expected"), [
    (0, "event", None, "0 events"),
    (1, "event", None, "1 event"),
    (1200, "event", None, "1,200 events"),
    (1, "rating lies", "ratings lie", "1 rating lies"),
    (2, "rating lies", "ratings lie", "2 ratings lie"),
])  # fmt: skip
def test_quantity_is_singular_for_one(
    n: int, singular: str, plural: str | None, expected: str
) -> None:
    assert quantity(n, singular, plural) == expected
