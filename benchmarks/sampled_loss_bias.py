"""Bias of the sampled softmax: its mean loss and gradient compared with the exact softmax.

For a batch of hidden states and labels, negatives are drawn many times. The mean loss and the mean
gradient (in the hidden states and in the output embeddings) are compared with those of the exact
softmax. A synthetic world, whose scores have the spread of a trained model's, is always measured;
validation events of a run are measured with ``--run``.

    python benchmarks/sampled_loss_bias.py [--run RUN]... [--results FILE.json] [--figure FILE.svg]

Takes one to two minutes per world on 2 cores. The figure needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from figures.bias_figure import draw_figure
from jaxtyping import Array, Float, Int32, Key
from rich.console import Console
from rich.table import Table

from segue.config import Estimator
from segue.dataset import PopularityOrder
from segue.features import stored_features
from segue.losses import FIRST_CANDIDATE, sampled_softmax, softmax_cross_entropy
from segue.losses.negative_samplers import NEGATIVE_SAMPLERS
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Recommender
from segue.tokens import N_SPECIALS, UNK

SIZES = (5, 20, 100, 500, 2000)
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
SEED = 0
POSITIONS = 256
GROUPS = 20
"""Groups of draws; standard errors come from the differences between groups."""
DRAWS_PER_GROUP = 25


class Vectors(NamedTuple):
    """The inputs of a loss, or its gradients with respect to them.

    Attributes:
        states: hidden states.
        outputs: output embeddings.
    """

    states: Float[Array, "*group position dim"]
    outputs: Float[Array, "*group vocabulary dim"]


class BatchWorld(NamedTuple):
    """A batch for which the bias is measured: the inputs of the loss and the labels.

    Attributes:
        name: name in tables and figures.
        vectors: the inputs of the loss.
        labels: item indices.
        popularity_order: the vocabulary in order of popularity.
    """

    name: str
    vectors: Vectors
    labels: Int32[Array, " position"]
    popularity_order: PopularityOrder


class GroupMeans(NamedTuple):
    """Means over the draws of each group.

    Attributes:
        losses: mean loss, in nats.
        gradients: mean gradients.
        squares: mean squared norm of the gradient of a single draw, in the hidden states and in
            the output embeddings.
    """

    losses: Float[Array, "*group"]
    gradients: Vectors
    squares: tuple[Float[Array, "*group"], ...]


def synthetic_world(n_items: int = 20_000, dim: int = 64) -> BatchWorld:
    """Scores that are a log popularity by Zipf's law plus a normally distributed preference.

    The preference has a standard deviation of 2. Labels are drawn from the softmax of the scores:
    the model is calibrated, as it is on average at the end of training.
    """
    random = np.random.default_rng(SEED)
    embeddings = np.zeros((N_SPECIALS + n_items, dim), np.float32)
    n_candidates = len(embeddings) - FIRST_CANDIDATE
    embeddings[FIRST_CANDIDATE:] = random.normal(size=(n_candidates, dim))
    embeddings[FIRST_CANDIDATE:, 0] = -np.log(np.arange(n_candidates) + 10.0)
    states = 2 / np.sqrt(dim - 1) * random.normal(size=(POSITIONS, dim))
    states[:, 0] = 1
    scores = states @ embeddings[FIRST_CANDIDATE:].T
    labels = FIRST_CANDIDATE + np.argmax(scores + random.gumbel(size=scores.shape), axis=1)
    vectors = Vectors(jnp.asarray(states, jnp.float32), jnp.asarray(embeddings))
    by_index = PopularityOrder.of(np.zeros(len(embeddings), np.int64))
    return BatchWorld("made-up", vectors, jnp.asarray(labels, jnp.int32), by_index)


def world_of_run(run: Path) -> BatchWorld:
    """Random validation events of the dataset of a run, each predicted from its history."""
    recommender = Recommender.load(run)
    ensemble, sequences = recommender.ensemble, recommender.dataset.sequences
    counts = sequences.valid_end - sequences.train_end
    rows = np.repeat(np.arange(len(sequences)), counts)
    numbers = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    if not len(rows):
        raise SystemExit(f"the dataset of {run} has no validation events")
    random = np.random.default_rng(SEED)
    drawn = random.choice(len(rows), min(POSITIONS, len(rows)), replace=False)
    rows, lengths = rows[drawn], sequences.train_end[rows[drawn]] + numbers[drawn]
    ends = sequences.offsets[rows] + lengths
    histories = [sequences.items[end - n : end] for end, n in zip(ends, lengths, strict=True)]
    spans = Ragged.from_rows(histories)
    features = stored_features(sequences, rows)
    query = Query(spans, seen=spans, rows=rows, sequence_features=features)
    states = jnp.asarray(ensemble.states(query))
    embeddings, items = jnp.asarray(ensemble.item_vectors()), sequences.items[ends]
    labels = np.where(items < len(embeddings), items, UNK)
    popularity_order = PopularityOrder.of(recommender.items.training_counts[: len(embeddings)])
    vectors = Vectors(states, embeddings)
    return BatchWorld(run.name, vectors, jnp.asarray(labels, jnp.int32), popularity_order)


@jax.jit
def exact(vectors: Vectors, labels: Int32[Array, " position"]) -> tuple[Float[Array, ""], Vectors]:
    """The exact mean loss and its gradients."""

    def loss(vectors: Vectors) -> Float[Array, ""]:
        return softmax_cross_entropy(*vectors, labels).mean()

    return jax.value_and_grad(loss)(vectors)


@partial(jax.jit, static_argnums=(3, 4, 5))
def sample(
    vectors: Vectors,
    labels: Int32[Array, " position"],
    popularity_order: PopularityOrder,
    negative_sampler: str,
    estimator: Estimator,
    n: int,
) -> GroupMeans:
    """Mean losses and gradients of the sampled softmax over groups of draws.

    Args:
        vectors: the inputs of the loss.
        labels: item indices.
        popularity_order: the vocabulary in order of popularity.
        negative_sampler: a name of ``NEGATIVE_SAMPLERS``.
        estimator: estimator of the sampled softmax.
        n: number of negatives per draw, shared by all positions.
    """

    def loss(vectors: Vectors, key: Key[Array, ""]) -> Float[Array, ""]:
        states, embeddings = vectors
        sampler = NEGATIVE_SAMPLERS[negative_sampler](len(embeddings), popularity_order)
        negatives = sampler.sample(key, (n,))
        return sampled_softmax(
            states,
            embeddings[labels],
            embeddings[negatives.items],
            negatives.accidental_hits(labels),
            negatives.log_expected_counts,
            estimator,
        ).mean()

    def add_draw(total: GroupMeans, key: Key[Array, ""]) -> tuple[GroupMeans, None]:
        value, gradients = jax.value_and_grad(loss)(vectors, key)
        squares = tuple(jnp.vdot(gradient, gradient) for gradient in gradients)
        return jax.tree.map(jnp.add, total, GroupMeans(value, gradients, squares)), None

    def group_means(keys: Key[Array, " draw"]) -> GroupMeans:
        scalar = jnp.zeros(())
        zero = GroupMeans(scalar, jax.tree.map(jnp.zeros_like, vectors), (scalar, scalar))
        total, _ = jax.lax.scan(add_draw, zero, keys)
        return jax.tree.map(lambda values: values / len(keys), total)

    keys = jax.random.split(jax.random.key(SEED), (GROUPS, DRAWS_PER_GROUP))
    return jax.lax.map(group_means, keys)


def compare(
    world: BatchWorld, negative_sampler: str, estimator: Estimator, n: int
) -> dict[str, Any]:
    """A row of the table: the bias of one estimator with ``n`` negatives."""
    _, vectors, labels, popularity_order = world
    exact_loss, exact_gradients = exact(vectors, labels)
    groups = sample(vectors, labels, popularity_order, negative_sampler, estimator, n)
    losses = np.asarray(groups.losses, np.float64)
    row: dict[str, Any] = {
        "world": world.name,
        "negative_sampler": negative_sampler,
        "estimator": estimator,
        "negatives": n,
        "loss_bias": round(losses.mean() - float(exact_loss), 4),
        "loss_se": round(losses.std(ddof=1) / np.sqrt(GROUPS), 4),
    }
    for name, means, exact_gradient, squares in zip(
        Vectors._fields, groups.gradients, exact_gradients, groups.squares, strict=True
    ):
        figures = compare_gradients(means.reshape(GROUPS, -1), exact_gradient.ravel(), squares)
        row |= {f"{name}_{key}": round(value, 3) for key, value in figures.items()}
    return row


def compare_gradients(
    means: Float[Array, "group values"], exact_gradient: Float[Array, " values"], squares: Array
) -> dict[str, float]:
    """Compare mean gradients with the exact gradient.

    Args:
        means: mean gradient of each group of draws.
        exact_gradient: gradient of the exact softmax.
        squares: mean squared norm of the gradient of a single draw, for each group.

    Returns:
        ``bias``: distance of the expected gradient from the exact one, relative to its norm.
        ``se``: standard error of the bias, by the jackknife over groups. ``cosine``: cosine of the
        two. ``noise``: root mean squared distance of a single draw from the expected gradient,
        relative to the norm of the exact one.
    """
    errors = means - exact_gradient
    products = np.asarray(errors @ errors.T, np.float64)
    projections = np.asarray(errors @ exact_gradient, np.float64)
    squared = float(exact_gradient @ exact_gradient)
    groups = np.arange(GROUPS)
    bias, cosine = expected_gradient(products, projections, squared, groups)
    jackknife = [
        expected_gradient(products, projections, squared, np.delete(groups, i)) for i in groups
    ]
    noise = float(squares.mean()) / squared - (1 + 2 * projections.mean() / squared + bias**2)
    return {
        "bias": bias,
        "se": np.sqrt((GROUPS - 1) * np.var(jackknife, axis=0))[0],
        "cosine": cosine,
        "noise": max(noise, 0) ** 0.5,
    }


def expected_gradient(
    products: np.ndarray, projections: np.ndarray, squared: float, groups: np.ndarray
) -> tuple[float, float]:
    """The relative distance of the expected gradient from the exact one, and their cosine.

    The errors of two different groups have only the bias in common, so the mean of their inner
    product is the squared bias. The squared norm of a single mean error would include noise.

    Args:
        products: inner product of the errors of every two groups.
        projections: inner product of each group's error with the exact gradient.
        squared: squared norm of the exact gradient.
        groups: the groups to use.
    """
    selected = products[np.ix_(groups, groups)]
    mean = (selected.sum() - np.trace(selected)) / (len(groups) * (len(groups) - 1))
    bias_squared = max(float(mean), 0) / squared
    product = 1 + float(projections[groups].mean()) / squared
    return bias_squared**0.5, product / (2 * product - 1 + bias_squared) ** 0.5


def describe(world: BatchWorld) -> dict[str, Any]:
    """Size, exact loss and spread of the scores of a world."""
    states, embeddings = world.vectors
    scores = states @ embeddings[FIRST_CANDIDATE:].T
    probabilities = jax.nn.softmax(scores, axis=1)
    return {
        "name": world.name,
        "positions": len(world.labels),
        "candidates": scores.shape[1],
        "exact_loss": round(float(exact(world.vectors, world.labels)[0]), 3),
        "score_deviation": round(float(scores.std(axis=1).mean()), 2),
        "end_and_unk_probability": round(float(probabilities[:, :2].sum(axis=1).mean()), 3),
        "draws": GROUPS * DRAWS_PER_GROUP,
        "seed": SEED,
    }


def main() -> None:
    """Measure, print the table, write the requested files, then print one line of JSON."""
    parser = argparse.ArgumentParser(description="Bias of the sampled softmax.")
    run_help = "also measure validation events of a run; may be given several times"
    parser.add_argument("--run", type=Path, action="append", default=[], help=run_help)
    parser.add_argument("--results", type=Path, help="write the line of JSON to a file")
    parser.add_argument("--figure", type=Path, help="write a figure of the biases to a file")
    options = parser.parse_args()
    worlds = [synthetic_world(), *map(world_of_run, options.run)]
    results = [
        compare(world, negative_sampler, estimator, n)
        for world in worlds
        for negative_sampler in NEGATIVE_SAMPLERS
        for estimator in ESTIMATORS
        for n in SIZES
    ]
    table = Table(
        title="Sampled softmax compared with the exact one (loss in nats, gradients relative)"
    )
    for column in results[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for result in results:
        table.add_row(*map(str, result.values()))
    console = Console(width=170)
    console.print(table)
    record = {
        "benchmark": "sampled_loss_bias",
        "worlds": [describe(world) for world in worlds],
        "results": results,
    }
    if options.results:
        options.results.write_text(json.dumps(record) + "\n", "utf-8")
    if options.figure:
        draw_figure(results, record["worlds"], options.figure)
    console.out(json.dumps(record), highlight=False)


if __name__ == "__main__":
    main()
