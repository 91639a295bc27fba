"""Model graph: nodes for modules, embedding tables and additions, edges from the data flow.

A node is an input, an embedding table, a module (the largest that fits in one box), or an
addition of two streams, such as a residual connection. The edges come from the traced operations,
so they show what is actually computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from flax import nnx
from jax.extend.core import Var

from segue.inspection.forward import SCORES, ForwardPass
from segue.inspection.operations import ModulePath, Operation, shape_of
from segue.inspection.summary import TABLE, dotted, has_submodules, scores_kind

Role = Literal["input", "table", "module", "add", "scores"]

Origins = frozenset[int]
"""Numbers of the nodes that a value is computed from."""


class Node(NamedTuple):
    """A node of the model graph.

    Attributes:
        name: its path, such as ``item_embeddings``; relative to ``block`` if it is in one.
        role: what the node stands for.
        kind: class and options of a module; number of rows of a table.
        output: shape of the output for one sequence.
        parameters: number of scalar parameters, including submodules; for the scores, of those
            that no other node reads.
        block: path of the list element, such as a transformer block, that contains the node;
            empty outside of lists.
        sources: numbers of the nodes that it reads from.
    """

    name: str
    role: Role
    kind: str = ""
    output: tuple[int, ...] = ()
    parameters: int = 0
    block: ModulePath = ()
    sources: tuple[int, ...] = ()


def build_graph(forward_pass: ForwardPass) -> list[Node]:
    """The graph of a traced forward pass, in the order of the computation."""
    builder = _GraphBuilder(forward_pass)
    for operation in forward_pass.operations:
        builder.add(operation)
    return builder.nodes


def fold_repeats(nodes: list[Node]) -> tuple[list[Node], dict[ModulePath, int]]:
    """Keep only the first of consecutive equal blocks of the model, such as transformer blocks.

    Returns:
        The remaining nodes, renumbered, and how many blocks each of the kept ones stands for,
        by its path.
    """
    lists: dict[ModulePath, dict[ModulePath, list[int]]] = {}
    for number, node in enumerate(nodes):
        if node.block:
            lists.setdefault(node.block[:-1], {}).setdefault(node.block, []).append(number)
    replacements, repeats = {number: number for number in range(len(nodes))}, {}
    for blocks in lists.values():
        first, *later = blocks.values()
        if all(_signature(nodes, block) == _signature(nodes, first) for block in later):
            repeats[nodes[first[0]].block] = len(blocks)
            for block in later:
                replacements.update(zip(block, first, strict=True))
    remaining = [number for number in range(len(nodes)) if replacements[number] == number]
    return _renumber(nodes, remaining, replacements), repeats


def drawing_order(nodes: list[Node]) -> list[Node]:
    """Sort the nodes that the last one depends on, and drop all others.

    Sources come before the nodes that read them. Where streams join, the longer one comes first.
    """
    depths: list[int] = []
    for node in nodes:
        depths.append(1 + max((depths[source] for source in node.sources), default=0))
    order: dict[int, None] = {}

    def visit(number: int) -> None:
        for source in sorted(nodes[number].sources, key=lambda source: -depths[source]):
            if source not in order:
                visit(source)
        order[number] = None

    visit(len(nodes) - 1)
    return _renumber(nodes, list(order), {number: number for number in order})


def _renumber(nodes: list[Node], order: list[int], replacements: dict[int, int]) -> list[Node]:
    """The nodes in an order, with sources replaced and renumbered."""
    new_numbers = {number: position for position, number in enumerate(order)}
    renumbered = []
    for number in order:
        sources = {new_numbers[replacements[source]] for source in nodes[number].sources}
        renumbered.append(nodes[number]._replace(sources=tuple(sorted(sources))))
    return renumbered


def _signature(nodes: list[Node], block: list[int]) -> list[Node]:
    return [nodes[number]._replace(block=(), sources=()) for number in block]


class _GraphBuilder:
    """Builds the graph by tracing each value back to the nodes that it is computed from."""

    def __init__(self, forward_pass: ForwardPass) -> None:
        self.nodes: list[Node] = []
        self._forward_pass = forward_pass
        self._parameter_of = dict(forward_pass.parameter_of)
        """The parameter of a variable, also of a reshaped or scaled one."""
        self._origins: dict[Var, Origins] = {}
        self._numbers: dict[object, int] = {}
        for var, name in forward_pass.input_of.items():
            shape = shape_of(var)[1:]
            self._origins[var] = self._node(name, Node(name, "input", output=shape))

    def add(self, operation: Operation) -> None:
        """Add the next operation."""
        box = self._box(operation.module)
        origins = self._add_inside(box, operation) if box else self._add_outside(operation)
        self._origins.update(dict.fromkeys(operation.outputs, origins))

    def _add_inside(self, box: ModulePath, operation: Operation) -> Origins:
        """An operation inside a box: its inputs from outside become sources of the box."""
        forward_pass, block = self._forward_pass, self._block(box)
        output = forward_pass.output_shapes[box]
        if box == SCORES:
            size = _size(forward_pass, forward_pass.output_only_parameters)
            node = Node("scores", "scores", scores_kind(forward_pass), output, size)
        else:
            parameters = [path for path in forward_pass.parameter_shapes if path[: len(box)] == box]
            kind, name = _kind(forward_pass, box), dotted(box[len(block) :])
            node = Node(
                name or kind, "module", kind, output, _size(forward_pass, parameters), block
            )
        origins = self._node(box, node)
        sources = frozenset().union(*(self._origins.get(var, ()) for var in operation.inputs))
        self._connect(origins, self._without_inputs(sources) - origins)
        return origins

    def _add_outside(self, operation: Operation) -> Origins:
        """An operation outside of all boxes."""
        inputs = operation.inputs
        tables = [self._parameter_of[var] for var in inputs if var in self._parameter_of]
        streams = [self._origins[var] for var in inputs if self._origins.get(var)]
        if tables and not streams:
            self._parameter_of.update(dict.fromkeys(operation.outputs, tables[0]))
            return frozenset()
        if tables:
            lookup = self._table(tables[0], operation)
            if operation.primitive == "gather":
                self._connect(lookup, streams[0])
                return lookup
            streams.append(lookup)
        if operation.primitive == "add" and len(set(streams)) > 1:
            block = self._block(operation.module)
            node = Node("add", "add", output=operation.shape[1:], block=block)
            added = self._node(len(self.nodes), node)
            self._connect(added, frozenset().union(*streams))
            return added
        return self._without_inputs(frozenset().union(*streams))

    def _table(self, path: ModulePath, operation: Operation) -> Origins:
        n_rows = self._forward_pass.parameter_shapes[path][0]
        kind, size = f"{TABLE}, {n_rows:,} rows", _size(self._forward_pass, [path])
        return self._node(path, Node(dotted(path), "table", kind, operation.shape[1:], size))

    def _without_inputs(self, origins: Origins) -> Origins:
        """Remove inputs if hidden states are among the origins: such inputs only mask them."""
        states = frozenset(number for number in origins if self.nodes[number].role != "input")
        return states or origins

    def _node(self, key: object, node: Node) -> Origins:
        """The number of the node with this key; ``node`` is added if there is none yet."""
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(node)
        return frozenset({self._numbers[key]})

    def _connect(self, target: Origins, sources: Origins) -> None:
        (number,) = target
        node = self.nodes[number]
        self.nodes[number] = node._replace(sources=tuple(sorted({*node.sources, *sources})))

    def _box(self, module: ModulePath) -> ModulePath:
        """The box of a module: itself, or the largest enclosing module that is not a container.

        Containers are the model, its lists, and the blocks of these lists; () is outside.
        """
        for end in range(1, len(module) + 1):
            path = module[:end]
            if path == SCORES or not self._is_container(path):
                return path
        return ()

    def _is_container(self, path: ModulePath) -> bool:
        modules = self._forward_pass.modules
        is_list = isinstance(modules[path], nnx.List)
        is_block = isinstance(modules[path[:-1]], nnx.List)
        return is_list or (is_block and has_submodules(self._forward_pass, path))

    def _block(self, module: ModulePath) -> ModulePath:
        """The element of a list of modules that a module is in; () for the list itself."""
        ends = range(1, len(module))
        modules = self._forward_pass.modules
        lists = (end for end in ends if isinstance(modules.get(module[:end]), nnx.List))
        return module[: next(lists, -1) + 1]


def _size(forward_pass: ForwardPass, parameters: Iterable[ModulePath]) -> int:
    return sum(math.prod(forward_pass.parameter_shapes[path]) for path in parameters)


def _kind(forward_pass: ForwardPass, path: ModulePath) -> str:
    """The class of a module, with its options if it is Segue's own: ``Attention, heads 2``."""
    module = forward_pass.modules[path]
    name = type(module).__name__
    if not type(module).__module__.startswith("segue."):
        return name
    options = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, int | str) and not isinstance(value, bool) and key[0] != "_"
    }
    shown_options = [f"{key} {value}" for key, value in options.items()]
    return ", ".join([name, *_flattened(forward_pass, path), *shown_options])


def _flattened(forward_pass: ForwardPass, path: ModulePath) -> Iterator[str]:
    """``5 × 64 = 320 → 16`` for a module that concatenates the states of all positions."""
    for operation in forward_pass.operations:
        if operation.primitive != "reshape" or operation.module != path:
            continue
        before, after = shape_of(operation.inputs[0])[1:], operation.shape[1:]
        if (len(before), len(after)) == (2, 1):
            factors = " × ".join(map(str, before))
            yield f"{factors} = {after[0]:,} → {forward_pass.output_shapes[path][-1]}"
