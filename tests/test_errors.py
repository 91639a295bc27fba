"""Every exception of the tree carries what was got and what to do."""

from __future__ import annotations

import inspect

import pytest

from segue import errors
from segue.errors import SegueError

CLASSES = [value for _, value in inspect.getmembers(errors, inspect.isclass)]


def test_the_tree_is_the_one_that_is_documented():
    assert {kind.__name__ for kind in CLASSES} == {
        "SegueError",
        "SourceError",
        "DatasetError",
        "ConfigError",
        "RunError",
        "RequestError",
        "StorageError",
        "ResourceError",
    }


@pytest.mark.parametrize("kind", CLASSES)
def test_carries_message_and_hint(kind: type[SegueError]):
    error = kind("got 3 columns, expected 2", "name the item column")
    assert isinstance(error, SegueError)
    assert error.message == "got 3 columns, expected 2"
    assert error.hint == "name the item column"
    assert str(error) == "got 3 columns, expected 2 (name the item column)"


@pytest.mark.parametrize("kind", CLASSES)
def test_hint_may_be_absent(kind: type[SegueError]):
    error = kind("nothing to do")
    assert error.hint == ""
    assert str(error) == "nothing to do"


@pytest.mark.parametrize("kind", CLASSES)
def test_says_in_its_docstring_when_it_is_raised(kind: type[SegueError]):
    assert kind.__doc__


def test_is_caught_as_the_base_that_the_package_exports():
    import segue

    with pytest.raises(segue.SegueError, match="no such file"):
        raise errors.SourceError("no such file")
