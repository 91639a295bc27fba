"""What a model is made of: its modules with their parameters and arithmetic, and how data flows.

Nothing here knows the model by heart: all is read off one traced forward pass.
"""

from segue.anatomy.flow import Node, flow_of
from segue.anatomy.folding import folded, in_drawing_order
from segue.anatomy.forward import Forward, trace
from segue.anatomy.summary import ModelSummary, ModuleRow, summarise

__all__ = [
    "Forward",
    "ModelSummary",
    "ModuleRow",
    "Node",
    "flow_of",
    "folded",
    "in_drawing_order",
    "summarise",
    "trace",
]
