"""A standing query's score of a chip, as the matcher computes it.

Flows in: the query's vectors, a chip's vector, the baseline of its cell. Flows out: presence and score. Stops before
thresholds.

    presence = max over k of E . q_k          appearance = max over k of (E - baseline) . q_k
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.messages import Mode

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
WIDTH = 384


@dataclass(frozen=True, slots=True)
class Scorer:
    """One query, for one release and sensor.

    Attributes:
        vectors: float32 (k, 384), unit rows.
        mode: Which score counts.
    """

    vectors: Floats
    mode: Mode

    @classmethod
    def stored(cls, vector: bytes, mode: Mode) -> Scorer:
        """From a row of thresholds."""
        return cls(np.frombuffer(vector, "<f4").reshape(-1, WIDTH), mode)

    def presence(self, embeddings: Floats) -> Doubles:
        """Cosines with the query, float64 (n,), of embeddings (n, 384)."""
        return np.asarray((embeddings.astype(np.float64) @ self.vectors.T.astype(np.float64)).max(axis=1))

    def score(self, embeddings: Floats, baseline: Floats | None) -> Doubles:
        """The mode's score, float64 (n,).

        Args:
            embeddings: float32 (n, 384), unit rows, of one cell.
            baseline: float32 (384,), mean of its earlier embeddings, or none where there are none.
        """
        if self.mode is Mode.PRESENCE or baseline is None:
            return self.presence(embeddings)
        return self.presence(embeddings - baseline)
