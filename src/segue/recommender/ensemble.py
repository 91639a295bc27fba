"""PureSVD as an ensemble member: fixed item vectors whose scores are added to the transformer's.

After short histories of one to five items, a transformer trained on few sequences ranks better
than neighbourhood methods. After long histories in no particular order it ranks worse. PureSVD is
strong exactly there, because it adds up the evidence of all items of the history. Its scores are
inner products too, so the ensemble is one model with more dimensions: hidden states and output
embeddings are concatenated.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from segue.errors import RunError
from segue.ragged import Ragged
from segue.storage.arrays import read_arrays, write_arrays
from segue.storage.atomic import replace_file
from segue.tokens import UNK

ARRAY_NAME = "item_vectors"
"""Name of the array in the safetensors file."""


class PureSVD(NamedTuple):
    """Item vectors of PureSVD and the weight of their scores in the ensemble.

    Attributes:
        vectors: one row per item index; zeros for items without training events.
        weight: the score, in nats, of an item vector of length 1 in the direction of the history.
    """

    vectors: Float32[np.ndarray, "vocabulary dim"]
    weight: float

    def states(self, histories: Ragged) -> Float32[np.ndarray, "batch dim"]:
        """The sum of the item vectors of each history, scaled to the length ``weight``.

        Empty histories have zero states.

        Source: PureSVD of Cremonesi, Koren and Turrin, RecSys 2010. Its ranking does not depend
        on the length of the sum.
        """
        items = np.where(histories.values < len(self.vectors), histories.values, UNK)
        ones = np.ones(len(items), np.float32)
        shape = (histories.n_rows, len(self.vectors))
        sums = sparse.csr_matrix((ones, items, histories.offsets), shape=shape) @ self.vectors
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.float32(self.weight) * sums / np.maximum(lengths, np.finfo(np.float32).tiny)

    def write(self, path: Path) -> None:
        """Write the vectors as a safetensors file.

        Raises:
            StorageError: no space or no permission.
        """
        replace_file(path, lambda partial: write_arrays(partial, {ARRAY_NAME: self.vectors}))

    @classmethod
    def load(cls, path: Path, shape: tuple[int, int], weight: float) -> PureSVD:
        """Read the vectors from a safetensors file.

        Args:
            path: the file.
            shape: expected vocabulary size and number of dimensions.
            weight: weight of the scores in the ensemble, in nats.

        Raises:
            RunError: the file is missing, damaged or of another shape.
        """
        like = {ARRAY_NAME: np.broadcast_to(np.float32(0), shape)}
        try:
            return cls(np.asarray(read_arrays(path, like)[ARRAY_NAME]), weight)
        except (OSError, ValueError) as error:
            message = f"cannot read {path}: {error}"
            raise RunError(message, "restore the file from a copy, or train again") from None
