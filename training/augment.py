"""In: simulated chips at 20 m. Out: the same, as other instruments, processors and orders would have delivered them.

Stops at tensors: weather, speckle and resolution at 10 m are the simulator's.
"""

import torch
from torch import Tensor
from torch.nn import functional

from encoders.bands import BANDS_S2, SENTINEL_2
from encoders.nano_planes import FINE
from training.nano_model import Reduced

SUBSETS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.12, BANDS_S2),
    (0.38, tuple(name for name in BANDS_S2 if name != "B10")),
    (0.20, ("B02", "B03", "B04", "B08", "B12")),
    (0.05, ("B02", "B03", "B04", "B08", "B11", "B12")),
    (0.05, ("B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12")),
    (0.04, ("B02", "B03", "B04")),
    (0.04, ("B02", "B03", "B04", "B08")),
)
"""Sets of bands that products come with, and how often; in the rest each band is dropped by itself."""


def band_masks(count: int, sensor: str, random: torch.Generator) -> Tensor:
    """Which bands each chip keeps: float32, (count, bands), at least one each."""
    if sensor == "s1":
        masks = torch.ones(count, 2)
        masks[torch.rand(count, generator=random) < 0.12, 1] = 0
        return masks
    drop = torch.rand(count, 1, generator=random) * 0.7
    masks = (torch.rand(count, 13, generator=random) > drop).float()
    draw = torch.rand(count, generator=random)
    edge = 0.0
    for share, names in SUBSETS:
        kept = torch.tensor([float(name in names) for name in BANDS_S2])
        masks[(draw >= edge) & (draw < edge + share)] = kept
        edge += share
    masks[masks.sum(1) == 0, BANDS_S2.index("B08")] = 1
    return masks


def _normal(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=random)


def _chance(share: float, random: torch.Generator) -> bool:
    """One draw for the whole batch: many batches see every case."""
    return bool(torch.rand(1, generator=random) < share)


def _turned(x: Tensor, turns: int, flip: bool) -> Tensor:
    turned = torch.rot90(x, turns, (2, 3))
    return turned.flip(3) if flip else turned


def _coarser(means: Tensor, spread: Tensor, valid: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some batches as if resampled from a coarser product: blurred, texture inside a pixel weaker."""
    if _chance(0.25, random):
        weight = functional.avg_pool2d(valid, 3, 1, 1).clamp(min=1e-3)
        means = functional.avg_pool2d(means * valid, 3, 1, 1) / weight
    if _chance(0.4, random):
        spread = spread * torch.rand(len(spread), 1, 1, 1, generator=random)
    return means, spread


def _recalibrated(means: Tensor, sensor: str, random: torch.Generator) -> Tensor:
    """Gain and offset of the chip and of each band: what atmosphere, sun and calibration leave."""
    count, bands = means.shape[:2]
    if sensor == "s1":
        return means + _normal((count, 1, 1, 1), random) * 0.8 + _normal((count, bands, 1, 1), random) * 0.5
    wavelength = torch.tensor([band.wavelength_nm for band in SENTINEL_2])
    haze = ((490 / wavelength) ** 2)[None, :, None, None] * _normal((count, 1, 1, 1), random) * 0.006
    gain = 1 + _normal((count, 1, 1, 1), random) * 0.06 + _normal((count, bands, 1, 1), random) * 0.05
    return (means * gain).add_(haze).clamp_(min=0)


def _windowed(valid: Tensor, random: torch.Generator) -> Tensor:
    """Some chips lose a strip of up to half, as at the edge of a scene or of a window."""
    count, _, _, columns = valid.shape
    cut = (torch.rand(count, 1, 1, 1, generator=random) * 0.5 * columns).floor()
    cut = cut * (torch.rand(count, 1, 1, 1, generator=random) < 0.08)
    return valid * (torch.arange(columns)[None, None, None, :] >= cut).float()


def augmented(means: Tensor, spread: Tensor, valid: Tensor, sensor: str, random: torch.Generator) -> Reduced:
    """One random rendering of each chip.

    Args:
        means: float32, (n, bands, 60, 60).
        spread: float32, (n, fine, 60, 60).
        valid: float32, (n, 1, 60, 60).
        sensor: ``"s2"`` or ``"s1"``.
        random: source of every draw.
    """
    turns, flip = int(torch.randint(4, (1,), generator=random)), _chance(0.5, random)
    means, spread, valid = (_turned(x, turns, flip) for x in (means, spread, valid))
    masks = band_masks(len(means), sensor, random)[:, :, None, None]
    means, spread = _coarser(_recalibrated(means, sensor, random), spread, valid, random)
    valid = _windowed(valid, random) * masks
    there = (valid > 0).float()
    return Reduced(means * there, spread * there[:, list(FINE[sensor])], valid)
