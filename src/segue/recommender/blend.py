"""What a trained model's scores are blended with when it answers: those of PureSVD.

A transformer trained on few sequences orders what follows one or five items better than any
neighbourhood, but adds up the evidence of many scattered ones worse; a sum of singular vectors
does nothing else. Its scores are inner products too, so the two are one model of more dimensions:
the states side by side, and the output vectors.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from scipy import sparse

from segue.axes import UNK, Ragged
from segue.errors import RunError
from segue.files import replace_file
from segue.tensors import read_tensors, write_tensors

NAME = "item_vectors"


class Blend(NamedTuple):
    """Fixed item vectors, and what their scores weigh beside the model's.

    Attributes:
        vectors: a row for each row of the item table; zeros where nothing is known.
        weight: in nats, for a score between a history and itself.
    """

    vectors: Float32[np.ndarray, "table dim"]
    weight: float

    def states(self, histories: Ragged) -> Float32[np.ndarray, "batch dim"]:
        """The direction of the sum of each history's vectors; zeros for an empty one.

        Source: PureSVD of Cremonesi, Koren and Turrin, RecSys 2010, whose order of the items
        does not depend on the length of the sum.
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
            StorageError: no space, no permission.
        """
        replace_file(path, lambda partial: write_tensors(partial, {NAME: self.vectors}))

    @classmethod
    def load(cls, path: Path, shape: tuple[int, int], weight: float) -> Blend:
        """Vectors read from a safetensors file.

        Args:
            shape: rows of the model's item table, and dimensions of the vectors.

        Raises:
            RunError: the file is missing or damaged, or of another model.
        """
        like = {NAME: np.broadcast_to(np.float32(0), shape)}
        try:
            return cls(np.asarray(read_tensors(path, like)[NAME]), weight)
        except (OSError, ValueError) as error:
            message = f"cannot read {path}: {error}"
            raise RunError(message, "restore the file from a copy, or train again") from None
