"""Special tokens and index dtypes.

An *item id* is the caller's string for an item. An *item index* says where the item's row is, and
nothing else: first the special tokens, then the catalogue, then the items outside the catalogue.
Special tokens and catalogue together are the *vocabulary*, the rows of the embeddings. So an item
with ``index >= vocabulary_size`` has no row, and stands as ``UNK`` in a context.

A fresh ``prepare`` numbers the catalogue by descending training count. Nothing depends on that:
how popular an item is (``Items.training_counts``, ``Dataset.popularity_order``) and whether it may
be recommended (``Dataset.is_candidate``) are arrays by index. So the vocabulary can grow.

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
