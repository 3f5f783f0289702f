"""Contact sheets: simulated chips as pictures that a person can judge beside real ones.

In: chips, and real pixels if there are some. Out: a PNG with titled rows: true colour, false colour, radar.
Stops at pictures: nothing is measured here, and no real pixels are read here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from schemas.errors import SettingsError, UsageError
from simulation.chips import Chips, Sensor, make_chips
from simulation.fields import FloatArray
from simulation.labels import LABELS
from simulation.lookalikes import kinds_of_sensor, make_lookalikes
from simulation.series import kinds_of, make_series

if TYPE_CHECKING:  # Pillow comes with the extra `training`
    from PIL.ImageDraw import ImageDraw

SIDE: Final = 120
"""Pixels along one side of a picture."""
GAP: Final = 4
"""Pixels between pictures."""
MARGIN: Final = 160
"""Pixels on the left, for the titles."""
HEADER: Final = 22
"""Pixels on top, for the words above the columns."""
DRAWN_PER_COLUMN: Final = 50
"""Chips drawn for each column of a sheet before those that show a label best are picked."""

Picture = NDArray[np.uint8]
RealPixels = Mapping[tuple[str, Sensor], list[FloatArray]]
"""Per label and sensor, pixels of real chips, float32, (bands, rows, columns), an absent band all NaN."""


@dataclass(frozen=True)
class Row:
    """One row of a sheet.

    Attributes:
        title: What it shows: label or kind, and rendering.
        simulated: Pictures, uint8, (120, 120, 3).
        real: Pictures that stand to the right of them.
    """

    title: str
    simulated: list[Picture]
    real: list[Picture] = field(default_factory=list)


def true_colour(pixels: FloatArray) -> Picture:
    """uint8 (rows, columns, 3) from (13, rows, columns) reflectance: red, green, blue, 0 to 0.3, gamma 1.6."""
    return _stretch(pixels[[3, 2, 1]], 0.0, 0.3)


def false_colour(pixels: FloatArray) -> Picture:
    """uint8 (rows, columns, 3) from (13, rows, columns) reflectance: SWIR2, NIR, red, 0 to 0.45, gamma 1.6.

    NIR is B08, or B8A in products that lack it.
    """
    return _stretch(pixels[[12, 7 if np.isfinite(pixels[7]).any() else 8, 3]], 0.0, 0.45)


def radar_colour(pixels: FloatArray) -> Picture:
    """uint8 (rows, columns, 3) from (2, rows, columns) linear power: VV -22 to 0 dB, VH -28 to -8 dB, their ratio."""
    decibel = 10 * np.log10(np.maximum(np.nan_to_num(pixels, nan=1e-5), 1e-5))
    red, green = (decibel[0] + 22) / 22, (decibel[1] + 28) / 20
    blue = (decibel[0] - decibel[1] - 2) / 12
    return _stretch(np.stack([red, green, blue]).astype(np.float32), 0.0, 1.0, gamma=1.0)


RENDERINGS: Final = (
    ("true colour", "s2", true_colour),
    ("false colour", "s2", false_colour),
    ("radar", "s1", radar_colour),
)
"""Title, sensor and painter of each row of a label."""


def _stretch(planes: FloatArray, low: float, high: float, gamma: float = 1.6) -> Picture:
    unit = np.clip((np.nan_to_num(planes) - low) / (high - low), 0, 1) ** (1 / gamma)
    picture: Picture = (np.moveaxis(unit, 0, -1) * 255).astype(np.uint8)
    return picture


def centred(pixels: FloatArray) -> FloatArray:
    """The middle 120 x 120 pixels of (bands, rows, columns), what is missing filled with NaN."""
    rows, columns = pixels.shape[1:]
    top, left = max(0, (rows - SIDE) // 2), max(0, (columns - SIDE) // 2)
    middle = pixels[:, top : top + SIDE, left : left + SIDE]
    out = np.full((len(pixels), SIDE, SIDE), np.nan, np.float32)
    out[:, : middle.shape[1], : middle.shape[2]] = middle
    return out


def pick(chips: Chips, label: str, count: int) -> list[int]:
    """Indices of the chips with the largest fraction of the label, largest first, at most `count`."""
    column = LABELS.index(label)
    have = [i for i, names in enumerate(chips.labels) if label in names]
    return sorted(have, key=lambda i: -float(chips.fractions[i, column]))[:count]


def label_rows(
    labels: Iterable[str], *, seed: int, columns: int, real: RealPixels | None = None, draw: int | None = None
) -> list[Row]:
    """Rows that show labels: true colour, false colour and radar of each.

    Args:
        labels: Some of `LABELS`.
        seed: Of the chips.
        columns: Simulated chips, and real ones, per row.
        real: Real pixels to stand beside them.
        draw: How many chips to draw per sensor before picking; None is `DRAWN_PER_COLUMN` times the columns.

    Returns:
        Rows; a rendering of which there is nothing, simulated or real, is left out.

    Raises:
        UsageError: A label is unknown.
    """
    wanted = list(labels)
    unknown = [label for label in wanted if label not in LABELS]
    if unknown:
        raise UsageError(f"no label is called {unknown[0]!r}: choose from {', '.join(LABELS)}")
    batches: dict[str, Chips] = {
        "s2": make_chips(draw or DRAWN_PER_COLUMN * columns, seed=seed, sensor="s2"),
        "s1": make_chips(draw or DRAWN_PER_COLUMN * columns, seed=seed, sensor="s1"),
    }
    rows = []
    for label in wanted:
        for title, sensor, paint in RENDERINGS:
            batch = batches[sensor]
            shown = [paint(batch.pixels[i]) for i in pick(batch, label, columns)]
            beside = [] if real is None else real.get((label, "s2" if sensor == "s2" else "s1"), [])
            rows.append(Row(f"{label}: {title}", shown, [paint(centred(pixels)) for pixels in beside[:columns]]))
    return [row for row in rows if row.simulated or row.real]


def lookalike_rows(kinds: Iterable[str], *, seed: int, columns: int) -> list[Row]:
    """Rows that show look-alikes, with each sensor that has them.

    Raises:
        UsageError: A kind is unknown to both sensors.
    """
    rows = []
    for kind in kinds:
        sensors: list[Sensor] = [sensor for sensor in SENSORS if kind in kinds_of_sensor(sensor)]
        if not sensors:
            every = dict.fromkeys(name for sensor in SENSORS for name in kinds_of_sensor(sensor))
            raise UsageError(f"no look-alike is called {kind!r}: choose from {', '.join(every)}")
        for sensor in sensors:
            chips = make_lookalikes(columns, seed=seed, sensor=sensor, kind=kind)
            rows += _rendered(kind, "look-alike", sensor, list(chips.pixels))
    return rows


def series_rows(kinds: Iterable[str], *, seed: int, columns: int) -> list[Row]:
    """Rows that show one place over time, the last look on the right, with each sensor.

    Raises:
        UsageError: A kind is unknown, or there are fewer than two columns.
    """
    rows = []
    for kind in kinds:
        for sensor in SENSORS:
            if sensor == "s2" or kind in kinds_of(sensor):
                looks = make_series(1, seed=seed, sensor=sensor, kind=kind, looks=columns)
                rows += _rendered(kind, "over time", sensor, [chips.pixels[0] for chips in looks])
    return rows


SENSORS: Final[tuple[Sensor, ...]] = ("s2", "s1")
"""Order of the rows."""


def _rendered(kind: str, how: str, sensor: Sensor, pixels: list[FloatArray]) -> list[Row]:
    return [
        Row(f"{kind}: {how}, {name}", [paint(p) for p in pixels])
        for name, whose, paint in RENDERINGS
        if whose == sensor
    ]


def write_sheet(path: Path, rows: list[Row]) -> None:
    """Writes the rows as a PNG: titles on the left, simulated pictures, and real ones to the right of a wide gap.

    Args:
        path: File to write.
        rows: At least one.

    Raises:
        UsageError: There is no row, or the file cannot be written.
        SettingsError: Pillow is not installed.
    """
    if not rows:
        raise UsageError("nothing to show: draw more chips or name another label")
    try:
        from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise SettingsError("contact sheets need Pillow: pip install 'tocsin[training]'") from error
    simulated, real = (max(len(getattr(row, side)) for row in rows) for side in ("simulated", "real"))
    step = SIDE + GAP
    second = MARGIN + simulated * step + (4 * GAP if real else 0)
    sheet = np.full((HEADER + len(rows) * step, second + real * step, 3), 255, np.uint8)
    for number, row in enumerate(rows):
        top = HEADER + number * step
        for left, pictures in ((MARGIN, row.simulated), (second, row.real)):
            for column, picture in enumerate(pictures):
                at = left + column * step
                sheet[top : top + SIDE, at : at + SIDE] = picture
    image = Image.fromarray(sheet)
    draw = ImageDraw.Draw(image)
    draw.font = ImageFont.load_default(size=12)
    _write_words(draw, rows, second if real else None)
    try:
        image.save(path, format="PNG")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _write_words(draw: "ImageDraw", rows: list[Row], second: int | None) -> None:
    draw.text((MARGIN, 4), "simulated", fill=(0, 0, 0))
    if second is not None:
        draw.text((second, 4), "real", fill=(0, 0, 0))
    for number, row in enumerate(rows):
        title, _, rendering = row.title.partition(": ")
        draw.text((6, HEADER + number * (SIDE + GAP) + 40), f"{title}\n{rendering}", fill=(0, 0, 0))


def contact_sheet(
    path: Path,
    *,
    seed: int = 7,
    columns: int = 8,
    labels: Iterable[str] = LABELS,
    real: RealPixels | None = None,
    draw: int | None = None,
) -> list[str]:
    """Writes a sheet with three rows per label: true colour, false colour, radar.

    Args:
        path: PNG to write.
        seed: Seed of the chips.
        columns: Chips per row.
        labels: Some of `LABELS`.
        real: Real pixels to stand beside them.
        draw: How many chips to draw per sensor before picking; None is `DRAWN_PER_COLUMN` times the columns.

    Returns:
        What each row shows, from the top.

    Raises:
        UsageError: A label is unknown, or the file cannot be written.
        SettingsError: Pillow is not installed.
    """
    rows = label_rows(labels, seed=seed, columns=columns, real=real, draw=draw)
    write_sheet(path, rows)
    return [row.title for row in rows]
