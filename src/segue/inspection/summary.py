"""Model summary: a table of the modules with shapes, parameters and FLOPs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from segue.inspection.forward import SCORES, ForwardPass
from segue.inspection.operations import ModulePath

TABLE = "Table"
"""The kind of a parameter, such as an embedding table, that belongs to a module with submodules."""


class ModuleRow(msgspec.Struct, frozen=True):
    """A module that has parameters or multiplies matrices, without its submodules.

    Attributes:
        module: its path in the model, such as ``blocks.0.attention.project_in``.
        kind: its class; ``Table`` for embeddings.
        output: shape of its output for one sequence; null if it is not called.
        shapes: shapes of its parameters by name.
        parameters: number of scalar parameters.
        flops: FLOPs for one sequence of full context length.
    """

    module: str
    kind: str
    output: list[int] | None
    shapes: dict[str, list[int]]
    parameters: int
    flops: int


class ModelSummary(msgspec.Struct, frozen=True):
    """The modules of a model, in the order of the computation, with totals.

    FLOPs are those of the matrix products of one forward pass of one sequence of full context
    length, up to the scores of every item at every position for which the model has a hidden
    state: 2 per multiply-add, including the products of attention. Embedding lookups,
    normalisation and activation count 0. The computation of the output embeddings is not included.

    Attributes:
        rows: the modules.
        context: number of positions of the sequence.
        parameters: total of all rows.
        flops: total of all rows.
    """

    rows: list[ModuleRow]
    context: int
    parameters: int
    flops: int

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return msgspec.to_builtins(self)


def summarise_model(forward_pass: ForwardPass) -> ModelSummary:
    """Summarise a model from a traced forward pass."""
    rows = [row for _, row in sorted(_rows(forward_pass), key=lambda entry: entry[0])]
    return ModelSummary(
        rows=rows,
        context=forward_pass.context,
        parameters=sum(row.parameters for row in rows),
        flops=sum(row.flops for row in rows),
    )


def dotted(path: ModulePath) -> str:
    """The name of a module or parameter: its path joined by dots, ``blocks.0.attention``."""
    return ".".join(map(str, path))


def scores_kind(forward_pass: ForwardPass) -> str:
    """The kind of the scores, such as ``Inner product with item_embeddings``."""
    owners = dict.fromkeys(str(path[0]) for path in forward_pass.output_parameters)
    return f"Inner product with {' + '.join(sorted(owners))}"


def has_submodules(forward_pass: ForwardPass, path: ModulePath) -> bool:
    """Whether a module has submodules."""
    return any(module[:-1] == path for module in forward_pass.modules if module)


def _rows(forward_pass: ForwardPass) -> Iterator[tuple[float, ModuleRow]]:
    """Each row with the number of the first operation that uses it, to sort by."""
    flops: Counter[ModulePath] = Counter()
    first_use: dict[ModulePath, int] = {}
    parameter_of = forward_pass.parameter_of
    for number, operation in enumerate(forward_pass.operations):
        flops[operation.module] += operation.flops
        read = [parameter_of[var] for var in operation.inputs if var in parameter_of]
        for path in (operation.module, *read):
            first_use.setdefault(path, number)
    for path in forward_pass.output_parameters:
        first_use.setdefault(path, first_use[SCORES] - 1)
    for path, module in forward_pass.modules.items():
        parameters = [key for key in forward_pass.parameter_shapes if key[:-1] == path]
        if has_submodules(forward_pass, path):
            for key in parameters:
                yield first_use.get(key, math.inf), _row(forward_pass, key, TABLE, [key], 0)
            parameters = []
        if parameters or flops[path]:
            row = _row(forward_pass, path, type(module).__name__, parameters, flops[path])
            yield first_use.get(path, math.inf), row
    scores = _row(forward_pass, SCORES, scores_kind(forward_pass), [], flops[SCORES])
    yield first_use[SCORES], scores


def _row(
    forward_pass: ForwardPass,
    path: ModulePath,
    kind: str,
    parameters: list[ModulePath],
    flops: int,
) -> ModuleRow:
    shapes = {str(key[-1]): list(forward_pass.parameter_shapes[key]) for key in parameters}
    output = forward_pass.output_shapes.get(path)
    return ModuleRow(
        module=dotted(path),
        kind=kind,
        output=None if output is None else list(output),
        shapes=shapes,
        parameters=sum(map(math.prod, shapes.values())),
        flops=flops,
    )
