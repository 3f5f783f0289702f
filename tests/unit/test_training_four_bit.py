"""Four-bit rounding: codes, scales and what calibration buys."""

import torch

from training.four_bit import BLOCK, gptq, packed_rows


def matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def test_values_are_near_and_exact_where_four_bits_suffice() -> None:
    grid = torch.arange(-8, 8).repeat(8, BLOCK // 16).float() * 0.25
    torch.testing.assert_close(packed_rows(grid).values(), grid)
    noise = matrix(16, 4 * BLOCK)
    error = (packed_rows(noise).values() - noise).pow(2).mean() / noise.pow(2).mean()
    assert error < 0.015


def test_two_codes_share_a_byte() -> None:
    packed = packed_rows(matrix(3, BLOCK))
    both = packed.bytes()
    assert both.shape == (3, BLOCK // 2)
    torch.testing.assert_close(both & 15, packed.codes[:, 0::2])
    torch.testing.assert_close(both >> 4, packed.codes[:, 1::2])


def test_a_row_of_zeros_stays_zero() -> None:
    assert packed_rows(torch.zeros(2, BLOCK)).values().abs().max() == 0


def test_calibrated_rounding_errs_less_on_what_it_will_see() -> None:
    weights, mixing = matrix(32, 2 * BLOCK), matrix(2 * BLOCK, 2 * BLOCK, 1) * 0.3 + torch.eye(2 * BLOCK)
    inputs = matrix(2000, 2 * BLOCK, 2) @ mixing
    plain, calibrated = packed_rows(weights).values(), gptq(weights, inputs.T @ inputs / 2000).values()
    error = [float((inputs @ (values - weights).T).pow(2).mean()) for values in (plain, calibrated)]
    assert error[1] < 0.8 * error[0]
