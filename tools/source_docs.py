"""Signatures, docstrings and fields of classes, read from the source code without importing it."""

from __future__ import annotations

import ast
import copy
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parent.parent / "src"
WIDTH = 88
"""Columns of a signature that is written in one line."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Definition(NamedTuple):
    """A function or class, and the module that it is in.

    Attributes:
        owner: the name of its class, for a method or property.
    """

    node: Function | ast.ClassDef
    module: str
    owner: str = ""

    @property
    def name(self) -> str:
        """The name, with that of the class for a method."""
        return f"{self.owner}.{self.node.name}" if self.owner else self.node.name

    @property
    def doc(self) -> str:
        """The docstring as Markdown."""
        return markdown(ast.get_docstring(self.node) or "")

    def is_decorated(self, *names: str) -> bool:
        """Whether it has a decorator of one of these names."""
        decorators = {text_of(node).split(".")[-1] for node in self.node.decorator_list}
        return bool(decorators & set(names))


class Field(NamedTuple):
    """A field of a class: its type, its default and its docstring as Markdown."""

    annotation: ast.expr
    default: str
    doc: str


def definition(module: str, name: str) -> Definition:
    """The definition of a name, in the module or where the module imports it from."""
    body = tree_of(module).body
    for_types = [inner for node in body if isinstance(node, ast.If) for inner in node.body]
    for node in [*body, *for_types]:
        if isinstance(node, Function | ast.ClassDef) and node.name == name:
            return Definition(node, module)
        if isinstance(node, ast.ImportFrom) and _imports(node, name):
            return definition(node.module or "", name)
    raise LookupError(f"{module} has no {name}")


def methods(owner: Definition) -> list[Definition]:
    """The methods and properties of a class in order, overloads included; then inherited ones."""
    nodes = [node for node in owner.node.body if isinstance(node, Function)]
    result = [Definition(node, owner.module, owner.node.name) for node in nodes]
    for parent in _parents(owner):
        names = {method.node.name for method in result}
        inherited = [method for method in methods(parent) if method.node.name not in names]
        result += [method._replace(owner=owner.node.name) for method in inherited]
    return result


def _parents(owner: Definition) -> Iterator[Definition]:
    """The base classes of a class that are in the same package."""
    if not isinstance(owner.node, ast.ClassDef):
        return
    package = owner.module.rpartition(".")[0]
    bases = [text_of(base) for base in owner.node.bases]
    for node in tree_of(owner.module).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package):
            yield from (
                definition(node.module or "", name) for name in bases if _imports(node, name)
            )


def fields(module: str, name: str) -> dict[str, Field]:
    """The annotated fields of a class by name, in order; aliases in their types are expanded."""
    result: dict[str, Field] = {}
    owner = definition(module, name)
    body = owner.node.body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        doc = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            doc = markdown(str(following.value.value))
        default = "" if node.value is None else text_of(node.value)
        result[node.target.id] = Field(expanded(node.annotation, owner.module), default, doc)
    return result


@cache
def tree_of(module: str) -> ast.Module:
    """The syntax tree of a module."""
    path = SOURCE / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def text_of(node: ast.AST) -> str:
    """The source code of a node, with double quotes."""
    return ast.unparse(node).replace("'", '"')


# --- signatures ---


def signature(function: Definition) -> str:
    """The signature of a function, method or property; aliases in its types are expanded."""
    node, module = function.node, function.module
    assert isinstance(node, Function)
    returns = "" if node.returns is None else text_of(expanded(node.returns, module))
    if function.is_decorated("property", "cached_property"):
        return f"{node.name}: {returns}"
    name = function.name if function.is_decorated("classmethod") else node.name
    arguments = list(_arguments(node.args, module))[bool(function.owner) :]  # not self or cls
    result = f" -> {returns}" if returns else ""
    line = f"{name}({', '.join(arguments)}){result}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){result}"])


def _arguments(arguments: ast.arguments, module: str) -> Iterator[str]:
    """The parameters as they are written, with the marker of keyword-only ones."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    for argument, default in zip(positional, [*defaults, *arguments.defaults], strict=True):
        yield _argument(argument, default, module)
    if arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _argument(argument, default, module)
    if arguments.kwarg is not None:
        yield f"**{_argument(arguments.kwarg, None, module)}"


def _argument(argument: ast.arg, default: ast.expr | None, module: str) -> str:
    text = argument.arg
    if argument.annotation is not None:
        text += f": {text_of(expanded(argument.annotation, module))}"
    if default is not None:
        text += f" = {text_of(default)}"
    return text


# --- types ---


def expanded(annotation: ast.expr, module: str) -> ast.expr:
    """An annotation of a module with its aliases expanded, and without ``Annotated``."""
    return _Expander(module).visit(copy.deepcopy(annotation))


def type_text(annotation: ast.expr) -> str:
    """A type as text, with the choices of a Literal as members of a union."""
    if isinstance(annotation, ast.BinOp):
        return f"{type_text(annotation.left)} | {type_text(annotation.right)}"
    if isinstance(annotation, ast.Subscript) and text_of(annotation.value) == "Literal":
        choices = annotation.slice
        values = choices.elts if isinstance(choices, ast.Tuple) else [choices]
        return " | ".join(map(text_of, values))
    return text_of(annotation)


class _Expander(ast.NodeTransformer):
    def __init__(self, module: str) -> None:
        self._module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        alias = _alias(node.id, self._module)
        return node if alias is None else expanded(*alias)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if text_of(node.value) == "Annotated" and isinstance(node.slice, ast.Tuple):
            return self.visit(node.slice.elts[0])
        return self.generic_visit(node)


def _alias(name: str, module: str) -> tuple[ast.expr, str] | None:
    """The value of a type alias, and its module; None for a class or a name from elsewhere."""
    for node in tree_of(module).body:
        if isinstance(node, ast.Assign) and text_of(node.targets[0]) == name:
            return node.value, module
        if isinstance(node, ast.ImportFrom) and _imports(node, name):
            return _alias(name, node.module or "")
    return None


def _imports(node: ast.ImportFrom, name: str) -> bool:
    """Whether it imports a name from the package."""
    is_ours = (node.module or "").split(".")[0] == "segue"
    return is_ours and any(alias.name == name for alias in node.names)


# --- docstrings ---

_SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes):\n((?:(?: {4}.*)?\n)*)", re.M)
_ENTRY = re.compile(r"^(\w+): ", re.M)
_CODE = re.compile(r"(?<=\n\n)((?: {4}.*\n|\n(?= {4}))+)")
_TITLES = {"Args": "Arguments"}


def markdown(docstring: str) -> str:
    """A docstring as Markdown: its sections as lists, its indented blocks as code."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.cleandoc(docstring), flags=re.S)
    text = _SECTION.sub(_section, text + "\n")
    text = _CODE.sub(lambda block: f"{code_block(textwrap.dedent(block[1]).strip())}\n", text)
    return text.strip()


def code_block(text: str) -> str:
    """Python code in Markdown."""
    return f"```python\n{text}\n```"


def joined(text: str) -> str:
    """Text in one line."""
    return " ".join(text.split())


def _section(section: re.Match[str]) -> str:
    """A section as a list with an item per entry, or as a paragraph if it has no entries."""
    title, content = _TITLES.get(section[1], section[1]), inspect.cleandoc(section[2])
    parts = _ENTRY.split(content)
    if section[1] in ("Returns", "Yields") or len(parts) == 1:
        return f"**{title}**: {joined(content)}\n\n"
    entries = zip(parts[1::2], parts[2::2], strict=True)
    items = "\n".join(f"- `{name}`: {joined(text)}" for name, text in entries)
    return f"**{title}**\n\n{items}\n\n"
