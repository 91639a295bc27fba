"""Primitive operations of a traced function (jaxpr), each with the module that it belongs to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from jax.extend.core import Jaxpr, Var

ModulePath = tuple[str | int, ...]
"""Attribute names and list indices that lead from the model to a module or parameter."""


class Operation(NamedTuple):
    """A primitive operation.

    Attributes:
        module: path of the innermost module that performs it.
        primitive: its name in JAX, such as ``dot_general``.
        inputs: the variables that it reads, without constants.
        outputs: the variables that it writes.
        shape: shape of its first output.
        flops: for a matrix product 2 per multiply-add, else 0.
    """

    module: ModulePath
    primitive: str
    inputs: tuple[Var, ...]
    outputs: tuple[Var, ...]
    shape: tuple[int, ...]
    flops: int


def operations_of(function: Jaxpr, modules: Mapping[str, ModulePath]) -> list[Operation]:
    """The operations of a traced function, in order.

    Args:
        modules: the path of each module by the name of its scope.
    """
    return list(_operations(function, {}, "", modules))


def read_variables(function: Jaxpr) -> set[Var]:
    """The variables that a function reads or returns."""
    equations = (variables(equation.invars) for equation in function.eqns)
    return {var for inputs in (*equations, variables(function.outvars)) for var in inputs}


def shape_of(variable: Any) -> tuple[int, ...]:
    """The shape of a variable or a constant."""
    return tuple(variable.aval.shape)


def variables(atoms: Iterable[Any]) -> list[Var]:
    """The atoms of a jaxpr that are variables, not constants."""
    return [atom for atom in atoms if isinstance(atom, Var)]


def _operations(
    jaxpr: Jaxpr, outer_variables: dict[Var, Var], scope: str, modules: Mapping[str, ModulePath]
) -> Iterator[Operation]:
    """The operations in order; those of an inner function replace its call.

    Args:
        outer_variables: for each argument of an inner function, the variable of the outermost
            function that is passed.
        scope: scope of the call.
        modules: the path of each module by the name of its scope.
    """
    for equation in jaxpr.eqns:
        scopes = f"{scope}/{equation.source_info.name_stack}"
        module = next((modules[name] for name in scopes.split("/")[::-1] if name in modules), ())
        inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
        if inner is None:
            inputs = tuple(outer_variables.get(var, var) for var in variables(equation.invars))
            name, outputs = equation.primitive.name, tuple(equation.outvars)
            yield Operation(module, name, inputs, outputs, shape_of(outputs[0]), _flops(equation))
            continue
        inner = getattr(inner, "jaxpr", inner)
        arguments = {
            var: outer_variables.get(argument, argument)
            for var, argument in zip(inner.invars, equation.invars, strict=True)
            if isinstance(argument, Var)
        }
        yield from _operations(inner, arguments, scopes, modules)
        # An inner function may be called twice. So its results are copied to new variables.
        for var, returned in zip(inner.outvars, equation.outvars, strict=True):
            source = tuple(arguments.get(name, name) for name in variables([var]))
            yield Operation(module, "copy", source, (returned,), shape_of(returned), 0)


def _flops(equation: Any) -> int:
    if equation.primitive.name != "dot_general":
        return 0
    (contracted, _), _ = equation.params["dimension_numbers"]
    left, product = shape_of(equation.invars[0]), shape_of(equation.outvars[0])
    return 2 * math.prod(product) * math.prod(left[i] for i in contracted)
