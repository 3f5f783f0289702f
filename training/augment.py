"""In: simulated chips at 20 m. Out: the same, as other instruments, processors and orders would have delivered them.

Stops at tensors: weather, speckle and resolution at 10 m are the simulator's.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from encoders.bands import BANDS_S2, SENTINEL_2
from encoders.nano_planes import FINE
from training.nano_model import Reduced

SUBSETS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.12, BANDS_S2),
    (0.36, tuple(name for name in BANDS_S2 if name != "B10")),
    (0.20, ("B02", "B03", "B04", "B08", "B12")),
    (0.05, ("B02", "B03", "B04", "B08", "B11", "B12")),
    (0.05, ("B02", "B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12")),
    (0.04, ("B02", "B03", "B04")),
    (0.04, ("B02", "B03", "B04", "B08")),
)
"""Sets of bands that products come with, and how often; in the rest each band is dropped by itself."""

RGB = ("B02", "B03", "B04")
"""What a camera sees."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Chips with what is known of them, on one device.

    Attributes:
        means: float32, (n, bands, 60, 60).
        spread: float32, (n, fine, 60, 60).
        valid: float32, (n, 1, 60, 60).
        fractions: float32, (n, 12), share of the visible chip per label.
        clearness: float32, (n, 12), how plainly each label shows.
        unsure: float32, (n, 12), 1 where a label is neither present nor absent.
    """

    means: Tensor
    spread: Tensor
    valid: Tensor
    fractions: Tensor
    clearness: Tensor
    unsure: Tensor


@dataclass(frozen=True, slots=True)
class Draws:
    """Sources of randomness: of the whole batch (numpy, on the host) and of its chips (torch, on the device)."""

    batch: np.random.Generator
    chips: torch.Generator

    def chance(self, share: float) -> bool:
        """One draw for the whole batch: many batches see every case."""
        return bool(self.batch.random() < share)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers, 0-1."""
        return torch.rand(shape, generator=self.chips, device=self.chips.device)

    def normal(self, *shape: int) -> Tensor:
        """Normal numbers of unit variance."""
        return torch.randn(shape, generator=self.chips, device=self.chips.device)


def band_masks(count: int, sensor: str, draws: Draws, only: tuple[str, ...] | None = None) -> Tensor:
    """Which bands each chip keeps: float32, (count, bands), at least one each.

    Args:
        count: chips.
        sensor: ``"s2"`` or ``"s1"``.
        draws: source of randomness.
        only: S2 bands that there are at all; `None` is the mixture of products.
    """
    device = draws.chips.device
    if sensor == "s1":
        masks = torch.ones(count, 2, device=device)
        masks[:, 1] = (draws.uniform(count) >= 0.12).float()
        return masks
    if only is not None:
        return torch.tensor([float(name in only) for name in BANDS_S2], device=device).expand(count, -1)
    drop = draws.uniform(count, 1) * 0.7
    masks = (draws.uniform(count, 13) > drop).float()
    draw = draws.uniform(count, 1)
    edge = 0.0
    for share, names in SUBSETS:
        kept = torch.tensor([float(name in names) for name in BANDS_S2], device=device)
        masks = torch.where((draw >= edge) & (draw < edge + share), kept, masks)
        edge += share
    last = torch.tensor([float(name == "B08") for name in BANDS_S2], device=device)
    return torch.where(masks.sum(1, keepdim=True) == 0, last, masks)


def pasted(batch: Batch, draws: Draws) -> Batch:
    """Some batches with part of each chip replaced by part of another: burnt beside what it never lies beside.

    Source: Yun et al. 2019, CutMix, with labels by what of them remains in view.
    """
    if not draws.chance(0.25):
        return batch
    count, _, rows, columns = batch.means.shape
    other = torch.randperm(count, generator=draws.chips, device=draws.chips.device)
    y = torch.linspace(-1, 1, rows, device=batch.means.device)[None, None, :, None]
    x = torch.linspace(-1, 1, columns, device=batch.means.device)[None, None, None, :]
    angle, shift = draws.uniform(count, 1, 1, 1) * 2 * np.pi, draws.normal(count, 1, 1, 1) * 0.4
    mine = (torch.cos(angle) * x + torch.sin(angle) * y > shift).float()

    def joined(field: Tensor) -> Tensor:
        return field * mine + field[other] * (1 - mine)

    share = (batch.valid * mine).sum(dim=(1, 2, 3)) / joined(batch.valid).sum(dim=(1, 2, 3)).clamp(min=1e-3)
    mine_of, other_of = share[:, None] * batch.fractions, (1 - share[:, None]) * batch.fractions[other]
    both = mine_of + other_of
    clear = (mine_of * batch.clearness + other_of * batch.clearness[other]) / both.clamp(min=1e-6)
    return Batch(
        joined(batch.means),
        joined(batch.spread),
        joined(batch.valid),
        both,
        torch.where(both > 1e-6, clear, 1.0),
        torch.maximum(batch.unsure, batch.unsure[other]),
    )


def _turned(batch: Batch, draws: Draws) -> Batch:
    turns, flip = int(draws.batch.integers(4)), draws.chance(0.5)

    def turned(x: Tensor) -> Tensor:
        x = torch.rot90(x, turns, (2, 3))
        return x.flip(3) if flip else x

    return replace(batch, means=turned(batch.means), spread=turned(batch.spread), valid=turned(batch.valid))


def _coarser(means: Tensor, spread: Tensor, valid: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
    """Some batches as if resampled from a coarser product: blurred, texture inside a pixel weaker."""
    if draws.chance(0.3):
        weight = functional.avg_pool2d(valid, 3, 1, 1).clamp(min=1e-3)
        means = functional.avg_pool2d(means * valid, 3, 1, 1) / weight
    if draws.chance(0.4):
        spread = spread * draws.uniform(len(spread), 1, 1, 1)
    return means, spread


def _recalibrated(means: Tensor, sensor: str, draws: Draws) -> Tensor:
    """Gain and offset of the chip and of each band: what atmosphere, sun and calibration leave."""
    count, bands = means.shape[:2]
    if sensor == "s1":
        return means + draws.normal(count, 1, 1, 1) * 0.8 + draws.normal(count, bands, 1, 1) * 0.5
    wavelength = torch.tensor([band.wavelength_nm for band in SENTINEL_2], device=means.device)
    blue = ((490 / wavelength) ** 2)[None, :, None, None]
    octaves = torch.log2(wavelength / 860)[None, :, None, None]
    bent = octaves * draws.normal(count, 1, 1, 1) * 0.05 + octaves**2 * draws.normal(count, 1, 1, 1) * 0.03
    gain = torch.exp(draws.normal(count, 1, 1, 1) * 0.08 + bent + draws.normal(count, bands, 1, 1) * 0.04)
    return (means * gain + blue * draws.normal(count, 1, 1, 1) * 0.006).clamp(min=0)


def _windowed(valid: Tensor, draws: Draws) -> Tensor:
    """Some chips lose a strip of up to half, as at the edge of a scene or of a window."""
    count, _, _, columns = valid.shape
    cut = (draws.uniform(count, 1, 1, 1) * 0.5 * columns).floor() * (draws.uniform(count, 1, 1, 1) < 0.08)
    return valid * (torch.arange(columns, device=valid.device)[None, None, None, :] >= cut).float()


def augmented(batch: Batch, sensor: str, draws: Draws, only: tuple[str, ...] | None = None) -> tuple[Reduced, Batch]:
    """One random rendering of each chip.

    Args:
        batch: as simulated.
        sensor: ``"s2"`` or ``"s1"``.
        draws: source of every draw.
        only: S2 bands that there are at all; `None` is the mixture of products.

    Returns:
        What the network reads, and the batch with what is still known of it.
    """
    batch = _turned(pasted(batch, draws), draws)
    masks = band_masks(len(batch.means), sensor, draws, only)[:, :, None, None]
    means, spread = _coarser(_recalibrated(batch.means, sensor, draws), batch.spread, batch.valid, draws)
    valid = _windowed(batch.valid, draws) * masks
    there = (valid > 0).float()
    return Reduced(means * there, spread * there[:, list(FINE[sensor])], valid), batch
