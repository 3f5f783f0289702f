"""In: longitude and latitude. Out: 256 numbers that say where on Earth, smooth in space.

Stops at the architecture: GeoCLOSP's location encoder, spherical harmonics into a sine network.

Source: SatCLIP, Klemmer et al. 2023, arXiv 2311.17179; SIREN, Sitzmann et al. 2020, arXiv 2006.09661.
"""

import math

import torch
from torch import Tensor, nn

DEGREES = 10
"""Harmonics of degree 0 to 9: 100 of them. Fixed by the checkpoint's first layer."""

HIDDEN = 512
"""Width of the sine layers."""

OUTPUTS = 256
"""Width of the location vector before its projection."""

FIRST_FREQUENCY = 30.0
"""Factor inside the first sine, which sets how fine the encoder can resolve place."""


def spherical_harmonics(lon_lat: Tensor) -> Tensor:
    """Real spherical harmonics in the convention that the checkpoint was trained with.

    Two quirks against the orthonormal harmonics: the terms of order 0 are larger by pi, and there is no
    Condon-Shortley sign. Computed in float64, because recurrences of degree 9 cost five digits.

    Args:
        lon_lat: (n, 2), degrees east and north, WGS84.

    Returns:
        float64, (n, 100), ordered by degree, then order from -degree to degree.
    """
    longitude, latitude = torch.deg2rad(lon_lat.to(torch.float64)).unbind(dim=1)
    azimuth, polar = longitude + math.pi, latitude + math.pi / 2
    legendre = _associated_legendre(torch.cos(polar), torch.sin(polar))
    columns = [
        _harmonic(degree, order, azimuth, legendre[degree, abs(order)])
        for degree in range(DEGREES)
        for order in range(-degree, degree + 1)
    ]
    return torch.stack(columns, dim=1)


def _harmonic(degree: int, order: int, azimuth: Tensor, legendre: Tensor) -> Tensor:
    size = abs(order)
    scale = math.sqrt((2 * degree + 1) / (4 * math.pi) * math.factorial(degree - size) / math.factorial(degree + size))
    if order == 0:
        return math.pi * scale * legendre
    wave = torch.cos(size * azimuth) if order > 0 else torch.sin(size * azimuth)
    return math.sqrt(2.0) * scale * wave * legendre


def _associated_legendre(cosine: Tensor, sine: Tensor) -> dict[tuple[int, int], Tensor]:
    """Polynomials P(degree, order) for every degree below `DEGREES`, without the Condon-Shortley sign."""
    table: dict[tuple[int, int], Tensor] = {}
    diagonal = torch.ones_like(cosine)
    for order in range(DEGREES):
        table[order, order] = diagonal
        below, current = torch.zeros_like(cosine), diagonal
        for degree in range(order + 1, DEGREES):
            grown = ((2 * degree - 1) * cosine * current - (degree + order - 1) * below) / (degree - order)
            below, current = current, grown
            table[degree, order] = current
        diagonal = diagonal * (2 * order + 1) * sine
    return table


class SineNetwork(nn.Module):
    """Linear layers with sines between them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(DEGREES**2, HIDDEN), nn.Linear(HIDDEN, HIDDEN)])
        self.last_layer = nn.Linear(HIDDEN, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 100) to (n, 256)."""
        x = torch.sin(FIRST_FREQUENCY * self.layers[0](x))
        outputs: Tensor = self.last_layer(torch.sin(self.layers[1](x)))
        return outputs


class LocationEncoder(nn.Module):
    """Harmonics, then the sine network."""

    def __init__(self) -> None:
        super().__init__()
        self.nnet = SineNetwork()

    def forward(self, lon_lat: Tensor) -> Tensor:
        """(n, 2) degrees, WGS84, to (n, 256)."""
        outputs: Tensor = self.nnet(spherical_harmonics(lon_lat).to(self.nnet.last_layer.weight.dtype))
        return outputs
