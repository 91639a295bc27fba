"""Writes ``docs/reference.md``: the public names with their signatures and docstrings.

They come from the source code, so every version of Python writes the same page.

    python tools/generate_reference.py
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import segue
from segue.config.options import EVALUATION_KEYS, PREPARE_KEYS
from source_docs import (
    Definition,
    Field,
    code_block,
    definition,
    fields,
    joined,
    methods,
    signature,
    type_text,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"

FUNCTIONS = ("prepare", "train", "plan", "evaluate", "compare", "presets", "load_config")
CLASSES = (
    "Dataset",
    "Run",
    "Recommender",
    "Query",
    "Answer",
    "Answers",
    "Client",
    "Evaluation",
    "Config",
)
EXCEPTIONS = (
    "SourceError",
    "DatasetError",
    "ConfigError",
    "NotFiniteError",
    "RunError",
    "RequestError",
    "ServerError",
    "StorageError",
    "ResourceError",
    "EventStoreError",
)
RETURNED = (
    ("segue.recommender", "Recommendation"),
    ("segue.recommender", "Session"),
    ("segue.recommender", "Explanation"),
    ("segue.recommender", "Why"),
    ("segue.recommender", "Reason"),
    ("segue.client", "StoredEvents"),
    ("segue.evaluation", "Result"),
    ("segue.evaluation", "Estimate"),
    ("segue.evaluation", "Comparison"),
    ("segue.evaluation", "Difference"),
    ("segue.trainer.plan", "Plan"),
    ("segue.trainer", "Progress"),
)
"""Classes that are not public names, but whose objects the public functions return."""

INTRODUCTION = """\
# Reference

Use this page to look up a function or a class of `import segue`, an option or a configuration key.
These names are the public interface; the sub-modules of the package may change without notice. The
page is generated from the docstrings by `make docs`.
"""
KEYS = """\
Keyword arguments of `segue.train`, `segue.plan` and `segue.load_config`; on the command line, keys
of `--set`; in a TOML file, keys of the table that is called like the section. A key is in one
section only, so that its name suffices: `epochs=3` and `--set epochs=3`, or with the section
`**{"training.epochs": 3}` and `--set training.epochs=3`.
"""


def generated() -> str:
    """The page."""
    blocks = [INTRODUCTION, "## Functions\n"]
    blocks += [function_block(public(name)) for name in FUNCTIONS]
    blocks.append("## Classes\n")
    blocks += [class_block(public(name)) for name in CLASSES]
    blocks += ["## Exceptions\n", class_block(public("SegueError")), "Its subclasses:\n"]
    blocks += [f"- `{name}`: {joined(public(name).doc)}" for name in EXCEPTIONS]
    blocks.append("\n## Objects that functions return\n")
    blocks += [class_block(definition(module, name)) for module, name in RETURNED]
    blocks += [*_option_tables(), "## Configuration keys\n", KEYS, *_key_tables()]
    return "\n".join(blocks).rstrip() + "\n"


def public(name: str) -> Definition:
    """The definition of a public name."""
    return definition(segue._MODULE_OF[name], name)


def function_block(function: Definition) -> str:
    """The signature and the docstring of a function."""
    return f"### {function.name}\n\n{code_block(signature(function))}\n\n{function.doc}\n"


def class_block(owner: Definition) -> str:
    """The docstring of a class, and its public methods and properties."""
    blocks = [f"### {owner.name}\n\n{owner.doc}\n"]
    members = [member for member in methods(owner) if not member.node.name.startswith("_")]
    overloads = [member for member in members if member.is_decorated("overload")]
    for member in members:
        if member not in overloads:
            variants = [overload for overload in overloads if overload.name == member.name]
            signatures = "\n".join(map(signature, variants or [member]))
            blocks.append(f"#### {member.name}\n\n{code_block(signatures)}\n\n{member.doc}\n")
    return "\n".join(blocks)


def table(head: str, rows: Mapping[str, Field]) -> str:
    """Fields as a table of name, type, default and docstring."""
    lines = [f"| {head} | type | default | meaning |", "|---|---|---|---|"]
    for name, field in rows.items():
        cells = [f"`{name}`", f"`{type_text(field.annotation)}`", f"`{field.default}`"]
        cells.append(joined(field.doc))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _option_tables() -> Iterator[str]:
    """The options of ``prepare`` and ``evaluate``, documented at the keys that they set."""
    for verb, options, config, keys in (
        ("prepare", "PrepareOptions", "PrepareConfig", PREPARE_KEYS),
        ("evaluate", "EvaluationOptions", "EvaluationConfig", EVALUATION_KEYS),
    ):
        rows = {}
        for name, option in fields("segue.config", options).items():
            stored = [_field_at(config, key) for key in keys[name]]
            documented = next((field for field in stored if field.doc), stored[0])
            rows[name] = option._replace(default=documented.default, doc=documented.doc)
        yield f"## Options of {verb}\n"
        yield f"Keyword arguments of `segue.{verb}`, and options of `segue {verb}`.\n"
        yield table("option", rows)


def _key_tables() -> Iterator[str]:
    """The keys of ``Config``, one table per section."""
    for name, section in fields("segue.config", "Config").items():
        section_type = type_text(section.annotation)
        yield f"### {name}\n\n{definition('segue.config', section_type).doc}\n"
        yield table("key", fields("segue.config", section_type))


def _field_at(section: str, key: str) -> Field:
    """The field at a dotted key below a section of the configuration."""
    first, _, rest = key.partition(".")
    field = fields("segue.config", section)[first]
    return _field_at(type_text(field.annotation), rest) if rest else field


if __name__ == "__main__":
    PAGE.write_text(generated(), "utf-8")
