"""Augmentation: what is masked is gone, and the same seed gives the same chips."""

import pytest
import torch

from encoders.nano_planes import FINE
from training.augment import augmented, band_masks
from training.nano_model import NanoImage, Reduced


def rendering(sensor: str, seed: int) -> Reduced:
    bands = 13 if sensor == "s2" else 2
    still = torch.Generator().manual_seed(1)
    means = torch.rand(16, bands, 20, 20, generator=still) + 0.1
    spread = torch.rand(16, len(FINE[sensor]), 20, 20, generator=still)
    return augmented(means, spread, torch.ones(16, 1, 20, 20), sensor, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_masked_planes_hold_nothing(sensor: str) -> None:
    chips = rendering(sensor, 3)
    gone = chips.valid == 0
    assert gone.any()
    assert chips.means[gone].abs().max() == 0
    assert chips.spread[gone[:, list(FINE[sensor])]].abs().max() == 0


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_same_seed_same_chips(sensor: str) -> None:
    torch.testing.assert_close(rendering(sensor, 5).means, rendering(sensor, 5).means)
    assert not torch.equal(rendering(sensor, 5).means, rendering(sensor, 6).means)


def test_every_chip_keeps_a_band_and_products_band_sets_occur() -> None:
    masks = band_masks(4000, "s2", torch.Generator().manual_seed(0))
    assert masks.sum(dim=1).min() >= 1
    five = masks[:, [1, 2, 3, 7, 12]].sum(dim=1) == masks.sum(dim=1)
    assert (five & (masks.sum(dim=1) == 5)).float().mean() > 0.15


def test_the_network_cannot_see_what_is_masked() -> None:
    network = NanoImage("s2").eval()
    chips = rendering("s2", 7)
    with torch.no_grad():
        wanted = network(chips)
        changed = Reduced(chips.means * (chips.valid > 0), chips.spread, chips.valid)
        torch.testing.assert_close(network(changed), wanted)
    assert torch.allclose(wanted.norm(dim=1), torch.ones(16))
