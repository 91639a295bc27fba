"""Pictures of a run: recommendations as cards, training curves, reliability, and the model graph.

``draw_list``, ``draw_curves``, ``draw_reliability`` and ``draw_model`` each write one .png, .svg or
.pdf file. They need the extra ``pictures``.
"""

from segue.errors import RequestError

try:
    import matplotlib as _matplotlib  # noqa: F401
    import PIL as _PIL  # noqa: F401
except ImportError:
    raise RequestError(
        "pictures need matplotlib and pillow, which are not installed",
        'pip install "segue[pictures]"',
    ) from None

from segue.pictures.curves import draw_curves
from segue.pictures.diagram import draw_model
from segue.pictures.figures import Picture, check_format
from segue.pictures.recommendation_list import draw_list
from segue.pictures.reliability import draw_reliability

__all__ = [
    "Picture",
    "check_format",
    "draw_curves",
    "draw_list",
    "draw_model",
    "draw_reliability",
]
