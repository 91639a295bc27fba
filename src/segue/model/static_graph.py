"""``StaticGraph``: the structure of a transformer as a static argument of compiled functions."""

from __future__ import annotations

from flax import nnx

from segue.model.transformer import Transformer


class StaticGraph:
    """A graph definition whose hash is computed once.

    A compiled function hashes its static arguments at every call, which takes longer for a graph
    definition than a position of a small transformer.
    """

    def __init__(self, graph: nnx.GraphDef[Transformer]) -> None:
        """Hash a graph definition."""
        self._graph = graph
        self._hash = hash(graph)

    def merge(self, params: nnx.State) -> Transformer:
        """The transformer with some weights."""
        return nnx.merge(self._graph, params)

    def __hash__(self) -> int:
        """The hash of the graph definition."""
        return self._hash

    def __eq__(self, value: object) -> bool:
        """Whether the graph definitions are equal."""
        if self is value:
            return True
        return isinstance(value, StaticGraph) and self._graph == value._graph
