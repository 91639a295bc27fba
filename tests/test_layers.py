"""Imports point strictly down the layers, lazy ones included, and heavy libraries load lazily."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import segue
from layers import LAYERS

pytestmark = pytest.mark.all_cases

GROUPS = [group for layer in LAYERS for group in layer.groups]
RANK_OF = {name: rank for rank, group in enumerate(GROUPS) for name in group}
"""The place of each module and package, counted from the lowest group."""

ROOT = Path(segue.__file__).parent


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(file): file for file in sorted(ROOT.rglob("*.py"))}


def part_of(module: str) -> str:
    """The module or package of the layers that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def imports_of(tree: ast.AST, module: str) -> Iterator[str]:
    """Modules of segue that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == "segue")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            if (node.module or "").split(".")[0] != "segue":
                continue
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in FILES else _home(node.module or "", name.name)
        elif isinstance(node, ast.Attribute) and _is_package(node.value):
            yield _home("segue", node.attr)


def _is_package(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "segue"


def _home(module: str, name: str) -> str:
    """Where a name comes from: those of the package itself live elsewhere."""
    if module == "segue":
        return f"segue.{name}" if f"segue.{name}" in FILES else segue._MODULE_OF.get(name, "segue")
    return module


class _WithoutTypeChecking(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST | None:
        is_guard = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if is_guard else self.generic_visit(node)


@cache
def graph() -> dict[str, set[str]]:
    """What each module imports."""
    edges = {}
    for module, file in FILES.items():
        tree = ast.parse(file.read_text("utf-8"))
        if module == "segue":  # its public names are lazy; type checkers see them all
            tree = _WithoutTypeChecking().visit(tree)
        edges[module] = set(imports_of(tree, module))
    return edges


def test_every_module_has_its_layer():
    assert {part_of(module) for module in FILES} == set(RANK_OF)


@pytest.mark.parametrize("module", FILES)
def test_imports_point_down(module):
    own = part_of(module)
    for imported in graph()[module]:
        assert imported in FILES, f"{module} imports {imported}, which is not there"
        imported_part = part_of(imported)
        if imported_part != own:
            assert RANK_OF[imported_part] < RANK_OF[own], f"{module} imports {imported}"


def test_no_cycles():
    order = list(graphlib.TopologicalSorter(graph()).static_order())
    assert set(order) == set(FILES)


def test_the_check_sees_lazy_and_named_imports():
    code = """
import segue
def late():
    import segue.trainer
    from segue import ragged, Recommender
    from segue.dataset import Dataset
    from numpy import array
    return segue.evaluate, segue.__version__
"""
    assert set(imports_of(ast.parse(code), "test")) == {
        "segue",
        "segue.trainer",
        "segue.ragged",
        "segue.recommender",
        "segue.dataset",
        "segue.evaluation",
    }


@pytest.mark.parametrize("module", ["segue", "segue.errors", "segue.config", "segue.cli"])
def test_importing_is_light(module):
    """None of the libraries that take their time is imported before it is used."""
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    loaded = {name.split(".")[0] for name in json.loads(ended.stdout)}
    assert not loaded & {"jax", "flax", "optax", "orbax", "duckdb", "pyarrow", "grain", "scipy"}


def test_importing_the_recommender_loads_no_library_of_training_or_pictures():
    """Serving imports the recommender and whatever is below it."""
    loads = "from segue.recommender import Recommender; import sys, json"
    code = f"{loads}; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    loaded = set(json.loads(ended.stdout))
    assert "segue.recommender.recommender" in loaded
    unwanted = {"orbax", "tensorboardX", "matplotlib", "segue.inspection", "segue.pictures"}
    assert not loaded & unwanted
    assert not {name.split(".")[0] for name in loaded} & unwanted


@pytest.mark.parametrize("name", segue.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(segue, name).__doc__
    assert name in dir(segue)


def test_public_names_are_those_that_type_checkers_see():
    assert sorted(segue._MODULE_OF) == sorted(segue.__all__)
    tree = ast.parse((ROOT / "__init__.py").read_text("utf-8"))
    guards = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        (name.name, node.module)
        for guard in guards
        for node in guard.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert seen == set(segue._MODULE_OF.items())


def test_unknown_public_name():
    with pytest.raises(AttributeError, match="no attribute 'recomender'"):
        _ = segue.recomender
