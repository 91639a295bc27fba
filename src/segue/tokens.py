"""Special tokens and index dtypes.

An *item id* is the caller's string for an item. An *item index* is a row of the embeddings: first
the special tokens, then the catalogue by descending training count, then the items outside the
catalogue. Special tokens and catalogue together are the *vocabulary*. So
``index < vocabulary_size`` is true for items that can be recommended and false for items that
can only occur in histories.

Array annotations name their axes with these words, among others:

``batch``     rows computed together               ``vocabulary``  special tokens and catalogue
``length``    positions of the context             ``dim``         embedding width
``position``  positions of all rows, flattened     ``negative``    negatives of a sampled loss
``events``    items of all sequences, end to end   ``k``           length of a ranked list
"""

from __future__ import annotations

import numpy as np

PAD = 0
"""Fills the end of short sequences. Masked, as input and as label."""
START = 1
"""Precedes the first event; occupies one position of the context."""
END = 2
"""Label after a sequence's last event, once per sequence."""
UNK = 3
"""Stands for an item outside the vocabulary. A label like any item, so that a model learns how
often unknown items occur."""

N_SPECIALS = 4
"""Number of special tokens; the first index of the catalogue."""

INDEX_DTYPE = np.int32
"""Dtype of item indices, in memory and on disk."""
