"""Contact sheets: simulated chips as pictures that a person can judge beside real ones.

In: chips. Out: a PNG with rows per label: true colour, false colour (SWIR2, NIR, red) and radar (VV, VH, VV/VH).
Stops at pictures: nothing is measured here.
"""

import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulation.chips import Chips, make_chips
from simulation.fields import FloatArray
from simulation.labels import LABELS

GAP: Final = 4
"""Pixels between chips on a sheet."""

Picture = NDArray[np.uint8]


def true_colour(pixels: FloatArray) -> Picture:
    """uint8 (rows, columns, 3) from (13, rows, columns) reflectance: red, green, blue, 0 to 0.3, gamma 1.6."""
    return _stretch(pixels[[3, 2, 1]], 0.0, 0.3)


def false_colour(pixels: FloatArray) -> Picture:
    """uint8 (rows, columns, 3) from (13, rows, columns) reflectance: SWIR2, NIR, red, 0 to 0.45, gamma 1.6."""
    return _stretch(pixels[[12, 7, 3]], 0.0, 0.45)


def radar_colour(pixels: FloatArray) -> Picture:
    """uint8 (rows, columns, 3) from (2, rows, columns) linear power: VV -22 to 0 dB, VH -28 to -8 dB, their ratio."""
    decibel = 10 * np.log10(np.maximum(np.nan_to_num(pixels, nan=1e-5), 1e-5))
    red, green = (decibel[0] + 22) / 22, (decibel[1] + 28) / 20
    blue = (decibel[0] - decibel[1] - 2) / 12
    return _stretch(np.stack([red, green, blue]).astype(np.float32), 0.0, 1.0, gamma=1.0)


def _stretch(planes: FloatArray, low: float, high: float, gamma: float = 1.6) -> Picture:
    unit = np.clip((np.nan_to_num(planes) - low) / (high - low), 0, 1) ** (1 / gamma)
    picture: Picture = (np.moveaxis(unit, 0, -1) * 255).astype(np.uint8)
    return picture


def mosaic(rows: list[list[Picture]]) -> Picture:
    """One picture from rows of equally sized pictures, white between them."""
    side = rows[0][0].shape[0]
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * (side + GAP), columns * (side + GAP), 3), 255, np.uint8)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            top, left = y * (side + GAP), x * (side + GAP)
            sheet[top : top + side, left : left + side] = picture
    return sheet


def write_png(path: Path, picture: Picture) -> None:
    """Writes uint8 (rows, columns, 3) as PNG. Source: W3C Portable Network Graphics, third edition."""
    rows, columns, _ = picture.shape
    lines = np.zeros((rows, 1 + columns * 3), np.uint8)  # filter type 0 before each line
    lines[:, 1:] = picture.reshape(rows, -1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def pick(chips: Chips, label: str, count: int) -> list[int]:
    """Indices of the chips with the largest fraction of the label, largest first, at most `count`."""
    column = LABELS.index(label)
    have = [i for i, names in enumerate(chips.labels) if label in names]
    return sorted(have, key=lambda i: -float(chips.fractions[i, column]))[:count]


def contact_sheet(path: Path, *, seed: int = 7, columns: int = 8, draw: int = 400) -> list[str]:
    """Writes a sheet with three rows per label: true colour, false colour, radar.

    Args:
        path: PNG to write.
        seed: Seed of the chips.
        columns: Chips per row.
        draw: How many chips to draw per sensor before picking.

    Returns:
        What each row shows, from the top.
    """
    optical, radar = make_chips(draw, seed=seed, sensor="s2"), make_chips(draw, seed=seed, sensor="s1")
    rows: list[list[Picture]] = []
    titles: list[str] = []
    for label in LABELS:
        seen, sounded = pick(optical, label, columns), pick(radar, label, columns)
        for title, picture, batch, indices in (
            ("true colour", true_colour, optical, seen),
            ("false colour", false_colour, optical, seen),
            ("radar", radar_colour, radar, sounded),
        ):
            if indices:
                rows.append([picture(batch.pixels[i]) for i in indices])
                titles.append(f"{label}: {title}")
    write_png(path, mosaic(rows))
    return titles
