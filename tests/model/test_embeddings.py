"""Initial embeddings: their distribution, drawn at once or in blocks."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue.config import ModelConfig
from segue.model import embeddings

ROWS, WIDTH = 250, 6


def initial(seed: int = 0, **options) -> np.ndarray:
    config = ModelConfig(initial_scale=0.5, **options)
    return np.asarray(embeddings.initial_embeddings(ROWS, WIDTH, config, nnx.Rngs(seed))[...])


@pytest.fixture(params=["at once", "in blocks"], autouse=True)
def in_blocks(request, monkeypatch) -> None:
    if request.param == "in blocks":
        monkeypatch.setattr(embeddings, "ROWS_PER_BLOCK", 100)


def test_normal_embeddings_have_the_configured_scale():
    values = initial()
    assert values.shape == (ROWS, WIDTH)
    assert values.dtype == jnp.float32
    assert values.std() == pytest.approx(0.5, rel=0.1)
    assert abs(values.mean()) < 0.05
    np.testing.assert_allclose(values.std(axis=1).mean(), 0.45, atol=0.05)


def test_uniform_embeddings_span_their_bounds():
    values = initial(initialisation="uniform")
    assert 0.49 < np.abs(values).max() <= 0.5
    assert values.std() == pytest.approx(0.5 / 3**0.5, rel=0.1)


def test_all_rows_differ():
    values = initial()
    assert len(np.unique(values, axis=0)) == ROWS


def test_embeddings_depend_on_the_seed():
    np.testing.assert_array_equal(initial(1), initial(1))
    assert (initial(1) != initial(2)).any(axis=1).all()
