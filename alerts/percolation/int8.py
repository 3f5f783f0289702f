"""Products of codes by torch, on the processor or on a GPU.

Flows in and out: as `products.Product` has it. Stops before where torch is not installed: nothing else imports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alerts.percolation.growing import CELLS, ROWS, ROWS_PER_BLOCK, Indexes, by_block, tiles
from alerts.percolation.quantise import (
    LARGEST,
    Doubles,
    Floats,
    Integers,
    Left,
    Slopes,
    lengths,
    quantise,
    slopes,
    thresholds,
)
from archive.interface import DIMENSION


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a device wants its work.

    Attributes:
        cells: Of a tile.
        rows: Standing vectors of a tile.
        multiple: Of what both must be whole multiples.
        least: The fewest of both.
        on_host: Whether numpy may look at the products where they are.
    """

    cells: int
    rows: int
    multiple: int = 1
    least: int = 1
    on_host: bool = True


SEGMENT = 256
"""Products of a row of which the highest is looked at first: few, so that little is looked at again."""
PROCESSOR = Tiling(CELLS, ROWS)
GPU = Tiling(4096, 16_384, 8, 32, on_host=False)
"""256 MB of products, so that each launch has enough to do. cuBLASLt multiplies int8 matrices whose edges are multiples
of 8, and torch asks for more than 16 rows."""


class Int8Product:
    """Standing vectors as int8, one scale each; cells as int8, one scale a tile. Thresholds are integers."""

    def __init__(self, device: str, tiling: Tiling | None = None) -> None:
        """No vectors yet.

        Args:
            device: A device of torch, "cpu" or "cuda".
            tiling: What suits the device, if not given.
        """
        self._device = torch.device(device)
        self._tiling = tiling or (PROCESSOR if device == "cpu" else GPU)
        self.name = "int8" if device == "cpu" else device
        self._blocks: list[Tensor] = []
        self._slopes = np.empty((3, 0))
        self._runs: dict[tuple[int, int], Tensor] = {}
        self._room = torch.empty(self._tiling.cells * self._tiling.rows, dtype=torch.int32, device=self._device)

    def put(self, rows: Indexes, vectors: Floats) -> None:
        """See `Product`."""
        if not len(rows):
            return
        self._grow(int(rows.max()) + 1)
        found = quantise(vectors, lengths(vectors))
        each = slopes(found)
        self._slopes[:, rows] = each.one, each.residual, each.whole
        for number, which, within in by_block(rows):
            self._blocks[number][torch.from_numpy(within)] = torch.from_numpy(found.codes[which]).to(self._device)

    def survivors(self, left: Left, wanted: Indexes, score: Doubles) -> Iterator[tuple[Indexes, Indexes]]:
        """See `Product`."""
        tiling, reached = self._tiling, _reached_on_host if self._tiling.on_host else _reached
        for top in range(0, len(left.vectors), tiling.cells):
            tile = slice(top, top + tiling.cells)
            part = quantise(left.vectors[tile], left.norms[tile], together=True)
            least = thresholds(score, Slopes(*self._slopes[:, : len(score)]), part)
            right = self._padded(torch.from_numpy(part.codes).to(self._device)).t()
            for rows in tiles(wanted, len(score), tiling.rows):
                codes, names = self._codes(rows), slice(rows.start, rows.stop) if isinstance(rows, range) else rows
                products = self._room[: codes.shape[0] * right.shape[1]].view(codes.shape[0], right.shape[1])
                torch._int_mm(codes, right, out=products)
                which, found = reached(products[: len(rows), : len(part.codes)], least[names])
                if len(which):
                    yield top + found, which + rows.start if isinstance(rows, range) else rows[which]

    def _grow(self, rows: int) -> None:
        while len(self._blocks) * ROWS_PER_BLOCK < rows:
            self._blocks.append(torch.zeros((ROWS_PER_BLOCK, DIMENSION), dtype=torch.int8, device=self._device))
        if rows > self._slopes.shape[1]:
            more = max(rows - self._slopes.shape[1], self._slopes.shape[1])
            self._slopes = np.concatenate([self._slopes, np.ones((3, more))], axis=1)

    def _codes(self, rows: range | Indexes) -> Tensor:
        """The codes of some rows, (at least as many, 384)."""
        if isinstance(rows, range):
            if (rows.start, rows.stop) not in self._runs:
                first = rows.start % ROWS_PER_BLOCK
                run = self._blocks[rows.start // ROWS_PER_BLOCK][first : first + len(rows)]
                self._runs[rows.start, rows.stop] = run
            return self._padded(self._runs[rows.start, rows.stop])
        out = torch.empty((len(rows), DIMENSION), dtype=torch.int8, device=self._device)
        for number, which, within in by_block(rows):
            places = torch.from_numpy(within).to(self._device)
            taken = self._blocks[number].index_select(0, places)
            if isinstance(which, slice):
                return self._padded(taken)
            out[torch.from_numpy(which).to(self._device)] = taken
        return self._padded(out)

    def _padded(self, codes: Tensor) -> Tensor:
        """With rows of zeros below, where the device multiplies only certain sizes."""
        size = max(self._tiling.least, -(-codes.shape[0] // self._tiling.multiple) * self._tiling.multiple)
        return codes if size == codes.shape[0] else torch.nn.functional.pad(codes, (0, 0, 0, size - codes.shape[0]))


def _reached_on_host(products: Tensor, least: Integers) -> tuple[Indexes, Indexes]:
    """Rows and columns of the products, int32 (rows, columns), that reach their row's threshold, int32 (rows,).

    torch is the faster one at maxima, numpy at everything else.
    """
    columns = products.shape[1]
    width = SEGMENT if columns % SEGMENT == 0 else columns
    parts, each = products.view(-1, width), np.repeat(least, columns // width)
    some = np.flatnonzero(parts.amax(1).numpy() >= each)
    if not len(some):
        return some, some
    which, within = np.divmod(np.flatnonzero(parts.numpy()[some] >= each[some, None]), width)
    rows, part = np.divmod(some[which], columns // width)
    return rows, part * width + within


def _reached(products: Tensor, least: Integers) -> tuple[Indexes, Indexes]:
    """The same where the products are."""
    there = torch.from_numpy(least).to(products.device)
    rows = (products.amax(1) >= there).nonzero().squeeze(1)
    which, columns = (products[rows] >= there[rows, None]).nonzero(as_tuple=True)
    return rows[which].cpu().numpy(), columns.cpu().numpy()


def exact(device: str) -> bool:
    """Whether the greatest codes are multiplied and added without saturating."""
    codes = torch.full((64, DIMENSION), LARGEST, dtype=torch.int8)
    codes[1::2] *= -1
    found: NDArray[np.int32] = torch._int_mm(codes.to(device), codes.to(device).t()).cpu().numpy()
    whole = codes.numpy().astype(np.int32)
    return bool(np.array_equal(found, whole @ whole.T))
