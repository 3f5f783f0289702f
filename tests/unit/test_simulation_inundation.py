"""Water lies below its level and where it finds a way."""

import numpy as np

from simulation.inundation import connected, fill


def test_only_what_hangs_together_with_a_source_is_reached() -> None:
    wet = np.zeros((9, 9), bool)
    wet[1, 1:8] = wet[1:5, 7] = True
    wet[7, 1:4] = True  # a hollow with no way in
    sources = np.zeros_like(wet)
    sources[1, 1] = True
    assert connected(wet, sources)[4, 7]
    assert not connected(wet, sources)[7].any()


def test_a_dyke_keeps_the_polder_dry() -> None:
    height = np.repeat(np.linspace(0, 1, 120, dtype=np.float32)[None], 120, axis=0)
    height[:, 60:] = 0.3
    height[:, 50:60] = 2.0
    depth = fill(height, 0.5, 10.0)
    assert depth[:, :20].min() > 0.5
    assert depth[:, 70:].max() == 0


def test_more_water_covers_more() -> None:
    height = np.repeat(np.linspace(0, 1, 120, dtype=np.float32)[None], 120, axis=0)
    shares = [float((fill(height, share, 10.0) > 0.3).mean()) for share in (0.2, 0.5, 0.9)]
    assert shares == sorted(shares) and shares[0] < 0.25 and shares[2] > 0.8
