"""One forward pass, traced: every operation, and the module that it happens in.

Tracing computes nothing and needs no weights, so a model of any size takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend.core import Var

from segue.anatomy.operations import Operation, Path, operations_of, read_by, shape_of
from segue.features import Bag, ItemFeatures
from segue.model import Transformer

SCORES: Path = ("scores",)
"""Stands for the inner product of hidden states and output table, which is no module."""

TOKENS, SEQUENCE = "tokens", "sequence"
"""What goes in: item indices, and what the model is told of the sequence."""

Shapes = dict[Path, tuple[int, ...]]


class Forward(NamedTuple):
    """A traced pass of one sequence that fills the context, to the scores of all items.

    Attributes:
        context: positions of the sequence.
        operations: in order.
        modules: every module, the model itself at ``()``.
        parameters: their shapes.
        variables: which variable is which parameter.
        inputs: which variable is which input, ``tokens`` or ``sequence``; of those that are
            read.
        outputs: shapes of what comes out of modules, lookups in tables and the scores,
            without the axis of the batch.
        scored_with: parameters that the output table is made of.
        only_scored_with: those of them that nothing else reads.
    """

    context: int
    operations: list[Operation]
    modules: dict[Path, nnx.Module]
    parameters: Shapes
    variables: dict[Var, Path]
    inputs: dict[Var, str]
    outputs: Shapes
    scored_with: list[Path]
    only_scored_with: list[Path]


def trace(
    model: Transformer,
    context: int,
    features: ItemFeatures | None = None,
    told: Bag | None = None,
) -> Forward:
    """Trace the scores of every item at every position that the model has a state for.

    The output table is taken as made: it changes with the weights, not with the sequence.

    Args:
        model: with weights or, from ``nnx.eval_shape``, without.
        context: positions of the sequence.
        features: of the items, where the model reads some.
        told: of one sequence, where the model is told something.
    """
    graph, state = nnx.split(model)
    outputs: Shapes = {}

    def output_table(state: nnx.State, items: Any) -> jax.Array:
        return nnx.merge(graph, state).output_table(items)

    def scores(state: nnx.State, given: dict[str, Any], items: Any, table: jax.Array) -> jax.Array:
        scoped = nnx.merge(graph, state)
        _scope(scoped, outputs)
        hidden = scoped(given[TOKENS], items, given[SEQUENCE])
        with jax.named_scope(_scope_name(SCORES)):
            return hidden @ table.T

    making, table = jax.make_jaxpr(output_table, return_shape=True)(state, features)
    given = {TOKENS: jax.ShapeDtypeStruct((1, context), jnp.int32), SEQUENCE: told}
    traced = jax.make_jaxpr(scores)(state, given, features, table).jaxpr
    modules: dict[Path, nnx.Module] = {_path(keys): node for keys, node in nnx.iter_modules(model)}
    operations = operations_of(traced, {_scope_name(path): path for path in (*modules, SCORES)})
    paths = _leaf_paths(state)
    parameters = dict(zip(traced.invars, paths, strict=False))
    inputs = dict(zip(traced.invars[len(paths) :], _leaf_paths(given), strict=False))
    read = {var for operation in operations for var in operation.inputs}
    used = read_by(making.jaxpr)
    scored = [path for var, path in zip(making.jaxpr.invars, paths, strict=False) if var in used]
    elsewhere = {path for var, path in parameters.items() if var in read}
    return Forward(
        context=context,
        operations=operations,
        modules=modules,
        parameters={path: shape_of(var) for var, path in parameters.items()},
        variables=parameters,
        inputs={var: str(path[0]) for var, path in inputs.items() if var in read},
        outputs=_lookups(operations, parameters) | outputs,
        scored_with=scored,
        only_scored_with=[path for path in scored if path not in elsewhere],
    )


def _lookups(operations: Iterable[Operation], parameters: dict[Var, Path]) -> Shapes:
    """What is first read off each parameter; and the scores, which no module returns."""
    found: Shapes = {}
    for operation in operations:
        path = parameters.get(operation.inputs[0]) if operation.inputs else None
        if path is not None:
            found.setdefault(path, operation.shape[1:])
        if operation.module == SCORES:
            found[SCORES] = operation.shape[1:]
    return found


def _path(keys: tuple[Any, ...]) -> Path:
    return tuple(key if isinstance(key, int) else str(key) for key in keys)


def _leaf_paths(tree: Any) -> list[Path]:
    """The names that lead to each leaf, in the order in which a function's arguments are."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = jax.tree_util.DictKey
    return [tuple(key.key for key in keys if isinstance(key, named)) for keys, _ in leaves]


def _scope_name(path: Path) -> str:
    return ".".join(map(str, ("model", *path)))


def _scope(model: Transformer, shapes: Shapes) -> None:
    """Have every module name its operations, and note the shape of what it returns."""
    for keys, module in list(nnx.iter_modules(model)):
        if callable(module):
            object.__setattr__(module, "__class__", _scoped(type(module)))
            object.__setattr__(module, "_scope", (_path(keys), shapes))


@cache
def _scoped(kind: type) -> type:
    """A class of modules that names what it does. Cached: JAX keeps every class it has seen."""

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        path, shapes = self._scope
        with jax.named_scope(_scope_name(path)):
            output = kind.__call__(self, *arguments, **named)
        shapes[path] = jnp.shape(output)[1:]  # one sequence: no batch axis
        return output

    return type(kind.__name__, (kind,), {"__call__": call})
