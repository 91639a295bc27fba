"""Inspect a model: a table of its modules (parameters, FLOPs) and a graph of the data flow.

Everything is derived from one traced forward pass, not from the configuration.
"""

from segue.inspection.forward import ForwardPass, trace, trace_encoder
from segue.inspection.graph import Node, build_graph, drawing_order, fold_repeats
from segue.inspection.summary import ModelSummary, ModuleRow, summarise_model

__all__ = [
    "ForwardPass",
    "ModelSummary",
    "ModuleRow",
    "Node",
    "build_graph",
    "drawing_order",
    "fold_repeats",
    "summarise_model",
    "trace",
    "trace_encoder",
]
