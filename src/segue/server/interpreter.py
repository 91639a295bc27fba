"""Settings of the Python interpreter without which some requests would wait for it."""

from __future__ import annotations

import gc

SWITCH_INTERVAL_S = 0.0005
"""The longest that the event loop waits for the interpreter while the thread of a model has it. It
needs it several times per request; the default of 5 ms each would be most of a latency."""


def keep_out_of_collections() -> None:
    """Collect garbage, and leave what remains out of later collections.

    A model and the libraries are some 400,000 objects. A full collection of them stops all threads
    for 0.2 s.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
