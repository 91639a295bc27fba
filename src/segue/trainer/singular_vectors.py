"""What a run takes from singular vectors: initial item embeddings and the PureSVD member.

From random embeddings, a small log has too few events to learn many rare items. Singular vectors
of the matrix of sequences by items give all of them useful positions within seconds.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx

from segue.baselines.singular_vectors import singular_item_vectors
from segue.bfloat16 import to_float32, to_storage
from segue.config import Config
from segue.dataset import Dataset
from segue.recommender import PureSVD, load_members, write_members
from segue.runs import RunFolder

WARM_START_SCALE = 2.5
"""Root mean square of the initial embeddings' entries, weighted by events, in units of
``model.initial_scale``: so they outweigh the randomly initialised features and positions."""


def initialise_from_singular_vectors(params: nnx.State, config: Config, data: Dataset) -> None:
    """Replace the item embeddings in ``params`` by scaled singular vectors.

    Special tokens and items without training events keep their random initial values.
    """
    vectors = singular_item_vectors(data, config.model.width, config.training.seed)
    initial = jnp.asarray(params["item_embeddings"][...])
    has_vector = np.abs(vectors).sum(axis=1, keepdims=True) > 0
    vectors *= np.float32(WARM_START_SCALE * config.model.initial_scale)
    embeddings = jnp.where(has_vector, vectors, to_float32(initial))
    params["item_embeddings"] = nnx.Param(to_storage(embeddings, initial.dtype))


def fit_puresvd(config: Config, data: Dataset, folder: RunFolder) -> PureSVD | None:
    """Fit the PureSVD ensemble member and write it to the run folder.

    If the folder contains it already, it is loaded; further members may be beside it. The root
    mean square length of the vectors, weighted by training events, is 1.

    Returns:
        The member, or None if the configuration has none.

    Raises:
        StorageError: the vectors cannot be written.
        RunError: the vectors of an earlier start are damaged.
    """
    count, weight = config.ensemble.puresvd_factors, config.ensemble.puresvd_weight
    if not count:
        return None
    for member in load_members(folder, data.vocabulary_size).dense:
        if isinstance(member, PureSVD):
            return member
    puresvd = puresvd_member(data, count, float(weight), config.training.seed)
    write_members(folder, [puresvd])
    return puresvd


def puresvd_member(data: Dataset, n_factors: int, weight: float, seed: int) -> PureSVD:
    """Fit PureSVD as an ensemble member.

    Args:
        data: the dataset.
        n_factors: number of singular vectors.
        weight: of the member.
        seed: of the random start of the singular vectors.
    """
    vectors = singular_item_vectors(data, n_factors, seed) / np.float32(n_factors**0.5)
    return PureSVD(vectors, weight, {"factors": n_factors})
