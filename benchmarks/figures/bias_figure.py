"""The figure of ``sampled_loss_bias``: bias of the sampled softmax by number of negatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segue.config import Estimator

FIGURE_ROWS = (("loss_bias", "loss_se"), ("states_bias", "states_se"))
"""Column of the value and of its standard error, for each row of the figure."""
LINE_STYLES: dict[Estimator, tuple[str, str, float]] = {
    "negatives-only": ("#c2673f", "s", 6),
    "with-target": ("#2f5d8c", "o", 4),
    "bias-corrected": ("#3f8552", "^", 4),
}
"""Colour, marker and marker size of each estimator."""
DASHES = {"uniform": "-", "log-uniform": (0, (4, 2))}
"""Line style of each negative sampler."""


def draw_figure(results: list[dict[str, Any]], worlds: list[dict[str, Any]], path: Path) -> None:
    """Draw one column per world: above the bias of the loss, below that of the gradient.

    Args:
        results: rows of the benchmark's table.
        worlds: descriptions of the worlds, in the order of the columns.
        path: the file to write; its suffix determines the format.
    """
    import matplotlib.pyplot as plt

    plt.rcParams |= {"font.size": 9, "axes.titlesize": 9, "svg.hashsalt": "segue"}
    sizes = sorted({result["negatives"] for result in results})
    size = (3 * len(worlds) + 0.5, 5.8)
    figure, axes = plt.subplots(
        2, len(worlds), figsize=size, sharex=True, sharey="row", squeeze=False, layout="constrained"
    )
    for column, world in zip(axes.T, worlds, strict=True):
        world_results = [result for result in results if result["world"] == world["name"]]
        for axis, (value_name, error_name) in zip(column, FIGURE_ROWS, strict=True):
            draw_lines(axis, world_results, value_name, error_name)
        column[0].set_title(f"{world['name']}: {world['candidates']:,} candidates")
        column[1].set_xlabel("negatives")
        column[1].set_xticks(sizes, map(str, sizes))
    axes[0, 0].set(ylabel="loss: distance from the exact one, nats", ylim=(1e-3, 3))
    axes[1, 0].set(ylabel="gradient: relative error of the mean", ylim=(2e-3, 1))
    lines = axes[0, 0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)
    plt.close(figure)


def draw_lines(axis: Any, results: list[dict[str, Any]], value_name: str, error_name: str) -> None:
    """Draw one line per negative sampler and estimator, without values within two errors of 0."""
    for negative_sampler, dashes in DASHES.items():
        for estimator, (colour, marker, size) in LINE_STYLES.items():
            rows = [
                row
                for row in results
                if row["negative_sampler"] == negative_sampler and row["estimator"] == estimator
            ]
            rows = [row for row in rows if abs(row[value_name]) > 2 * row[error_name]]
            axis.errorbar(
                [row["negatives"] for row in rows],
                [abs(row[value_name]) for row in rows],
                [row[error_name] for row in rows],
                color=colour,
                marker=marker,
                markersize=size,
                linestyle=dashes,
                linewidth=1.3,
                elinewidth=0.8,
                label=f"{estimator}, {negative_sampler}",
            )
    axis.set(xscale="log", yscale="log")
    axis.minorticks_off()
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25, linewidth=0.6)
