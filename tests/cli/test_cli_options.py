"""Parsers of option values; choices of options agree with the configuration."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import segue
from segue import demo, pictures
from segue.cli import evaluate, prepare
from segue.cli.app import VERBS, app
from segue.cli.option_values import parse_changes, parse_counts, parse_cutoffs, parse_names
from segue.cli.options import item_ids, sequence_features
from segue.config import (
    ConfigSection,
    EvaluationConfig,
    EvaluationOptions,
    PrepareOptions,
    SourceConfig,
    SplitConfig,
    load_config,
)
from segue.errors import ConfigError, RequestError


@given(st.lists(st.integers(1, 10**6), min_size=1))
def test_cutoffs_are_read_as_written(numbers: list[int]) -> None:
    assert parse_cutoffs(",".join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize("text", ["", "a", "5,,10", "0", "5,-1", "1.5"])
def test_invalid_cutoffs(text: str) -> None:
    with pytest.raises(ValueError, match="integers of at least 1, as in 5,10,20"):
        parse_cutoffs(text)


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_counts_may_be_zero(numbers: list[int]) -> None:
    assert parse_counts(",".join(map(str, numbers))) == tuple(numbers)


@pytest.mark.parametrize("text", ["", "a", "0,", "-1", "0.5"])
def test_invalid_counts(text: str) -> None:
    with pytest.raises(ValueError, match="integers of at least 0, as in 0,1,5"):
        parse_counts(text)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("layers=4", "model.layers", 4),
        (" layers = 4 ", "model.layers", 4),
        ("model.layers=4", "model.layers", 4),
        ("learning_rate=1e-4", "optimizer.learning_rate", 1e-4),
        ("learning_rate=1", "optimizer.learning_rate", 1),
        ("tied_output=false", "model.tied_output", False),
        ("norm=post", "model.norm", "post"),
        ('norm="post"', "model.norm", "post"),
        ("kind=sampled-softmax", "loss.kind", "sampled-softmax"),
        ("rating_scale=[0.5, 5]", "training.rating_scale", [0.5, 5]),
    ],
)
def test_changes_have_a_dotted_key_and_a_value(text: str, key: str, value: Any) -> None:
    assert parse_changes([text]) == {key: value}
    load_config(**parse_changes([text]))


def test_the_last_change_of_a_key_takes_precedence() -> None:
    changes = parse_changes(["layers=5", "model.layers=6", "width=8", "layers=7"])
    assert changes == {"model.layers": 7, "model.width": 8}
    assert parse_changes(None) == {}


def test_a_change_without_an_equals_sign_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'layers' has no '='"):
        parse_changes(["layers"])


@given(st.text(max_size=30))
def test_changes_raise_no_other_error_than_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        load_config(**parse_changes([text]))


def test_names_and_item_ids() -> None:
    assert parse_names(" a, b c ,,d") == ["a", "b c", "d"]
    assert item_ids("a, b", ["c,d", " e "]) == ["a", "b", "c,d", " e "]
    assert item_ids(None, None) == item_ids(None, []) == []


@pytest.mark.parametrize(
    ("items", "item"), [("", None), (" , ", ["a"]), (None, ["a", ""]), ("a", [" "])]
)
def test_an_empty_item_id_is_an_error(items: str | None, item: list[str] | None) -> None:
    with pytest.raises(RequestError, match="an item id is empty"):
        item_ids(items, item)


@pytest.mark.parametrize(
    ("title", "features"), [(None, {}), ("", {}), (" ", {}), ("rain", {"name": "rain"})]
)
def test_a_blank_title_is_no_feature(title: str | None, features: dict[str, str]) -> None:
    assert sequence_features(title, None) == features


def choices(annotation: Any) -> set[str]:
    """The values of all Literals in an annotation."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    if get_origin(annotation) is Annotated:
        return choices(get_args(annotation)[0])
    return set().union(*(choices(inner) for inner in get_args(annotation)))


@pytest.mark.parametrize(
    ("option", "section", "key"),
    [
        (prepare.Format, SourceConfig, "format"),
        (prepare.Split, SplitConfig, "kind"),
        (prepare.Catalogue, SplitConfig, "catalogue"),
        (evaluate.Task, EvaluationConfig, "task"),
        (evaluate.Seen, EvaluationConfig, "seen"),
        (evaluate.UnknownTargets, EvaluationConfig, "unknown_targets"),
        (evaluate.Targets, EvaluationConfig, "targets"),
    ],
)
def test_choices_are_those_of_the_configuration(
    option: Any, section: type[ConfigSection], key: str
) -> None:
    assert choices(option)
    assert choices(option) == choices(section.model_fields[key].annotation)


# --- one name per argument in Python and on the command line ---

OUTPUT = {"as_json", "as_markdown"}
NEGATED = {
    "no_baselines": "baselines",
    "no_sequence_features": "use_sequence_features",
    "no_probe": "probe",
}
"""Options that turn off what is on by default in Python."""

VERB_BY_NAME: dict[str, Callable[..., None]] = {verb.__name__: verb for verb in VERBS}


def arguments(verb: str) -> set[str]:
    """The names of a verb's arguments and options, as in Python."""
    names = set(inspect.signature(VERB_BY_NAME[verb]).parameters) - OUTPUT
    return {NEGATED.get(name, name) for name in names}


def parameters(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters)


def test_prepare_has_the_names_of_the_function() -> None:
    expected = parameters(segue.prepare) - {"config", "options"}
    assert arguments("prepare") == expected | set(PrepareOptions.__annotations__)


def test_evaluate_has_the_names_of_the_function() -> None:
    expected = parameters(segue.evaluate) - {"config", "options", "block_size"}
    names = arguments("evaluate") - {"per_sequence"}
    assert names == expected | set(EvaluationOptions.__annotations__)


def test_train_plan_and_compare_have_the_names_of_the_functions() -> None:
    assert arguments("train") - {"overfit"} == parameters(segue.train) - {"watch"}
    assert arguments("plan") == parameters(segue.plan)
    assert arguments("compare") == parameters(segue.compare)


def test_the_demo_and_pictures_are_written_to_out_as_in_python() -> None:
    assert "out" in arguments("demo") & parameters(demo.run_demo)
    assert "out" in arguments("draw") & parameters(pictures.draw_curves)
    assert "out" in parameters(pictures.draw_model) & parameters(pictures.draw_list)


RENAMED = {"changes": "--set", "as_json": "--json", "as_markdown": "--markdown"}


@pytest.mark.parametrize("verb", ["prepare", "plan", "train", "evaluate", "compare", "demo"])
def test_options_are_called_like_their_parameters(verb: str) -> None:
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    options = {param.name: param.opts for param in command.params if param.opts[0][0] == "-"}
    for name in options.keys() - {"help", "overfit"}:
        assert RENAMED.get(name, f"--{name.replace('_', '-')}") in options[name]
