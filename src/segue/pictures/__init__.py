"""Pictures of a run: what it recommends, how it was trained, how the model is built.

``draw_list``, ``draw_curves`` and ``draw_model`` each write one file, .png, .svg or .pdf.
They need the extra ``pictures``.
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

from segue.pictures.canvas import Drawn, check_format
from segue.pictures.curves import draw_curves
from segue.pictures.diagram import draw_model
from segue.pictures.item_list import draw_list

__all__ = ["Drawn", "check_format", "draw_curves", "draw_list", "draw_model"]
