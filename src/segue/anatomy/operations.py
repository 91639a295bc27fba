"""The primitive operations of a traced function, and the module that each happens in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from jax.extend.core import Jaxpr, Var

Path = tuple[str | int, ...]
"""Names of attributes and places in lists, from the model down to a module or parameter."""


class Operation(NamedTuple):
    """A primitive operation.

    Attributes:
        module: the innermost module that it happens in.
        inputs: the variables that it reads, constants left out.
        shape: of its first output.
        flops: two for a multiply-add of a matrix product; 0 for all else.
    """

    module: Path
    primitive: str
    inputs: tuple[Var, ...]
    outputs: tuple[Var, ...]
    shape: tuple[int, ...]
    flops: int


def operations_of(function: Jaxpr, names: Mapping[str, Path]) -> list[Operation]:
    """The operations of a traced function in order.

    Args:
        names: the modules by the names of their scopes.
    """
    return list(_operations(function, {}, "", names))


def read_by(function: Jaxpr) -> set[Var]:
    """The variables that a function reads or returns."""
    equations = (variables(equation.invars) for equation in function.eqns)
    return {var for found in (*equations, variables(function.outvars)) for var in found}


def shape_of(variable: Any) -> tuple[int, ...]:
    """The shape of a variable or a constant."""
    return tuple(variable.aval.shape)


def variables(atoms: Iterable[Any]) -> list[Var]:
    """Those that are no constants."""
    return [atom for atom in atoms if isinstance(atom, Var)]


def _operations(
    jaxpr: Jaxpr, outer: dict[Var, Var], within: str, names: Mapping[str, Path]
) -> Iterator[Operation]:
    """Operations in order, those of inner functions in the place of their call.

    Args:
        outer: what the arguments of an inner function are called outside.
        within: the scopes of the call.
    """
    for equation in jaxpr.eqns:
        scopes = f"{within}/{equation.source_info.name_stack}"
        module = next((names[name] for name in scopes.split("/")[::-1] if name in names), ())
        inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        if inner is None:
            inputs = tuple(outer.get(var, var) for var in variables(equation.invars))
            name, outputs = equation.primitive.name, tuple(equation.outvars)
            yield Operation(module, name, inputs, outputs, shape_of(outputs[0]), _flops(equation))
            continue
        inner = getattr(inner, "jaxpr", inner)
        pairs = zip(inner.invars, equation.invars, strict=True)
        known = {var: outer.get(given, given) for var, given in pairs if isinstance(given, Var)}
        yield from _operations(inner, known, scopes, names)
        # One inner function may be called twice: what it returned is copied out of it.
        for var, returned in zip(inner.outvars, equation.outvars, strict=True):
            read = tuple(known.get(name, name) for name in variables([var]))
            yield Operation(module, "copy", read, (returned,), shape_of(returned), 0)


def _flops(equation: Any) -> int:
    if equation.primitive.name != "dot_general":
        return 0
    (contracted, _), _ = equation.params["dimension_numbers"]
    left, product = shape_of(equation.invars[0]), shape_of(equation.outvars[0])
    return 2 * math.prod(product) * math.prod(left[i] for i in contracted)
