"""What sampling does to the softmax loss and to its gradient: bias against the exact loss.

For a batch of hidden states, the catalogue's output vectors and the labels, draws negatives
over and over, and compares the mean loss and the mean gradient (in the states and in the
output vectors) with those of the exact softmax. Measures a made-up world whose scores are
spread like a trained model's, and the validation events of a run where one is given.

    python benchmarks/sampled_loss_bias.py [--run RUN]... [--results FILE.json] [--figure FILE.svg]

A minute or two a world on 2 cores. The figure needs matplotlib.
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
from jaxtyping import Array, Float, Int32, Key
from rich.console import Console
from rich.table import Table

from segue.axes import N_SPECIALS, UNK, Ragged
from segue.config import Estimator
from segue.losses import FIRST_CANDIDATE, sampled_softmax, softmax_cross_entropy
from segue.negatives import PROPOSALS
from segue.recommender import Recommender

SIZES = (5, 20, 100, 500, 2000)
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
SEED = 0
POSITIONS = 256
GROUPS = 20
"""The draws are cut into so many groups, whose differences give the standard errors."""
DRAWS_PER_GROUP = 25

MEASURES = (("loss_bias", "loss_se"), ("states_bias", "states_se"))
LOOKS: dict[Estimator, tuple[str, str, float]] = {
    "negatives-only": ("#c2673f", "s", 6),
    "with-target": ("#2f5d8c", "o", 4),
    "bias-corrected": ("#3f8552", "^", 4),
}
DASHES = {"uniform": "-", "log-uniform": (0, (4, 2))}


class Vectors(NamedTuple):
    """What a loss is made of, and its gradients: the first go on into the model."""

    states: Float[Array, "*group position dim"]
    outputs: Float[Array, "*group table dim"]


class World(NamedTuple):
    """A batch as the loss sees it."""

    name: str
    vectors: Vectors
    labels: Int32[Array, " position"]


class Groups(NamedTuple):
    """Means over the draws of each group."""

    losses: Float[Array, "*group"]
    gradients: Vectors
    squares: tuple[Float[Array, "*group"], ...]
    """Squared length of a single draw's gradient: for the states, for the output vectors."""


def made_up_world(n_items: int = 20_000, dim: int = 64) -> World:
    """Popularity by Zipf's law, taste with a standard deviation of two, labels drawn from both.

    The model is right about its labels, as it is on average at the end of a training.
    """
    random = np.random.default_rng(SEED)
    table = np.zeros((N_SPECIALS + n_items, dim), np.float32)
    n_candidates = len(table) - FIRST_CANDIDATE
    table[FIRST_CANDIDATE:] = random.normal(size=(n_candidates, dim))
    table[FIRST_CANDIDATE:, 0] = -np.log(np.arange(n_candidates) + 10.0)
    hidden = 2 / np.sqrt(dim - 1) * random.normal(size=(POSITIONS, dim))
    hidden[:, 0] = 1
    scores = hidden @ table[FIRST_CANDIDATE:].T
    labels = FIRST_CANDIDATE + np.argmax(scores + random.gumbel(size=scores.shape), axis=1)
    vectors = Vectors(jnp.asarray(hidden, jnp.float32), jnp.asarray(table))
    return World("made-up", vectors, jnp.asarray(labels, jnp.int32))


def world_of_run(run: Path) -> World:
    """Validation events of the dataset that a run was trained on, each after its history."""
    recommender = Recommender.load(run)
    network, sequences = recommender.network, recommender.dataset.sequences
    counts = sequences.valid_end - sequences.train_end
    rows = np.repeat(np.arange(len(sequences)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    if not len(rows):
        raise SystemExit(f"the dataset of {run} has no validation events")
    random = np.random.default_rng(SEED)
    chosen = random.choice(len(rows), min(POSITIONS, len(rows)), replace=False)
    rows, lengths = rows[chosen], sequences.train_end[rows[chosen]] + within[chosen]
    ends = sequences.offsets[rows] + lengths
    histories = [sequences.items[end - n : end] for end, n in zip(ends, lengths, strict=True)]
    told = network.vocabulary.encode_rows(sequences, rows)
    states = jnp.asarray(network.hidden(Ragged.of(histories), told))
    table, labels = network.output_table, sequences.items[ends]
    known = np.where(labels < len(table), labels, UNK)
    return World(run.name, Vectors(states, table), jnp.asarray(known, jnp.int32))


@jax.jit
def exact(vectors: Vectors, labels: Int32[Array, " position"]) -> tuple[Float[Array, ""], Vectors]:
    """The exact mean loss and its gradients."""

    def loss(vectors: Vectors) -> Float[Array, ""]:
        return softmax_cross_entropy(*vectors, labels).mean()

    return jax.value_and_grad(loss)(vectors)


@partial(jax.jit, static_argnums=(2, 3, 4))
def sample(
    vectors: Vectors,
    labels: Int32[Array, " position"],
    proposal: str,
    estimator: Estimator,
    n: int,
) -> Groups:
    """Losses and gradients over groups of draws, each draw shared by all positions."""

    def loss(vectors: Vectors, key: Key[Array, ""]) -> Float[Array, ""]:
        hidden, table = vectors
        drawn = PROPOSALS[proposal](key, (n,), len(table))
        own, negatives, hits = table[labels], table[drawn.items], drawn.hits(labels)
        shift = drawn.log_expected
        return sampled_softmax(hidden, own, negatives, hits, shift, estimator).mean()

    def add_draw(total: Groups, key: Key[Array, ""]) -> tuple[Groups, None]:
        value, gradients = jax.value_and_grad(loss)(vectors, key)
        squares = tuple(jnp.vdot(gradient, gradient) for gradient in gradients)
        return jax.tree.map(jnp.add, total, Groups(value, gradients, squares)), None

    def group(keys: Key[Array, " draw"]) -> Groups:
        nothing = jnp.zeros(())
        zero = Groups(nothing, jax.tree.map(jnp.zeros_like, vectors), (nothing, nothing))
        total, _ = jax.lax.scan(add_draw, zero, keys)
        return jax.tree.map(lambda values: values / len(keys), total)

    keys = jax.random.split(jax.random.key(SEED), (GROUPS, DRAWS_PER_GROUP))
    return jax.lax.map(group, keys)


def compare(world: World, proposal: str, estimator: Estimator, n: int) -> dict[str, Any]:
    """One row of the table."""
    exact_loss, exact_gradients = exact(world.vectors, world.labels)
    groups = sample(world.vectors, world.labels, proposal, estimator, n)
    losses = np.asarray(groups.losses, np.float64)
    found: dict[str, Any] = {
        "world": world.name,
        "proposal": proposal,
        "estimator": estimator,
        "negatives": n,
        "loss_bias": round(losses.mean() - float(exact_loss), 4),
        "loss_se": round(losses.std(ddof=1) / np.sqrt(GROUPS), 4),
    }
    for name, mean, truth, square in zip(
        Vectors._fields, groups.gradients, exact_gradients, groups.squares, strict=True
    ):
        figures = compare_gradients(mean.reshape(GROUPS, -1), truth.ravel(), square)
        found |= {f"{name}_{key}": round(value, 3) for key, value in figures.items()}
    return found


def compare_gradients(
    means: Float[Array, "group values"], truth: Float[Array, " values"], square: Array
) -> dict[str, float]:
    """The bias relative to the exact gradient, its error by the jackknife, and the cosine.

    ``noise`` is the deviation of a single draw from the expectation, in the same unit.
    """
    errors = means - truth
    products = np.asarray(errors @ errors.T, np.float64)
    along, squared = np.asarray(errors @ truth, np.float64), float(truth @ truth)
    everyone = np.arange(GROUPS)
    bias, cosine = of_gradient(products, along, squared, everyone)
    without = [of_gradient(products, along, squared, np.delete(everyone, i)) for i in everyone]
    noise = float(square.mean()) / squared - (1 + 2 * along.mean() / squared + bias**2)
    return {
        "bias": bias,
        "se": np.sqrt((GROUPS - 1) * np.var(without, axis=0))[0],
        "cosine": cosine,
        "noise": max(noise, 0) ** 0.5,
    }


def of_gradient(
    products: np.ndarray, along: np.ndarray, squared: float, groups: np.ndarray
) -> tuple[float, float]:
    """The expected gradient against the exact one: relative distance, cosine.

    The errors of two different groups share nothing but the bias, so their products are free
    of the noise that the length of one mean error would count as bias.

    Args:
        products: of each two groups' errors.
        along: products of the groups' errors with the exact gradient.
        squared: the exact gradient's squared length.
    """
    chosen = products[np.ix_(groups, groups)]
    mean = (chosen.sum() - np.trace(chosen)) / (len(groups) * (len(groups) - 1))
    bias_squared = max(float(mean), 0) / squared
    product = 1 + float(along[groups].mean()) / squared
    return bias_squared**0.5, product / (2 * product - 1 + bias_squared) ** 0.5


def describe(world: World) -> dict[str, Any]:
    """What a reader has to know of a world to place its figures."""
    hidden, table = world.vectors
    scores = hidden @ table[FIRST_CANDIDATE:].T
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


def draw_figure(results: list[dict[str, Any]], worlds: list[dict[str, Any]], path: Path) -> None:
    """A column a world: bias of the loss above, of its gradient in the states below."""
    import matplotlib.pyplot as plt

    plt.rcParams |= {"font.size": 9, "axes.titlesize": 9, "svg.hashsalt": "segue"}
    size = (3 * len(worlds) + 0.5, 5.8)
    figure, axes = plt.subplots(
        2, len(worlds), figsize=size, sharex=True, sharey="row", squeeze=False, layout="constrained"
    )
    for column, world in zip(axes.T, worlds, strict=True):
        own = [result for result in results if result["world"] == world["name"]]
        for axis, (measure, error) in zip(column, MEASURES, strict=True):
            draw_lines(axis, own, measure, error)
        column[0].set_title(f"{world['name']}: {world['candidates']:,} candidates")
        column[1].set_xlabel("negatives")
        column[1].set_xticks(SIZES, map(str, SIZES))
    axes[0, 0].set(ylabel="loss: nats off the exact one", ylim=(1e-3, 3))
    axes[1, 0].set(ylabel="gradient: relative error of the mean", ylim=(2e-3, 1))
    lines = axes[0, 0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)
    plt.close(figure)


def draw_lines(axis: Any, results: list[dict[str, Any]], measure: str, error: str) -> None:
    """A line a proposal and estimator; what is within two errors of zero is left out."""
    for proposal, dashes in DASHES.items():
        for estimator, (colour, marker, size) in LOOKS.items():
            wanted = (proposal, estimator)
            rows = [r for r in results if (r["proposal"], r["estimator"]) == wanted]
            rows = [row for row in rows if abs(row[measure]) > 2 * row[error]]
            axis.errorbar(
                [row["negatives"] for row in rows],
                [abs(row[measure]) for row in rows],
                [row[error] for row in rows],
                color=colour,
                marker=marker,
                markersize=size,
                linestyle=dashes,
                linewidth=1.3,
                elinewidth=0.8,
                label=f"{estimator}, {proposal}",
            )
    axis.set(xscale="log", yscale="log")
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25, linewidth=0.6)


def main() -> None:
    """Measure, draw the table, write what is asked for, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description="Bias of the sampled softmax.")
    run_help = "measure the validation events of a run too; may be given several times"
    parser.add_argument("--run", type=Path, action="append", default=[], help=run_help)
    parser.add_argument("--results", type=Path, help="write the line of JSON to a file")
    parser.add_argument("--figure", type=Path, help="draw the biases")
    options = parser.parse_args()
    worlds = [made_up_world(), *map(world_of_run, options.run)]
    results = [
        compare(world, proposal, estimator, n)
        for world in worlds
        for proposal in PROPOSALS
        for estimator in ESTIMATORS
        for n in SIZES
    ]
    table = Table(title="Sampled softmax against the exact one (nats; gradients relative)")
    for column in results[0]:
        table.add_column(column.replace("_", " "), justify="right")
    for result in results:
        table.add_row(*map(str, result.values()))
    console = Console(width=170)
    console.print(table)
    found = {
        "benchmark": "sampled_loss_bias",
        "worlds": [describe(world) for world in worlds],
        "results": results,
    }
    if options.results:
        options.results.write_text(json.dumps(found) + "\n", "utf-8")
    if options.figure:
        draw_figure(results, found["worlds"], options.figure)
    console.out(json.dumps(found), highlight=False)


if __name__ == "__main__":
    main()
