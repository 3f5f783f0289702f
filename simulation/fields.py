"""Random fields and the few image operations that the simulation needs, in plain numpy.

In: a random generator and a shape. Out: fractal fields, parcel maps, blurred and resampled arrays.
Stops at geometry: what a field means (texture, relief, cloud) is decided by its caller.
"""

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

SLOPES: Final = (0.8, 1.8, 2.6, 3.4, 4.6)
"""Spectral slopes of the pooled fields, from grain to broad relief. Natural terrain has a radially averaged power
spectrum of slope about 3 to 5 (Turcotte 1997, Fractals and Chaos in Geology), cloud fields about 2.7 to 3.3
(Cahalan and Joseph 1989), vegetation texture is flatter."""
GRAIN, MEDIUM, PATCH, BROAD, SMOOTH = range(5)

POOL_SIDE: Final = 1024
"""Pixels along one side of a pooled field; a chip is one of about a million crops of it, flipped or transposed."""


def fractal(rng: np.random.Generator, shape: tuple[int, int], slope: float) -> FloatArray:
    """Gaussian random field with power spectrum `f ** -slope`, periodic, zero mean and unit variance.

    Args:
        rng: Source of randomness.
        shape: Rows and columns.
        slope: Exponent of the isotropic power spectrum; 0 is white noise.

    Returns:
        float32, `shape`.

    Source: spectral synthesis, Saupe 1988, in The Science of Fractal Images, chapter 2.
    """
    spectrum = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    fy = np.fft.fftfreq(shape[0])[:, None]
    fx = np.fft.rfftfreq(shape[1])[None, :]
    radius = np.hypot(fy, fx)
    radius[0, 0] = 1.0
    gain = radius ** (-slope / 2)
    gain[0, 0] = 0.0
    return standardise(np.fft.irfft2(spectrum * gain.astype(np.float32), s=shape).astype(np.float32))


def standardise(field: FloatArray) -> FloatArray:
    """The field shifted to zero mean and scaled to unit variance; a constant field becomes zeros."""
    centred = np.ascontiguousarray(field) - np.float32(field.mean())
    flat = centred.ravel()
    deviation = math.sqrt(float(flat @ flat) / flat.size)
    if deviation < 1e-9:
        return centred
    np.multiply(centred, np.float32(1.0 / deviation), out=centred)
    return centred


class FieldPool:
    """Fractal fields by the thousand: crops of a few large periodic ones for chips, fresh ones for large areas."""

    def __init__(self, seed: int) -> None:
        """Makes one large field per slope.

        Args:
            seed: The same seed makes the same pool.
        """
        rng = np.random.default_rng([seed, 0xF1E1D])
        self._planes = [fractal(rng, (POOL_SIDE, POOL_SIDE), slope) for slope in SLOPES]
        self._white = rng.standard_normal((POOL_SIDE, POOL_SIDE), dtype=np.float32)
        self._speckle: FloatArray | None = None
        self._speckle_rng = rng

    def draw(self, rng: np.random.Generator, kind: int, shape: tuple[int, int]) -> FloatArray:
        """One field of the given kind (`GRAIN`, `MEDIUM`, `PATCH`, `BROAD`), zero mean, unit variance.

        Args:
            rng: Chooses the crop, its flips and its transposition.
            kind: Index into `SLOPES`, `GRAIN` to `SMOOTH`.
            shape: Rows and columns; square crops up to a quarter of the pool come from it, all else is made afresh.

        Returns:
            float32, `shape`.
        """
        rows, columns = shape
        if rows != columns or rows > POOL_SIDE // 4:
            return fractal(rng, shape, SLOPES[kind])
        top, left, turn, sign = rng.integers(0, [POOL_SIDE - rows, POOL_SIDE - columns, 8, 2])
        crop = self._planes[kind][top : top + rows, left : left + columns]
        if turn & 1:
            crop = crop[::-1]
        if turn & 2:
            crop = crop[:, ::-1]
        if turn & 4:
            crop = crop.T
        return standardise(crop) if sign else -standardise(crop)

    def white(self, rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
        """White Gaussian noise of unit variance: a crop of one large plane for chips, fresh for large areas.

        Args:
            rng: Chooses the crop.
            shape: Rows and columns.

        Returns:
            float32, `shape`; not to be written to.
        """
        rows, columns = shape
        if rows > POOL_SIDE // 4 or columns > POOL_SIDE // 4:
            return rng.standard_normal(shape, dtype=np.float32)
        top, left = rng.integers(0, [POOL_SIDE - rows, POOL_SIDE - columns])
        return self._white[top : top + rows, left : left + columns]

    def speckle(self, rng: np.random.Generator, shape: tuple[int, int], looks: float, side: float) -> FloatArray:
        """Correlated gamma speckle of mean 1: a crop of one large plane for chips, fresh for large areas.

        Args:
            rng: Chooses the crop and its flips.
            shape: Rows and columns.
            looks: Equivalent number of looks; the first call of a pool fixes it for the pool.
            side: Side weight of the three-tap blur that correlates neighbours.

        Returns:
            float32, `shape`.
        """
        rows, columns = shape
        if rows > POOL_SIDE // 4 or columns > POOL_SIDE // 4:
            return gamma_speckle(rng, shape, looks, side)
        if self._speckle is None:
            self._speckle = gamma_speckle(self._speckle_rng, (POOL_SIDE, POOL_SIDE), looks, side)
        top, left, turn = rng.integers(0, [POOL_SIDE - rows, POOL_SIDE - columns, 4])
        crop = self._speckle[top : top + rows, left : left + columns]
        crop = crop[::-1] if turn & 1 else crop
        return crop[:, ::-1] if turn & 2 else crop


def gamma_speckle(rng: np.random.Generator, shape: tuple[int, int], looks: float, side: float) -> FloatArray:
    """Gamma noise of mean 1 whose variance after two three-tap blurs is 1 / looks.

    The two blurs sum independent gamma variables with weights w; the variance falls by the sum of w squared, so the
    noise is drawn with that many fewer looks.

    Returns:
        float32, `shape`, at least 1e-4.
    """
    taps = np.convolve([side, 1 - 2 * side, side], [side, 1 - 2 * side, side])
    kept = float(np.sum(taps**2)) ** 2
    shape_parameter = looks * kept
    noise = rng.standard_gamma(shape_parameter, shape, dtype=np.float32) * np.float32(1 / shape_parameter)
    return np.maximum(blur3(blur3(noise, side), side), np.float32(1e-4))


@lru_cache(maxsize=4)
def pool_for(seed: int) -> FieldPool:
    """The pool of a seed, made once per process and kept (about 30 MB)."""
    return FieldPool(seed)


def quantile(field: FloatArray, share: float) -> float:
    """Value below which `share` of the field lies, by partial sorting of every third value."""
    sample = field.ravel()[::3]
    rank = min(max(int(share * sample.size), 0), sample.size - 1)
    return float(np.partition(sample, rank)[rank])


def gradient(elevation_m: FloatArray, spacing_m: float) -> tuple[FloatArray, FloatArray]:
    """Slope of a surface towards east and towards south, as rise over run.

    Args:
        elevation_m: float32, (rows, columns), metres, row 0 in the north.
        spacing_m: Ground distance between samples in metres.

    Returns:
        Two float32 arrays of the same shape: d/d(east), d/d(south).
    """
    east = np.empty_like(elevation_m)
    south = np.empty_like(elevation_m)
    east[:, 1:-1] = (elevation_m[:, 2:] - elevation_m[:, :-2]) / (2 * spacing_m)
    east[:, 0], east[:, -1] = east[:, 1], east[:, -2]
    south[1:-1] = (elevation_m[2:] - elevation_m[:-2]) / (2 * spacing_m)
    south[0], south[-1] = south[1], south[-2]
    return east, south


def blur3(stack: FloatArray, side: float) -> FloatArray:
    """Separable three-tap blur (side, 1 - 2 side, side) over the last two axes, edges replicated.

    Args:
        stack: float32, (..., rows, columns).
        side: Weight of each neighbour; 0.25 is a binomial kernel, 0 changes nothing.

    Returns:
        float32, same shape.
    """
    middle, edge = np.float32(1 - 2 * side), np.float32(side)
    rows = stack * middle
    rows[..., 1:, :] += edge * stack[..., :-1, :]
    rows[..., :-1, :] += edge * stack[..., 1:, :]
    rows[..., :1, :] += edge * stack[..., :1, :]
    rows[..., -1:, :] += edge * stack[..., -1:, :]
    out = rows * middle
    out[..., 1:] += edge * rows[..., :-1]
    out[..., :-1] += edge * rows[..., 1:]
    out[..., :1] += edge * rows[..., :1]
    out[..., -1:] += edge * rows[..., -1:]
    return out


def block_mean(stack: FloatArray, factor: int) -> FloatArray:
    """Means of `factor` x `factor` blocks over the last two axes, whose lengths must be multiples of it."""
    rows, columns = stack.shape[-2:]
    if rows % factor or columns % factor:
        raise ValueError(f"{rows} x {columns} pixels cannot be cut into blocks of {factor}")
    lines = stack[..., 0::factor, :].copy()
    for step in range(1, factor):
        lines += stack[..., step::factor, :]
    out = lines[..., 0::factor].copy()
    for step in range(1, factor):
        out += lines[..., step::factor]
    return np.multiply(out, np.float32(1.0 / factor**2), dtype=np.float32)


def enlarge(stack: FloatArray, factor: int, *, smooth: bool) -> FloatArray:
    """The stack with each pixel repeated `factor` times along both of the last two axes.

    Args:
        stack: float32, (..., rows, columns).
        factor: How many times longer both axes become.
        smooth: Bilinear between pixel centres instead of nearest neighbour.

    Returns:
        float32, (..., rows * factor, columns * factor).
    """
    if not smooth:
        return np.repeat(np.repeat(stack, factor, axis=-2), factor, axis=-1)
    rows = _bilinear_matrix(stack.shape[-2], factor)
    columns = _bilinear_matrix(stack.shape[-1], factor)
    result: FloatArray = np.matmul(np.matmul(rows, stack), columns.T).astype(np.float32, copy=False)
    return result


@lru_cache(maxsize=16)
def _bilinear_matrix(length: int, factor: int) -> FloatArray:
    centres = (np.arange(length * factor) + 0.5) / factor - 0.5
    lower = np.clip(np.floor(centres).astype(int), 0, length - 1)
    upper = np.clip(lower + 1, 0, length - 1)
    weight = np.clip(centres - lower, 0, 1)
    matrix = np.zeros((length * factor, length), np.float32)
    matrix[np.arange(length * factor), lower] += 1 - weight
    matrix[np.arange(length * factor), upper] += weight
    return matrix


def strips(rng: np.random.Generator, shape: tuple[int, int], width: float, length: float, warp: FloatArray) -> IntArray:
    """Rectangular parcels in turned strips, as consolidated farmland is divided.

    Args:
        rng: Chooses the direction, the strips' widths and where each is cut.
        shape: Rows and columns.
        width: Mean strip width in pixels.
        length: Mean parcel length in pixels.
        warp: float32, `shape`: displacement in pixels that bends the boundaries; zeros keep them straight.

    Returns:
        int32, `shape`: parcel numbers from 0, not necessarily without gaps.
    """
    angle = rng.uniform(0, np.pi)
    rows, columns = np.indices(shape, dtype=np.float32)
    along = rows * np.float32(np.cos(angle)) + columns * np.float32(np.sin(angle)) + warp
    across = columns * np.float32(np.cos(angle)) - rows * np.float32(np.sin(angle)) + warp
    low, high = float(across.min()), float(across.max())
    count = int((high - low) / width) + 3
    edges = low + np.cumsum(width * rng.uniform(0.45, 1.55, count)) - width
    strip = np.searchsorted(edges, across)
    lengths = (length * rng.uniform(0.5, 1.6, count + 2)).astype(np.float32)
    starts = rng.uniform(0, length * 2, count + 2).astype(np.float32)
    piece = ((along - along.min() + starts[strip]) / lengths[strip]).astype(np.int32)
    numbers: IntArray = (strip * (int(piece.max()) + 1) + piece).astype(np.int32)
    return numbers


def voronoi(rng: np.random.Generator, shape: tuple[int, int], count: int, warp: FloatArray) -> IntArray:
    """Irregular parcels: each pixel belongs to the nearest of `count` random seeds.

    Args:
        rng: Places the seeds.
        shape: Rows and columns.
        count: Number of seeds.
        warp: float32, `shape`: displacement in pixels added to both coordinates.

    Returns:
        int32, `shape`: parcel numbers from 0 to count - 1.
    """
    seeds = (rng.random((count, 2)) * np.array(shape)).astype(np.float32)
    rows, columns = np.indices(shape, dtype=np.float32)
    points = np.stack([(rows + warp).ravel(), (columns - warp).ravel()], axis=1)
    nearness = points @ seeds.T - 0.5 * np.sum(seeds**2, axis=1)
    result: IntArray = np.argmax(nearness, axis=1).astype(np.int32).reshape(shape)
    return result
