"""A match before and after, as a plate that can go into a report.

Flows in: two looks at a cell, and what is known about the match. Flows out: one picture. Stops before choosing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from alerts.evidence import colours
from alerts.evidence.canvas import GREY, INK, PALE, WARNING, WHITE, Canvas
from alerts.evidence.chips import Seen
from alerts.evidence.colours import Picture8
from alerts.telling.kinds.kind import Picture
from alerts.telling.phrases import SENSORS
from schemas.cells import CHIP_PX, GSD_M, MARGIN_M, cell_of
from schemas.messages import Alert, Match, Mode

SCALE: Final = 3
"""Screen pixels per 10 m pixel."""
SIDE: Final = CHIP_PX * SCALE
GAP, LEFT, TOP, BOTTOM = 10, 34, 112, 62
"""Between panels, for row titles, for the heading, for the notes below; pixels."""
BAR_M: Final = 200

Column = tuple[str, str, str]
"""What a column shows: title, date, item."""
Row = tuple[str, Sequence[tuple[Picture8, str]]]
"""Title of a row, and its pictures with a note for each."""


def plate(alert: Alert, match: Match, after: Seen, before: Seen | None, gap: str) -> Picture:
    """Before and after of one match.

    Args:
        alert: What it belongs to.
        match: Of a cell and sensor.
        after: The chip that matched.
        before: The same cell before, or none.
        gap: Why there is none.
    """
    looks = [after] if before is None else [before, after]
    rows = _radar(looks) if match.sensor == "s1" else _optical(looks)
    columns = [_column(name, look) for name, look in zip(("before", "after")[-len(looks) :], looks, strict=True)]
    if before is not None and match.sensor == "s2":
        columns.append(("change", "from before to after", ""))
    notes = [note for note in (_how(match, before), gap, _source(looks)) if note]
    png = _sheet(alert, match, columns, rows, notes)
    return Picture(f"{match.cell}-{match.sensor}.png", _caption(alert, match, after, before, gap), png)


def _optical(looks: Sequence[Seen]) -> list[Row]:
    rows: list[Row] = []
    have = set.intersection(*(set(look.present_bands) for look in looks))
    if {"B02", "B03", "B04"} <= have:
        pictures = [(picture, "") for picture in colours.true_colour(looks)]
        if len(looks) == 2:
            change, top = colours.reflectance_change(*looks)
            pictures.append((change, f"reflectance change, RMS of all bands, black 0, yellow {top:.2f}"))
        rows.append(("true colour B04 B03 B02", pictures))
    if "B04" in have and have & {"B11", "B12"} and have & {"B08", "B8A"}:
        pictures = [(picture, "") for picture in colours.false_colour(looks)]
        if len(looks) == 2:
            note = f"(B08-B12)/(B08+B12): red fell, blue rose, full colour {colours.CHANGE_SPAN}"
            pictures.append((colours.index_change(*looks), note))
        rows.append(("false colour B12 B08 B04", pictures))
    return rows


def _radar(looks: Sequence[Seen]) -> list[Row]:
    have = [band for band in ("VV", "VH") if all(band in look.present_bands for look in looks)]
    rows: list[Row] = []
    if len(have) == 2:
        rows.append(("VV, VH, VV/VH", [(picture, "") for picture in colours.radar(looks)]))
    if len(looks) == 2 and have:
        changes = [
            (colours.radar_change(looks[0], looks[1], band), f"{band}: red got darker, cyan brighter") for band in have
        ]
        rows.append(("change from before to after", changes))
    return rows


def _sheet(alert: Alert, match: Match, columns: list[Column], rows: Sequence[Row], notes: Sequence[str]) -> bytes:
    panels = max([len(columns), *(len(pictures) for _, pictures in rows)])
    width = LEFT + panels * (SIDE + GAP)
    canvas = Canvas(width, TOP + len(rows) * (SIDE + GAP) + BOTTOM)
    _heading(canvas, alert, match, width)
    for number, (title, date, item) in enumerate(columns):
        left = LEFT + number * (SIDE + GAP)
        canvas.words((left, TOP - 46), title.upper(), 14, INK)
        canvas.words((left + 76, TOP - 45), date, 13, INK)
        canvas.words((left, TOP - 24), item, 11, GREY, width=SIDE)
    for line, (title, pictures) in enumerate(rows):
        top = TOP + line * (SIDE + GAP)
        canvas.upright((LEFT // 2 - 2, top + SIDE // 2), title)
        for number, (picture, note) in enumerate(pictures):
            _panel(canvas, LEFT + number * (SIDE + GAP), top, picture, note, first=line == number == 0)
    foot = TOP + len(rows) * (SIDE + GAP)
    for number, note in enumerate(notes):
        canvas.words((LEFT, foot + 4 + number * 18), note, 11, GREY, width=width - LEFT - GAP)
    return canvas.png()


def _heading(canvas: Canvas, alert: Alert, match: Match, width: int) -> None:
    lon, lat = cell_of(match.cell).centre
    place = f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}"
    room = width - LEFT - GAP - (110 if alert.simulated else 0)
    canvas.words((LEFT, 8), f"{alert.query}: cell {match.cell}, {SENSORS[match.sensor]}", 20, INK, width=room)
    score = "change score" if alert.mode is Mode.APPEARANCE else "score"
    scores = f"{score} {match.score:.3f} (threshold {match.threshold:.3f}), presence {match.presence:.3f}"
    canvas.words((LEFT, 36), f"{place}     {scores}", 13, GREY, width=width - LEFT - GAP)
    if alert.simulated:
        canvas.words((width - GAP, 10), "SIMULATED", 16, WARNING, anchor="ra")


def _panel(canvas: Canvas, left: int, top: int, picture: Picture8, note: str, *, first: bool) -> None:
    canvas.paste((left, top), picture, SCALE)
    canvas.draw.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), outline=PALE)
    margin = MARGIN_M / GSD_M * SCALE
    canvas.dashes((left + margin, top + margin, left + SIDE - margin, top + SIDE - margin), WHITE)
    if note:
        canvas.words((left + 6, top + SIDE - 6), note, 11, anchor="lb", width=SIDE - 12, halo=True)
    if first:
        canvas.scale_bar(left + 10, top + SIDE - 10, BAR_M / GSD_M * SCALE, f"{BAR_M} m")
        canvas.north(left + SIDE - 16, top + 8)


def _column(title: str, look: Seen) -> Column:
    when = look.acquisition.sensing_at
    cloud = f", cloud {100 * look.chip.cloud_fraction:.0f} %" if look.chip.cloud_fraction >= 0.005 else ""
    return title, f"{when:%d %B %Y, %H:%M} UTC{cloud}", look.acquisition.item_id


def _how(match: Match, before: Seen | None) -> str:
    same = "" if before is None else "Before and after are stretched alike. "
    grid = "Dashed: the cell, 1 km; each pixel 10 m."
    if match.sensor == "s1":
        return f"{same}Red VV, green VH, blue VV/VH, in decibels, averaged over 3 x 3 pixels. {grid}"
    return f"{same}{grid}"


def _source(looks: Sequence[Seen]) -> str:
    if looks[-1].acquisition.simulated:
        return "Simulated scenes: nothing here is real data. Made by Tocsin."
    years = sorted({f"{look.acquisition.sensing_at:%Y}" for look in looks})
    return f"Contains modified Copernicus Sentinel data {', '.join(years)}. Made by Tocsin."


def _caption(alert: Alert, match: Match, after: Seen, before: Seen | None, gap: str) -> str:
    sensor = SENSORS[match.sensor]
    now = f"after, {after.acquisition.sensing_at:%d %B %Y} ({after.acquisition.item_id})"
    then = f"before, {before.acquisition.sensing_at:%d %B %Y} ({before.acquisition.item_id})" if before else gap
    said = "Simulated. " if alert.simulated else ""
    return f"{said}{alert.query}, cell {match.cell}, {sensor}: {then}; {now}. Score {match.score:.3f}."
