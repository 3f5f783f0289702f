"""Augmentation: what is masked is gone, and the same seed gives the same chips."""

import numpy as np
import pytest
import torch

from encoders.bands import BANDS_S2
from encoders.nano_planes import FINE
from training.augment import RGB, Batch, Draws, augmented, band_masks, pasted
from training.nano_model import NanoImage, Reduced


def draws(seed: int) -> Draws:
    return Draws(np.random.default_rng(seed), torch.Generator().manual_seed(seed))


def batch_of(sensor: str) -> Batch:
    bands = 13 if sensor == "s2" else 2
    still = torch.Generator().manual_seed(1)
    means = torch.rand(16, bands, 20, 20, generator=still) + 0.1
    spread = torch.rand(16, len(FINE[sensor]), 20, 20, generator=still)
    known = torch.rand(16, 12, generator=still)
    return Batch(means, spread, torch.ones(16, 1, 20, 20), known, torch.ones(16, 12), torch.zeros(16, 12))


def rendering(sensor: str, seed: int) -> Reduced:
    return augmented(batch_of(sensor), sensor, draws(seed))[0]


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
    masks = band_masks(4000, "s2", draws(0))
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


def test_a_camera_has_three_bands() -> None:
    masks = band_masks(5, "s2", draws(0), RGB)
    assert [name for name, kept in zip(BANDS_S2, masks[0], strict=True) if kept] == list(RGB)


def test_a_pasted_chip_is_labelled_by_what_remains_of_both() -> None:
    one = batch_of("s2")
    for seed in range(20):
        both = pasted(one, draws(seed))
        if both is not one:
            break
    else:
        pytest.fail("20 seeds never pasted")
    assert both.fractions.min() >= one.fractions.min() - 1e-6
    assert both.fractions.max() <= one.fractions.max() + 1e-6
    mine = (both.means == one.means).all(dim=1).float().mean(dim=(1, 2))
    assert ((mine > 0.02) & (mine < 0.98)).any()
    order = torch.argsort(mine)
    kept, lost = order[-1], order[0]
    assert (both.fractions[kept] - one.fractions[kept]).abs().max() < 0.6
    assert (both.fractions[lost] - one.fractions[lost]).abs().max() > (
        both.fractions[kept] - one.fractions[kept]
    ).abs().max()
