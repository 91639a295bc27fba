"""Check annotations of Segue at run time: jaxtyping for array shapes, beartype for all else.

The import hook of jaxtyping treats every function as one that takes arrays. Decorating all of
Segue with it takes 12 seconds per process; with beartype alone it takes 3.
"""

from __future__ import annotations

import ast
import dataclasses
import sys
import typing
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import FunctionType
from typing import Any

import beartype
import jaxtyping

DECORATOR = "_check_types"
# A TypeError, as that of jaxtyping is one: whoever catches what Python raises for a wrong type
# catches that of a check as well.
_CHECKED = beartype.beartype(conf=beartype.BeartypeConf(violation_type=TypeError))
_IMPORT = ast.parse(f"from type_checks import check_types as {DECORATOR}").body[0]


def install(package: str) -> None:
    """Check the types of all functions and dataclasses of a package that is not imported yet."""
    assert package not in sys.modules
    sys.meta_path.insert(0, _Finder(package))


def check_types(checked: Any) -> Any:
    """Decorate a function, or the ``__init__`` of a dataclass; leave other classes as they are.

    An annotation that cannot be evaluated here (of a class that follows in the module) is not
    checked.
    """
    if isinstance(checked, type):
        if dataclasses.is_dataclass(checked) and "__init__" in vars(checked):
            checked.__init__ = check_types(checked.__init__)  # type: ignore[misc]
        return checked
    if not isinstance(checked, FunctionType) or not checked.__annotations__:
        return checked
    written = checked.__annotations__
    hints = {name: _evaluate(hint, checked.__globals__) for name, hint in written.items()}
    if any(map(_is_of_arrays, hints.values())):
        return jaxtyping.jaxtyped(checked, typechecker=_CHECKED)
    checked.__annotations__ = hints
    decorated = _CHECKED(checked)
    checked.__annotations__ = decorated.__annotations__ = written
    return decorated


def _evaluate(hint: Any, names: dict[str, Any]) -> Any:
    """The type that an annotation stands for."""
    holder = type("Holder", (), {"__annotations__": {"hint": hint}})
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["hint"]
    except Exception:  # noqa: BLE001 - whatever a name that is not defined yet leads to
        return Any


def _is_of_arrays(hint: Any) -> bool:
    """Whether a type has an array with an annotated shape in it."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_is_of_arrays, typing.get_args(hint)))


def _decorate(tree: ast.Module) -> None:
    """Add the decorator: innermost for functions, outermost for classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list.append(ast.copy_location(ast.Name(DECORATOR, ast.Load()), node))
        elif isinstance(node, ast.ClassDef):
            node.decorator_list.insert(0, ast.copy_location(ast.Name(DECORATOR, ast.Load()), node))
    beginning = 0
    while beginning < len(tree.body) and _is_docstring_or_future(tree.body[beginning]):
        beginning += 1
    tree.body.insert(beginning, _IMPORT)


def _is_docstring_or_future(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    return isinstance(node, ast.Expr)


class _Loader(SourceFileLoader):
    """Decorates the source; the bytecode is not cached, as it is not that of the source."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        _decorate(tree)
        return compile(tree, path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the modules of one package."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] != self._package:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec
