"""Region and season: where and when scores are of one kind.

Flows in: a cell or a 100 km square, and a time. Flows out: the name of a stratum, such as `33T/summer`. Stops before
deciding which strata have enough history to stand alone (`stratified`).

The region is the UTM zone and latitude band that the cell's id begins with: about 6 by 8 degrees, one climate at most
places. The season is meteorological (whole months, the year's coldest three are winter) and is that of the hemisphere.
A satellite scene lies in one square, so a stratum is looked up once per batch.

Source: Trenberth 1983, Bulletin of the AMS 64, 1276 (seasons by months fit temperature better than astronomical ones).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from schemas.errors import InvalidCell

NOWHERE = ""
"""The stratum of a threshold that holds wherever no other does."""
SEASONS = ("winter", "spring", "summer", "autumn")
_REGION = re.compile(r"(0[1-9]|[1-5]\d|60)([C-HJ-NP-X])[A-HJ-NP-Z][A-HJ-NP-V](\d{4})?")


def stratum_at(square_or_cell: str, moment: datetime) -> str:
    """The stratum of a place at a time.

    Args:
        square_or_cell: Id of a cell or of its square, for example `33TWN4512` or `33TWN`.
        moment: With a time zone.

    Raises:
        InvalidCell: not such an id.
    """
    found = _REGION.fullmatch(square_or_cell)
    if found is None:
        raise InvalidCell(f"{square_or_cell!r} is neither a cell nor a 100 km square, such as 33TWN4512 or 33TWN")
    month = moment.astimezone(UTC).month
    return f"{square_or_cell[:3]}/{SEASONS[_season(month, north=found[2] >= 'N')]}"


def season_of(stratum: str) -> str:
    """The season in a stratum's name."""
    return stratum.partition("/")[2]


def strata_of(cells: NDArray[np.str_], days: NDArray[np.float64]) -> NDArray[np.str_]:
    """The strata of many points at once, str (n,).

    Args:
        cells: Ids (n,).
        days: float64 (n,), days since 1970, UTC.
    """
    regions = cells.astype("U3")
    months = np.floor(days).astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12 + 1
    north = np.array([region[2:] >= "N" for region in regions], dtype=bool)
    numbers = (months % 12 // 3 + np.where(north, 0, 2)) % 4
    return np.char.add(np.char.add(regions, "/"), np.array(SEASONS)[numbers])


def _season(month: int, *, north: bool) -> int:
    """0 winter to 3 autumn: December to February are winter in the north and summer in the south."""
    return (month % 12 // 3 + (0 if north else 2)) % 4
