"""In: longitude and latitude. Out: a vector beside the image's, as GeoCLOSP has it.

Stops at the experiment: the release has no location encoder, the model card says why.
"""

from torch import Tensor, nn
from torch.nn import functional

from encoders.location import spherical_harmonics

HARMONICS = 100
"""Spherical harmonics of degree 0 to 9."""


class Located(nn.Module):
    """Spherical harmonics into a small network.

    Source: SatCLIP, Klemmer et al. 2023, arXiv 2311.17179, as GeoCLOSP uses it; ReLU layers instead of sine layers.
    """

    def __init__(self, width: int = 384) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(HARMONICS, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, width)
        )

    def forward(self, harmonics: Tensor) -> Tensor:
        """(n, 100) to unit vectors (n, 384)."""
        return functional.normalize(self.layers(harmonics), dim=-1)


def harmonics_of(lon_lat: Tensor) -> Tensor:
    """float32, (n, 100), of degrees east and north, (n, 2); computed once for a whole pool."""
    return spherical_harmonics(lon_lat).float()
