"""The public interface: its names, its documentation, and the page that is generated from it."""

from __future__ import annotations

import inspect
import re

import pytest

import segue
from generate_reference import CLASSES, EXCEPTIONS, FUNCTIONS, PAGE
from segue.config import EvaluationOptions, PrepareOptions
from segue.config.loading import leaf_keys
from source_docs import definition, fields, markdown, methods, signature, type_text

TEXT = PAGE.read_text("utf-8")


def test_the_public_names() -> None:
    assert segue.__all__ == [
        "Answer",
        "Answers",
        "Client",
        "Config",
        "ConfigError",
        "Dataset",
        "DatasetError",
        "Evaluation",
        "EventStoreError",
        "NotFiniteError",
        "Query",
        "Recommender",
        "RequestError",
        "ResourceError",
        "Run",
        "RunError",
        "SegueError",
        "ServerError",
        "SourceError",
        "StorageError",
        "compare",
        "evaluate",
        "load_config",
        "plan",
        "prepare",
        "presets",
        "train",
    ]


def test_all_exceptions_are_public() -> None:
    public = {value for name in segue.__all__ if inspect.isclass(value := getattr(segue, name))}
    raised = {value for value in vars(segue.errors).values() if inspect.isclass(value)}
    assert {value for value in public if issubclass(value, Exception)} == raised


def test_the_page_has_every_public_name() -> None:
    assert sorted([*FUNCTIONS, *CLASSES, *EXCEPTIONS, "SegueError"]) == segue.__all__
    for name in (*FUNCTIONS, *CLASSES, "SegueError"):
        assert f"\n### {name}\n" in TEXT
    for name in EXCEPTIONS:
        assert f"\n- `{name}`: " in TEXT


def test_the_page_has_every_option_and_key() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    keys = {key.split(".")[-1] for key in leaf_keys(segue.Config)}
    assert rows == keys | {*PrepareOptions.__annotations__, *EvaluationOptions.__annotations__}
    assert not re.findall(r"^\| `\w+` .*\|  \|$", TEXT, re.MULTILINE), "a key is not documented"


@pytest.mark.parametrize(
    ("function", "options"),
    [(segue.prepare, PrepareOptions), (segue.evaluate, EvaluationOptions)],
)
def test_docstrings_name_every_option(function: object, options: type) -> None:
    named = set(re.findall(r"``(\w+)``", inspect.getdoc(function) or ""))
    assert options.__annotations__.keys() <= named


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_name_every_argument(name: str) -> None:
    function = getattr(segue, name)
    arguments = re.findall(r"^    (\w+): ", inspect.getdoc(function) or "", re.MULTILINE)
    assert set(inspect.signature(function).parameters) <= set(arguments)


# --- the parts of the generator ---


def test_a_signature_is_written_as_in_the_source() -> None:
    load = definition("segue.config", "load_config")
    assert load.module == "segue.config.loading"
    assert signature(load) == (
        "load_config(\n"
        "    preset: str | None = None,\n"
        "    file: str | os.PathLike[str] | None = None,\n"
        "    **changes: Any,\n"
        ") -> Config"
    )
    assert signature(definition("segue.config", "presets")) == "presets() -> list[str]"


def test_signatures_of_methods_and_properties() -> None:
    run = definition("segue.recommender", "Run")
    by_name = {method.node.name: method for method in methods(run)}
    assert signature(by_name["open"]) == "Run.open(path: str | os.PathLike[str]) -> Run"
    assert signature(by_name["load"]) == "load(*, without_ensemble: bool = False) -> Recommender"
    assert signature(by_name["is_finished"]) == "is_finished: bool"


def test_types_are_expanded() -> None:
    split = fields("segue.config", "SplitConfig")
    kinds = '"holdout" | "leave-one-out" | "global-time" | "windows" | None'
    assert type_text(split["kind"].annotation) == kinds
    assert type_text(split["test_share"].annotation) == "float"
    assert split["test_share"].default == "0.1"
    assert split["window"].doc.startswith("Length of the history before each target")


def test_docstrings_become_markdown() -> None:
    docstring = """Do a thing to ``x``.

    More about it,
    in two lines:

        with thing(x):
            y = x

    Args:
        x: the first
            argument.
        options: ``a``, ``b``.

    Returns:
        A number,
        or None.

    Raises:
        ConfigError: never.
    """
    assert (
        markdown(docstring)
        == """\
Do a thing to `x`.

More about it,
in two lines:

```python
with thing(x):
    y = x
```

**Arguments**

- `x`: the first argument.
- `options`: `a`, `b`.

**Returns**: A number, or None.

**Raises**

- `ConfigError`: never."""
    )
