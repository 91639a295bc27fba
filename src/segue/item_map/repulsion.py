"""Repulsive forces of t-SNE: by convolution on a grid, or for few points over all pairs."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float32
from scipy import fft

BOX_STEP = 1.15
"""The box around the points grows in such steps, so that the kernels are rarely computed."""


class Forces(NamedTuple):
    """What all points do to each one, besides the attraction of neighbours.

    Attributes:
        pushes: per point the sum over all others of ``difference / (1 + distance²)²``.
        normaliser: the sum over all pairs of ``1 / (1 + distance²)``.
    """

    pushes: Float32[np.ndarray, "points 2"]
    normaliser: float


def pairwise_forces(points: Float32[np.ndarray, "points 2"]) -> Forces:
    """The forces on some points as sums over all pairs, which is faster for few points."""
    differences = points[:, None] - points[None]
    near = 1 / (1 + (differences**2).sum(axis=2))
    np.fill_diagonal(near, 0)
    pushes = ((near**2)[:, :, None] * differences).sum(axis=1)
    return Forces(pushes, max(float(near.sum(dtype=np.float64)), 1e-12))


class RepulsionGrid:
    """The repulsion of points in the plane, in time linear in their number.

    The kernels of t-SNE are smooth at the scale of 1. So each point is spread over the four
    corners of its cell, the cells are convolved with the kernels by FFT, and the result is
    interpolated at the points. It is the method of Linderman et al., "Fast interpolation-based
    t-SNE" (2019), with bilinear interpolation on a finer grid.
    """

    def __init__(self, cells: int) -> None:
        """Prepare a grid.

        Args:
            cells: number of cells per side. The finer they are, the more exact are the
                forces between close points.
        """
        self._cells = cells
        self._size = cast(int, fft.next_fast_len(2 * cells + 1, real=True))
        self._width = 0.0
        self._kernels: list[np.ndarray] = []
        self._near_width = (1.0, 1.0)
        """How near neighbouring and diagonal nodes are."""

    def forces(self, points: Float32[np.ndarray, "points 2"]) -> Forces:
        """The forces on some points."""
        low, high = points.min(axis=0), points.max(axis=0)
        self._fit(float((high - low).max()))
        scaled = (points - (low + high) / 2) / np.float32(self._width) + self._cells / 2
        corner = np.clip(scaled.astype(np.int32), 0, self._cells - 1)
        right, down = (scaled - corner.astype(np.float32)).T
        nodes = self._cells + 1
        first = corner[:, 0] * nodes + corner[:, 1]
        corners = np.stack([first, first + 1, first + nodes, first + nodes + 1])
        shares = np.stack(
            [(1 - right) * (1 - down), (1 - right) * down, right * (1 - down), right * down]
        )
        density = np.bincount(corners.ravel(), shares.ravel(), nodes * nodes)
        fields = self._convolve(density.reshape(nodes, nodes).astype(np.float32))
        near, x, y = ((field.ravel()[corners] * shares).sum(axis=0) for field in fields)
        # Each point is near itself: spread over four corners, and so a little less than 1.
        own = self._own(shares)
        normaliser = float(near.sum(dtype=np.float64) - own.sum(dtype=np.float64))
        return Forces(np.stack([x, y], axis=1), max(normaliser, 1e-12))

    def _fit(self, span: float) -> None:
        """Choose the width of a cell so that all points are in the box."""
        exponent = math.ceil(math.log(max(span, 1e-6) * 1.01, BOX_STEP))
        width = BOX_STEP**exponent / self._cells
        if width == self._width:
            return
        self._width = width
        size = self._size
        steps = (np.minimum(np.arange(size), size - np.arange(size)) * width).astype(np.float32)
        signs = np.where(np.arange(size) <= size // 2, 1, -1).astype(np.float32)
        near = 1 / (1 + steps[:, None] ** 2 + steps[None, :] ** 2)
        squared = near * near
        offsets = steps * signs
        kernels = [near, squared * offsets[:, None], squared * offsets[None, :]]
        self._kernels = [np.asarray(fft.rfft2(kernel)) for kernel in kernels]
        self._near_width = float(near[0, 1]), float(near[1, 1])

    def _own(self, shares: Float32[np.ndarray, "4 points"]) -> Float32[np.ndarray, " points"]:
        """How near each spread point is to itself."""
        side, diagonal = self._near_width
        a, b, c, d = shares
        squares = (shares**2).sum(axis=0)
        return squares + 2 * side * (a * b + a * c + b * d + c * d) + 2 * diagonal * (a * d + b * c)

    def _convolve(self, density: Float32[np.ndarray, "nodes nodes"]) -> list[np.ndarray]:
        size = self._size
        nodes = len(density)
        spectrum = np.asarray(fft.rfft2(density, (size, size)))
        inverses = (
            np.asarray(fft.irfft2(spectrum * kernel, (size, size))) for kernel in self._kernels
        )
        return [inverse[:nodes, :nodes] for inverse in inverses]
