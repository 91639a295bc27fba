"""Trace one forward pass of a model: its operations and the module that each belongs to.

Tracing computes nothing and needs no weights, so it takes seconds for a model of any size.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.extend.core import Var

from segue.features import FeatureIds, ItemFeatures
from segue.inspection.operations import (
    ModulePath,
    Operation,
    operations_of,
    read_variables,
    shape_of,
)
from segue.model import Transformer
from segue.recommender import Encoder

SCORES: ModulePath = ("scores",)
"""Path of the inner product of hidden states and output embeddings, which is not a module."""

TOKENS, SEQUENCE = "tokens", "sequence"
"""Names of the inputs: item indices, and sequence features."""

Shapes = dict[ModulePath, tuple[int, ...]]


class ForwardPass(NamedTuple):
    """A traced pass from one sequence of full context length to the scores of all items.

    Attributes:
        context: number of positions of the sequence.
        operations: all operations, in order.
        modules: every module by path; the model itself has the path ``()``.
        parameter_shapes: shape of every parameter.
        parameter_of: the parameter that a variable stands for.
        input_of: the input that a variable stands for, ``tokens`` or ``sequence``; inputs that
            no operation reads are left out.
        output_shapes: shapes, without the batch axis, of the outputs of modules, of embedding
            lookups and of the scores.
        output_parameters: parameters that the output embeddings are computed from.
        output_only_parameters: those of them that no operation of the pass reads.
    """

    context: int
    operations: list[Operation]
    modules: dict[ModulePath, nnx.Module]
    parameter_shapes: Shapes
    parameter_of: dict[Var, ModulePath]
    input_of: dict[Var, str]
    output_shapes: Shapes
    output_parameters: list[ModulePath]
    output_only_parameters: list[ModulePath]


def trace_encoder(encoder: Encoder) -> ForwardPass:
    """Trace the model of an encoder, with the item and sequence features that it reads."""
    vocabulary = encoder.vocabulary
    features = vocabulary.encode([{}]) if vocabulary.values else None
    return trace(encoder.model(), encoder.layout.context, encoder.item_features, features)


def trace(
    model: Transformer,
    context: int,
    item_features: ItemFeatures | None = None,
    sequence_features: FeatureIds | None = None,
) -> ForwardPass:
    """Trace the scores of every item, at every position for which the model has a hidden state.

    The computation of the output embeddings is not part of the pass: they change with the
    weights, not with the sequence.

    Args:
        model: with weights, or without them (from ``nnx.eval_shape``).
        context: number of positions of the sequence.
        item_features: item features, if the model reads any.
        sequence_features: features of one sequence, if the model reads any.
    """
    graph, state = nnx.split(model)
    outputs: Shapes = {}

    def output_embeddings(state: nnx.State, features: Any) -> jax.Array:
        return nnx.merge(graph, state).output_embeddings(features)

    def scores(
        state: nnx.State, inputs: dict[str, Any], features: Any, embeddings: jax.Array
    ) -> jax.Array:
        scoped = nnx.merge(graph, state)
        _scope_modules(scoped, outputs)
        hidden = scoped(inputs[TOKENS], features, inputs[SEQUENCE])
        with jax.named_scope(_scope_name(SCORES)):
            return hidden @ embeddings.T

    trace_embeddings = jax.make_jaxpr(output_embeddings, return_shape=True)
    embeddings_jaxpr, embeddings = trace_embeddings(state, item_features)
    inputs = {TOKENS: jax.ShapeDtypeStruct((1, context), jnp.int32), SEQUENCE: sequence_features}
    scores_jaxpr = jax.make_jaxpr(scores)(state, inputs, item_features, embeddings).jaxpr
    modules = {_module_path(keys): module for keys, module in nnx.iter_modules(model)}
    scopes = {_scope_name(path): path for path in (*modules, SCORES)}
    operations = operations_of(scores_jaxpr, scopes)
    parameter_paths = _leaf_paths(state)
    arguments = scores_jaxpr.invars
    parameter_of = dict(zip(arguments, parameter_paths, strict=False))
    input_paths = zip(arguments[len(parameter_paths) :], _leaf_paths(inputs), strict=False)
    read = {var for operation in operations for var in operation.inputs}
    used = read_variables(embeddings_jaxpr.jaxpr)
    embeddings_arguments = zip(embeddings_jaxpr.jaxpr.invars, parameter_paths, strict=False)
    output_parameters = [path for var, path in embeddings_arguments if var in used]
    also_read = {path for var, path in parameter_of.items() if var in read}
    return ForwardPass(
        context=context,
        operations=operations,
        modules=modules,
        parameter_shapes={path: shape_of(var) for var, path in parameter_of.items()},
        parameter_of=parameter_of,
        input_of={var: str(path[0]) for var, path in input_paths if var in read},
        output_shapes=_lookup_shapes(operations, parameter_of) | outputs,
        output_parameters=output_parameters,
        output_only_parameters=[path for path in output_parameters if path not in also_read],
    )


def _lookup_shapes(operations: Iterable[Operation], parameter_of: dict[Var, ModulePath]) -> Shapes:
    """Output shapes of the first operation on each parameter, and of the scores."""
    shapes: Shapes = {}
    for operation in operations:
        path = parameter_of.get(operation.inputs[0]) if operation.inputs else None
        if path is not None:
            shapes.setdefault(path, operation.shape[1:])
        if operation.module == SCORES:
            shapes[SCORES] = operation.shape[1:]
    return shapes


def _module_path(keys: tuple[Any, ...]) -> ModulePath:
    return tuple(key if isinstance(key, int) else str(key) for key in keys)


def _leaf_paths(tree: Any) -> list[ModulePath]:
    """The path of each leaf, in the order in which a traced function gets them as arguments."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = jax.tree_util.DictKey
    return [tuple(key.key for key in keys if isinstance(key, named)) for keys, _ in leaves]


def _scope_name(path: ModulePath) -> str:
    return ".".join(map(str, ("model", *path)))


def _scope_modules(model: Transformer, output_shapes: Shapes) -> None:
    """Run every module in a scope of its name, and record the shape of its output."""
    for keys, module in list(nnx.iter_modules(model)):
        if callable(module):
            object.__setattr__(module, "__class__", _scoped_class(type(module)))
            object.__setattr__(module, "_scope", (_module_path(keys), output_shapes))


@cache
def _scoped_class(module_class: type) -> type:
    """A subclass whose calls run in a named scope. Cached: JAX never frees a traced class."""

    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        path, output_shapes = self._scope
        with jax.named_scope(_scope_name(path)):
            output = module_class.__call__(self, *arguments, **keywords)
        output_shapes[path] = jnp.shape(output)[1:]  # without the batch axis
        return output

    return type(module_class.__name__, (module_class,), {"__call__": call})
