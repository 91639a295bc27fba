"""The hidden Markov model of the built-in world: its probabilities are proper distributions."""

from __future__ import annotations

import numpy as np
import pytest

from segue.synthetic.generative_model import (
    DECADES,
    FIRST_MOVE_PROBABILITIES,
    GRID_STEPS,
    INTENT_PRIOR,
    INTENT_TRANSITIONS,
    MOVE_PROBABILITIES,
    Intent,
    Move,
)

ORDINARY_INTENTS = [intent for intent in Intent if intent != Intent.SEASONAL]


@pytest.mark.parametrize(
    "probabilities",
    [INTENT_PRIOR[None], MOVE_PROBABILITIES, FIRST_MOVE_PROBABILITIES, INTENT_TRANSITIONS],
)
def test_every_row_is_a_distribution(probabilities: np.ndarray) -> None:
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)


def test_the_prior_is_stationary() -> None:
    np.testing.assert_allclose(INTENT_PRIOR @ INTENT_TRANSITIONS, INTENT_PRIOR, rtol=1e-12)


def test_no_transition_enters_or_leaves_the_seasonal_intent() -> None:
    assert INTENT_TRANSITIONS[Intent.SEASONAL, Intent.SEASONAL] == 1
    assert (INTENT_TRANSITIONS[ORDINARY_INTENTS, Intent.SEASONAL] == 0).all()


def test_only_the_seasonal_intent_moves_to_christmas() -> None:
    assert (MOVE_PROBABILITIES[ORDINARY_INTENTS, Move.CHRISTMAS] == 0).all()
    assert (FIRST_MOVE_PROBABILITIES[ORDINARY_INTENTS, Move.CHRISTMAS] == 0).all()


def test_the_seasonal_intent_mostly_stays_at_christmas() -> None:
    assert MOVE_PROBABILITIES[Intent.SEASONAL, Move.CHRISTMAS] >= 0.95


def test_every_intent_can_move_anywhere() -> None:
    # Otherwise a playlist could use up every track that its intent leads to.
    assert (MOVE_PROBABILITIES[:, Move.ANYWHERE] > 0.01).all()


def test_the_first_move_does_not_depend_on_a_last_track() -> None:
    assert (FIRST_MOVE_PROBABILITIES[:, Move.ARTIST :] == 0).all()


def test_two_opposite_moves_return() -> None:
    genre_step, decade_step = GRID_STEPS[Move.OPPOSITE]
    assert genre_step == 0
    assert 2 * decade_step % len(DECADES) == 0
