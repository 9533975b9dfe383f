"""From vectors to codes of a few bytes, and from codes to estimates of inner products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.retrieval.leann.nearest import Floats, nearest

BYTES = 64
"""Of a vector's code, a byte for each part: 4% of a passage of 256 words."""

_CENTROIDS = 256
_DRAWS = 10_240
_ROUNDS = 6
_OTHERS = 0.5
_WEIGHT = 0.25
_AT_ONCE = 16_384


@dataclass(frozen=True)
class Quantiser:
    """A product quantiser of d dimensions in m parts of w axes each (m w >= d; spare axes are zero).

    ``mean`` (d,) float32 is taken off a vector, ``basis`` (d, m w) float16 has the axes as orthonormal columns,
    ``weights`` (m w,) float32 stretch them, and ``centroids`` (m, 256, w) float16 are what a part is rounded to.
    """

    mean: Floats
    basis: NDArray[np.float16]
    weights: Floats
    centroids: NDArray[np.float16]

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return len(self.mean)

    def encode(self, vectors: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.float16], Floats]:
        """(n, m) codes of (n, d) vectors; (n,) scales, by which the inner products with the decoded vectors (less the
        mean) are to be multiplied; and (m w,) mean squares, axis by axis, of what is then left of the vectors.

        Rounding shrinks: the scale makes the decoded vector as long as its own in its own direction, so that the
        estimate of an inner product is right on average (Gao and Long 2024, RaBitQ).
        """
        centroids, basis = self.centroids.astype(np.float32), self.basis.astype(np.float32)
        parts = np.arange(len(centroids))
        codes = np.empty((len(vectors), len(parts)), np.uint8)
        scales = np.empty(len(vectors), np.float16)
        left = np.zeros(self.basis.shape[1])
        for start, block in _blocks(vectors):
            part = slice(start, start + len(block))
            axes: Floats = np.matmul(block.astype(np.float32) - self.mean, basis, dtype=np.float32)
            codes[part] = nearest(axes * self.weights, centroids)
            decoded = centroids[parts, codes[part]].reshape(axes.shape) / self.weights
            scales[part] = _scales(axes, decoded)
            left += np.square(axes - decoded * scales[part, None], dtype=np.float64).sum(axis=0)
        return codes, scales, (left / max(len(vectors), 1)).astype(np.float32)

    def tables(self, query: Floats) -> tuple[Floats, float, Floats]:
        """For a (d,) query: (m, 256) inner products with the centroids of each part, the inner product with the mean,
        and (m w,) the query along the axes. The estimate of its inner product with a vector is the sum of what the
        tables say of the code, times the scale, plus that of the mean; its error has the variance
        `axes**2 @ errors`, if axes err independently.
        """
        axes = query @ self.basis.astype(np.float32)
        parts, _, width = self.centroids.shape
        stretched = (axes / self.weights).reshape(parts, width)
        tables = np.einsum("pcw,pw->pc", self.centroids.astype(np.float32), stretched)
        return tables, float(query @ self.mean), axes


def train(samples: Sequence[NDArray[Any]], dimension: int) -> Quantiser:
    """The quantiser for vectors distributed as those of these (n, d), of which only mean and covariance are learnt.

    The axes are the eigenvectors of the covariance, dealt out so that every part has the same share of the log-variance
    (Ge et al. 2013, parametric OPQ). They are stretched by the fourth root of their variance: queries vary most where
    passages do, and what is to be small is the error of a score, not of a vector. The centroids are k-means of normal
    draws of those variances: whoever's texts the codebook was trained on, no passage of theirs is in it, and it can be
    had from few passages, even none (then all directions are alike).
    """
    mean, covariance = _moments(samples, dimension)
    # in a frame turned at random: with nothing learnt the axes must not be the encoder's own, which vary unevenly
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=covariance.shape))[0]
    variances, eigenvectors = np.linalg.eigh(turned.T @ covariance @ turned)
    eigenvectors = turned @ eigenvectors
    stretch = (variances / variances.max()) ** _WEIGHT
    parts = min(BYTES, dimension)
    axes = _deal(variances * stretch**2, parts)
    there = axes >= 0
    basis = np.where(there, eigenvectors[:, axes], 0)
    weights = np.where(there, stretch[axes], 1)
    deviations = np.where(there, np.sqrt(variances)[axes] * weights, 0)
    return Quantiser(
        mean.astype(np.float32),
        basis.astype(np.float16),
        weights.astype(np.float32),
        _centroids(deviations.reshape(parts, -1)),
    )


def _scales(axes: Floats, decoded: Floats) -> Floats:
    """Squared lengths over inner products with what was decoded; 1 for a vector that is nothing but the mean."""
    across = np.einsum("nd,nd->n", axes, decoded)
    lengths = np.einsum("nd,nd->n", axes, axes)
    scales: Floats = np.divide(lengths, across, out=np.ones_like(across), where=across > 1e-6)
    return scales


def _moments(samples: Sequence[NDArray[Any]], dimension: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and covariance, as if more vectors had been seen that point everywhere: some for every one that was, since
    other owners' texts vary where these do not, and d, since few vectors do not fill their directions."""
    total, squares, count = np.zeros(dimension), np.zeros((dimension, dimension)), 0
    for sample in samples:
        for _, block in _blocks(sample):
            wide = block.astype(np.float64)
            total += wide.sum(axis=0)
            squares += wide.T @ wide
            count += len(wide)
    mean = total / max(count, 1)
    scatter = squares - count * np.outer(mean, mean)
    others = _OTHERS * count + dimension
    return mean, (scatter + others * np.eye(dimension) / dimension) / (count + others)


def _deal(variances: NDArray[np.float64], parts: int) -> NDArray[np.int64]:
    """(parts * width,) axes part by part, the largest first to the part with the smallest product so far; -1 where a
    part has none."""
    width = -(-len(variances) // parts)
    hands: list[list[int]] = [[] for _ in range(parts)]
    products = np.zeros(parts)
    # a variance below this is rounding, and its logarithm would decide where the others go
    logarithms = np.log(np.maximum(variances, variances.max() * 1e-9)) - np.log(variances.max() * 1e-9)
    for axis in np.argsort(-variances, kind="stable").tolist():
        part = min((part for part in range(parts) if len(hands[part]) < width), key=lambda part: products[part])
        hands[part].append(axis)
        products[part] += logarithms[axis]
    return np.array([hand + [-1] * (width - len(hand)) for hand in hands], np.int64).ravel()


def _centroids(deviations: NDArray[np.float64]) -> NDArray[np.float16]:
    """(parts, 256, width) k-means centroids of independent normal draws with these (parts, width) deviations."""
    parts, width = deviations.shape
    draws = (np.random.default_rng(0).normal(size=(_DRAWS, parts, width)) * deviations).astype(np.float32)
    centroids = draws[:_CENTROIDS].swapaxes(0, 1).copy()
    for _ in range(_ROUNDS):
        cells = (nearest(draws.reshape(_DRAWS, -1), centroids) + np.arange(parts) * _CENTROIDS).ravel()
        counts = np.bincount(cells, minlength=parts * _CENTROIDS).reshape(parts, -1)
        for axis in range(width):
            sums = np.bincount(cells, draws[:, :, axis].ravel(), minlength=parts * _CENTROIDS)
            means = sums.reshape(parts, -1) / np.maximum(counts, 1)
            # a centroid that is nearest to no draw stays
            centroids[:, :, axis] = np.where(counts > 0, means, centroids[:, :, axis])
    return centroids.astype(np.float16)


def _blocks(vectors: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    for start in range(0, len(vectors), _AT_ONCE):
        yield start, vectors[start : start + _AT_ONCE]
