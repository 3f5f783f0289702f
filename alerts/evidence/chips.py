"""Pixels of the looks, read again where the catalogue has them.

Flows in: acquisitions and cells. Flows out: chips, or why there are none. Stops before colours.

Pixels are kept nowhere, so a picture needs the scene to be there still, days or years later: a file that is gone, a
host that is down or time that is up leaves the picture out and says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from alerts.evidence.unsigned import without_signatures
from encoders.assets import Fetcher
from encoders.chips import ChipBlock
from encoders.reading import read_cells
from encoders.settings import EncoderSettings
from schemas.cells import cell_of
from schemas.errors import Rejected, Retryable
from schemas.messages import Acquisition, Chip

Pixels = NDArray[np.float32]
Wanted = tuple[UUID, str]
"""Acquisition and cell."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One cell of one acquisition.

    Attributes:
        acquisition: Whence.
        pixels: float32 (bands, 120, 120), order `encoders.bands.BANDS`; reflectance or linear power, NaN is no data.
        chip: What could be seen.
        present_bands: Bands that the scene has.
    """

    acquisition: Acquisition
    pixels: Pixels
    chip: Chip
    present_bands: tuple[str, ...]


def read(
    wanted: Iterable[Wanted], ledger: Mapping[UUID, Acquisition], settings: EncoderSettings, deadline_s: float
) -> dict[Wanted, Seen | str]:
    """Chips, or for each that cannot be had the reason.

    Args:
        wanted: What to read; the scenes in this order.
        ledger: Acquisitions by id.
        settings: Limits of reading.
        deadline_s: For all of it, seconds.
    """
    until = time.monotonic() + deadline_s
    scenes: dict[UUID, list[str]] = {}
    for acquisition_id, cell in dict.fromkeys(wanted):
        scenes.setdefault(acquisition_id, []).append(cell)
    found: dict[Wanted, Seen | str] = {}
    for acquisition_id, cells in scenes.items():
        left_s = until - time.monotonic()
        limits = settings.model_copy(
            update={"deadline_s": left_s, "timeout_s": max(min(settings.timeout_s, left_s), 0.001)}
        )
        found |= _scene(acquisition_id, cells, ledger.get(acquisition_id), limits)
    return found


def _scene(
    acquisition_id: UUID, cells: list[str], acquisition: Acquisition | None, limits: EncoderSettings
) -> dict[Wanted, Seen | str]:
    if acquisition is None:
        reason = f"acquisition {acquisition_id} is not in the ledger"
    elif limits.deadline_s <= 0:
        reason = f"item {acquisition.item_id}: there was no time left to read it"
    else:
        fetcher = Fetcher(limits)
        try:
            block = read_cells(acquisition, [cell_of(cell) for cell in cells], limits, fetcher)
        except (Rejected, Retryable) as error:
            reason = without_signatures(str(error), [asset.href for asset in acquisition.assets.values()])
        else:
            return _seen(acquisition, cells, block)
        finally:
            fetcher.close()
    return dict.fromkeys(((acquisition_id, cell) for cell in cells), reason)


def _seen(acquisition: Acquisition, cells: list[str], block: ChipBlock) -> dict[Wanted, Seen | str]:
    found: dict[Wanted, Seen | str] = {}
    for row, cell in enumerate(cells):
        pixels = block.pixels[row]
        chip = block.chips[row]
        empty = bool(np.isnan(pixels).all())
        gone = f"item {acquisition.item_id}: its files hold nothing of cell {cell} any more"
        found[acquisition.acquisition_id, cell] = (
            gone if empty else Seen(acquisition, pixels, chip, block.present_bands)
        )
    return found
