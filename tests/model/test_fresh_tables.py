"""Fresh embeddings: what they are drawn from, whole or by blocks."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue.config import ModelConfig
from segue.model import embeddings

ROWS, WIDTH = 250, 6


def table(seed: int = 0, **options) -> np.ndarray:
    config = ModelConfig(initial_scale=0.5, **options)
    return np.asarray(embeddings.fresh_table(ROWS, WIDTH, config, nnx.Rngs(seed))[...])


@pytest.fixture(params=["whole", "by blocks"], autouse=True)
def by_blocks(request, monkeypatch) -> None:
    if request.param == "by blocks":
        monkeypatch.setattr(embeddings, "ROWS_PER_BLOCK", 100)


def test_normal_embeddings_have_the_scale_asked_for():
    values = table()
    assert values.shape == (ROWS, WIDTH)
    assert values.dtype == jnp.float32
    assert values.std() == pytest.approx(0.5, rel=0.1)
    assert abs(values.mean()) < 0.05
    np.testing.assert_allclose(values.std(axis=1).mean(), 0.45, atol=0.05)


def test_uniform_embeddings_fill_their_bounds():
    values = table(initialisation="uniform")
    assert 0.49 < np.abs(values).max() <= 0.5
    assert values.std() == pytest.approx(0.5 / 3**0.5, rel=0.1)


def test_every_row_has_an_embedding_of_its_own():
    values = table()
    assert len(np.unique(values, axis=0)) == ROWS


def test_the_seed_decides():
    np.testing.assert_array_equal(table(1), table(1))
    assert (table(1) != table(2)).any(axis=1).all()
