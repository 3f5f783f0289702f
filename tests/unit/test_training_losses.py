"""The loss: graded, and blind to how often a caption occurs."""

import torch

from training.losses import HIDDEN_WEIGHT, closp_loss, label_weights, presence, sigmoid_loss, soft_target_loss
from training.phrases import LABELS


def loss(cosines: torch.Tensor, wanted: torch.Tensor) -> float:
    scale, bias = torch.tensor(3.0), torch.tensor(-5.0)
    return float(sigmoid_loss(cosines, wanted, torch.ones_like(wanted), scale, bias))


def test_presence_grows_with_the_share_and_ends_at_one() -> None:
    shares = torch.linspace(0, 1, 21)[:, None].expand(-1, 12)
    graded = presence(shares)
    assert (graded.diff(dim=0) >= 0).all()
    assert graded[0].max() == 0
    assert graded[-1].min() == 1


def test_identical_captions_are_not_negatives() -> None:
    wanted = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    assert loss(torch.full((2, 2), 0.9), wanted) < loss(torch.tensor([[0.9, 0.1], [0.1, 0.9]]), wanted)


def test_the_target_itself_costs_nothing() -> None:
    wanted = torch.tensor([[0.3, 0.8]])
    cosines = (torch.logit(wanted) + 5) / torch.tensor(3.0).exp()
    assert abs(loss(cosines, wanted)) < 1e-6
    assert loss(cosines + 0.1, wanted) > 1e-4


def test_a_lake_says_little_about_floods() -> None:
    water, flooded = LABELS.index("Water"), LABELS.index("Flooded Area")
    shares = torch.zeros(2, 12)
    shares[:, water] = 0.5
    shares[1, flooded] = 0.5
    weights = label_weights(shares, torch.zeros(2, 12))
    assert weights[0, flooded] < 1
    assert weights[1, flooded] == 1


def test_what_is_neither_there_nor_absent_counts_little() -> None:
    unsure = torch.zeros(1, 12)
    unsure[0, 3] = 1
    weights = label_weights(torch.zeros(1, 12), unsure)
    assert abs(float(weights[0, 3]) - HIDDEN_WEIGHT) < 1e-6
    assert weights[0, 4] == 1


def test_soft_targets_share_the_right_answer() -> None:
    wanted, ones = torch.tensor([[1.0, 1.0, 0.0]]), torch.ones(1, 3)
    scale = torch.tensor(3.0)
    even = soft_target_loss(torch.tensor([[0.9, 0.9, 0.0]]), wanted, ones, scale)
    uneven = soft_target_loss(torch.tensor([[0.9, 0.2, 0.0]]), wanted, ones, scale)
    wrong = soft_target_loss(torch.tensor([[0.0, 0.0, 0.9]]), wanted, ones, scale)
    assert even < uneven < wrong


def test_closps_own_loss_punishes_equal_captions() -> None:
    equal = closp_loss(torch.full((4, 4), 0.9))
    apart = closp_loss(torch.eye(4) * 0.9)
    assert apart < equal
