"""In: pixels of chips, sentences. Out: the port that every encoder fulfils, and the checks at its door.

Stops before any model: what CLOSP and Tocsin-nano do with valid input is in their own modules.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

DIMENSION = 384
"""Length of every embedding: the width of MiniLM-L6, the anchor of the shared text space."""

Pixels = NDArray[np.float32]
"""float32, (n, bands, h, w). "s2": reflectance 0-1 without the +1000 offset; "s1": linear power. NaN is no data.

For an encoder with a device they may be a torch tensor on it, of which `encoders.arrays` knows what is shared."""

Vectors = NDArray[np.float32]
"""float32, (n, 384), each row of unit L2 norm."""


@runtime_checkable
class Encoder(Protocol):
    """Turns chips and sentences into unit vectors of one space."""

    @property
    def release(self) -> str:
        """Model and content hash, for example ``"nano-1.3f2a9c"``: vectors of two releases are never compared."""
        ...

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensor keys it accepts, of ``"s2"`` and ``"s1"``."""
        ...

    @property
    def device(self) -> str | None:
        """Where it wants pixels, as torch calls it; ``None``: in numpy's memory."""
        ...

    def images(self, pixels: Pixels, sensor: str, present_bands: Sequence[str] | None = None) -> Vectors:
        """Embed chips.

        Args:
            pixels: see `Pixels`; bands in the order of `encoders.bands.BANDS`.
            sensor: ``"s2"`` or ``"s1"``.
            present_bands: names of the planes that hold measurements, for example ``("B02", "VV")``; what the
                other planes contain is ignored. ``None``: all.

        Returns:
            float32, (n, 384), unit rows; (0, 384) for an empty batch.

        Raises:
            schemas.errors.Rejected: the pixels cannot be embedded (shape, dtype, sensor, band, a chip without
                one valid value).
        """
        ...

    def texts(self, sentences: list[str]) -> Vectors:
        """Embed sentences.

        Args:
            sentences: English, other languages as far as the release knows them; text past 64 word pieces is not
                read.

        Returns:
            float32, (n, 384), unit rows; (0, 384) for an empty list.

        Raises:
            schemas.errors.Rejected: a sentence is empty or blank.
        """
        ...
