"""The model as a table: modules, shapes, parameters, FLOPs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from segue.anatomy.forward import SCORES, Forward
from segue.anatomy.operations import Path

TABLE = "Table"
"""What a parameter is called that belongs to no smaller module than one that holds others."""


class ModuleRow(msgspec.Struct, frozen=True):
    """A module that has parameters or multiplies matrices itself, its parts left out.

    Attributes:
        module: where it is in the model: ``blocks.0.attention.project_in``.
        kind: its class; ``Table`` for embeddings.
        output: shape of what it returns for one sequence; null where it is not called.
        shapes: of its parameters by name.
        parameters: how many numbers those are.
        flops: of one sequence that fills the context.
    """

    module: str
    kind: str
    output: list[int] | None
    shapes: dict[str, list[int]]
    parameters: int
    flops: int


class ModelSummary(msgspec.Struct, frozen=True):
    """The model as a table, in the order of the computation.

    FLOPs are those of the matrix products of one forward pass of one sequence that fills the
    context, up to the scores of every item at every position that the model has a state for:
    two a multiply-add, attention's products included. Looking an embedding up, normalising
    and activating count nothing. The output table is taken as made.

    Attributes:
        context: positions of the sequence.
        parameters: of all rows.
        flops: of all rows.
    """

    rows: list[ModuleRow]
    context: int
    parameters: int
    flops: int

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return msgspec.to_builtins(self)


def summarise(forward: Forward) -> ModelSummary:
    """Summarise a model from a traced pass of it."""
    rows = [row for _, row in sorted(_rows(forward), key=lambda found: found[0])]
    return ModelSummary(
        rows=rows,
        context=forward.context,
        parameters=sum(row.parameters for row in rows),
        flops=sum(row.flops for row in rows),
    )


def dotted(path: Path) -> str:
    """What a module or a parameter is called: ``blocks.0.attention``."""
    return ".".join(map(str, path))


def scores_kind(forward: Forward) -> str:
    """What turns hidden states into scores."""
    owners = dict.fromkeys(str(path[0]) for path in forward.scored_with)
    return f"Inner product with {' + '.join(sorted(owners, reverse=True))}"


def holds_modules(forward: Forward, path: Path) -> bool:
    """Whether a module is made of others."""
    return any(other[:-1] == path for other in forward.modules if other)


def _rows(forward: Forward) -> Iterator[tuple[float, ModuleRow]]:
    """Each row, and its place in the computation."""
    flops: Counter[Path] = Counter()
    first_use: dict[Path, int] = {}
    for number, operation in enumerate(forward.operations):
        flops[operation.module] += operation.flops
        read = [forward.variables[var] for var in operation.inputs if var in forward.variables]
        for path in (operation.module, *read):
            first_use.setdefault(path, number)
    for path in forward.scored_with:
        first_use.setdefault(path, first_use[SCORES] - 1)
    for path, module in forward.modules.items():
        own = [key for key in forward.parameters if key[:-1] == path]
        if holds_modules(forward, path):
            for key in own:
                yield first_use.get(key, math.inf), _row(forward, key, TABLE, [key], 0)
            own = []
        if own or flops[path]:
            row = _row(forward, path, type(module).__name__, own, flops[path])
            yield first_use.get(path, math.inf), row
    yield first_use[SCORES], _row(forward, SCORES, scores_kind(forward), [], flops[SCORES])


def _row(forward: Forward, path: Path, kind: str, parameters: list[Path], flops: int) -> ModuleRow:
    shapes = {str(key[-1]): list(forward.parameters[key]) for key in parameters}
    output = forward.outputs.get(path)
    return ModuleRow(
        module=dotted(path),
        kind=kind,
        output=None if output is None else list(output),
        shapes=shapes,
        parameters=sum(map(math.prod, shapes.values())),
        flops=flops,
    )
