"""The model as a graph: where data comes from, what it goes through, where streams are added.

A node is a module as large as can be drawn in one box, a table that is looked up, or an
addition of two streams, such as a residual connection. The edges are read off the operations,
so they show what is computed, not what somebody meant to compute.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from flax import nnx
from jax.extend.core import Var

from segue.anatomy.forward import SCORES, Forward
from segue.anatomy.operations import Operation, Path, shape_of
from segue.anatomy.summary import TABLE, dotted, holds_modules, scores_kind

Role = Literal["input", "table", "module", "add", "scores"]

Origins = frozenset[int]
"""Numbers of the nodes that a value comes from."""


class Node(NamedTuple):
    """A box of the graph.

    Attributes:
        name: where it is in its part of the model: ``attention``, ``item_table``.
        kind: the class of a module and its options, the size of a table.
        output: shape of what comes out, for one sequence.
        parameters: how many numbers it holds, its parts included; of the scores those that
            nothing else reads.
        part: the place in a list of modules that it is in; empty outside of lists.
        sources: numbers of the nodes that it reads from.
    """

    name: str
    role: Role
    kind: str = ""
    output: tuple[int, ...] = ()
    parameters: int = 0
    part: Path = ()
    sources: tuple[int, ...] = ()


def flow_of(forward: Forward) -> list[Node]:
    """The graph of a traced pass, in the order of the computation."""
    builder = _Builder(forward)
    for operation in forward.operations:
        builder.take(operation)
    return builder.nodes


class _Builder:
    """Follows every value back to the nodes that it comes from."""

    def __init__(self, forward: Forward) -> None:
        self.nodes: list[Node] = []
        self._forward = forward
        self._tables = dict(forward.variables)
        """Values that are parameters, perhaps reshaped or scaled."""
        self._origins: dict[Var, Origins] = {}
        self._numbers: dict[object, int] = {}
        for var, name in forward.inputs.items():
            shape = shape_of(var)[1:]
            self._origins[var] = self._node(name, Node(name, "input", output=shape))

    def take(self, operation: Operation) -> None:
        """Take one more operation into account."""
        unit = self._unit(operation.module)
        inner = self._through(unit, operation) if unit else self._between(operation)
        self._origins.update(dict.fromkeys(operation.outputs, inner))

    def _through(self, unit: Path, operation: Operation) -> Origins:
        """An operation inside a box: what it reads from outside goes into the box."""
        forward, part = self._forward, self._part(unit)
        output = forward.outputs[unit]
        if unit == SCORES:
            size = _size(forward, forward.only_scored_with)
            fresh = Node("scores", "scores", scores_kind(forward), output, size)
        else:
            held = [path for path in forward.parameters if path[: len(unit)] == unit]
            kind, name = _kind(forward, unit), dotted(unit[len(part) :])
            fresh = Node(name or kind, "module", kind, output, _size(forward, held), part)
        origins = self._node(unit, fresh)
        self._connect(origins, self._merged(operation.inputs) - origins)
        return origins

    def _between(self, operation: Operation) -> Origins:
        """An operation outside of all boxes."""
        tables = [self._tables[var] for var in operation.inputs if var in self._tables]
        streams = [self._origins[var] for var in operation.inputs if self._origins.get(var)]
        if tables and not streams:
            self._tables.update(dict.fromkeys(operation.outputs, tables[0]))
            return frozenset()
        if tables:
            looked_up = self._table(tables[0], operation)
            if operation.primitive == "gather":
                self._connect(looked_up, streams[0])
                return looked_up
            streams.append(looked_up)
        if operation.primitive == "add" and len(set(streams)) > 1:
            part = self._part(operation.module)
            fresh = Node("add", "add", output=operation.shape[1:], part=part)
            added = self._node(len(self.nodes), fresh)
            self._connect(added, frozenset().union(*streams))
            return added
        return self._without_masks(frozenset().union(*streams))

    def _table(self, path: Path, operation: Operation) -> Origins:
        rows, output = self._forward.parameters[path][0], operation.shape[1:]
        kind, size = f"{TABLE}, {rows:,} rows", _size(self._forward, [path])
        return self._node(path, Node(dotted(path), "table", kind, output, size))

    def _merged(self, variables: Iterable[Var]) -> Origins:
        merged = frozenset().union(*(self._origins.get(var, ()) for var in variables))
        return self._without_masks(merged)

    def _without_masks(self, origins: Origins) -> Origins:
        """Without inputs, where they come with states: those are only hidden or weighed by them."""
        states = frozenset(number for number in origins if self.nodes[number].role != "input")
        return states or origins

    def _node(self, key: object, fresh: Node) -> Origins:
        """The node that stands for something, made when it is first met."""
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(fresh)
        return frozenset({self._numbers[key]})

    def _connect(self, target: Origins, sources: Origins) -> None:
        (number,) = target
        node = self.nodes[number]
        self.nodes[number] = node._replace(sources=tuple(sorted({*node.sources, *sources})))

    def _unit(self, module: Path) -> Path:
        """The box that a module is in: itself, or the largest around it that is no container.

        Containers are the model, its lists, and the parts of those lists; () is outside.
        """
        for end in range(1, len(module) + 1):
            path = module[:end]
            if path == SCORES or not self._is_container(path):
                return path
        return ()

    def _is_container(self, path: Path) -> bool:
        modules = self._forward.modules
        is_list = isinstance(modules[path], nnx.List)
        is_part = isinstance(modules[path[:-1]], nnx.List)
        return is_list or (is_part and holds_modules(self._forward, path))

    def _part(self, module: Path) -> Path:
        """The place in a list of modules that a module is in, the list itself not being one."""
        ends = range(1, len(module))
        modules = self._forward.modules
        lists = (end for end in ends if isinstance(modules.get(module[:end]), nnx.List))
        return module[: next(lists, -1) + 1]


def _size(forward: Forward, parameters: Iterable[Path]) -> int:
    return sum(math.prod(forward.parameters[path]) for path in parameters)


def _kind(forward: Forward, path: Path) -> str:
    """The class of a module, with the options that Segue gave it: ``Attention, heads 2``."""
    module = forward.modules[path]
    name = type(module).__name__
    if not type(module).__module__.startswith("segue."):
        return name
    options = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, int | str) and not isinstance(value, bool) and key[0] != "_"
    }
    said = [f"{key} {value}" for key, value in options.items()]
    return ", ".join([name, *_flattened(forward, path), *said])


def _flattened(forward: Forward, path: Path) -> Iterator[str]:
    """``5 × 64 = 320 → 16``, where a module lays the states of all positions side by side."""
    for operation in forward.operations:
        if operation.primitive != "reshape" or operation.module != path:
            continue
        before, after = shape_of(operation.inputs[0])[1:], operation.shape[1:]
        if (len(before), len(after)) == (2, 1):
            joined = " × ".join(map(str, before))
            yield f"{joined} = {after[0]:,} → {forward.outputs[path][-1]}"
