"""Real acquisitions through the whole embedded stack: which fires and which flood are alerted. `--json` for lines.

Flows in: the address of a running STAC server of the feed of real scenes. Flows out: counts. Stops before opinions:
`appearance` can only speak of fires whose place an earlier image shows, `presence` of a flood speaks of lakes as well.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from alerts import queries
from alerts.incidents.listing import list_alerts
from archive import ArchiveFilter, open_archive
from benchmarks.report import emit
from commands.output import properties_of
from commands.services import drain, running
from encoders import load_for
from ingest.sources import add_source
from schemas.database import connect, migrate
from schemas.logs import configure
from schemas.settings import Stack

COLLECTIONS = ["sentinel-2-c1-l2a", "sentinel-1-rtc", "sentinel-2-l1c"]
BURN, FLOOD = "wildfire burn scar", "flooded area"
_FIRE = re.compile(r"S2_COMPOSITE_(?P<place>[^_]+)_\d+_(?P<when>PRE|POST)_L2A")
_SPAIN = re.compile(r"S[12]_S1F11_SPAIN")


@dataclass(frozen=True)
class Counts:
    """What was alerted.

    Attributes:
        fires: Post-fire images that raised a burn alert.
        fires_with_a_past: Post-fire images whose place an earlier image shows: those that can.
        pre_fire: Pre-fire images that raised one.
        other_burns: Burn alerts on anything else.
        floods: Alerts on the flooded scene.
        other_floods: Flood alerts on other water.
    """

    fires: int
    fires_with_a_past: int
    pre_fire: int
    other_burns: int
    floods: int
    other_floods: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--url", required=True, help="STAC API of the feed")
    options = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    with tempfile.TemporaryDirectory(prefix="tocsin-feed-", ignore_cleanup_errors=True) as folder:
        counts = watch_feed(options.url, Path(folder))
    emit("feed_fires_alerted", counts.fires, "images", peer="images of fires whose place was seen before",
         ratio=counts.fires / max(counts.fires_with_a_past, 1))  # fmt: skip
    emit("feed_pre_fire_images_alerted", counts.pre_fire, "images")
    emit("feed_other_burn_alerts", counts.other_burns, "alerts")
    emit("feed_flood_alerts", counts.floods, "alerts")
    emit("feed_other_flood_alerts", counts.other_floods, "alerts")


def watch_feed(url: str, data: Path) -> Counts:
    """Poll, encode, match and alert everything that a server of the feed has, in a new data folder."""
    stack = Stack(data=data, kafka="", qdrant_url="", database_url="")
    migrate(stack.database)
    engine = connect(stack.database)
    add_source(engine, "feed", url, collections=COLLECTIONS, since=datetime(2015, 1, 1, tzinfo=UTC))
    queries.add(engine, BURN)
    queries.add(engine, FLOOD, mode="presence")
    started = datetime.now(UTC)
    with running(stack) as supervisor:
        drain(supervisor, engine, started, timeout_s=800)
    with open_archive(stack) as archive:
        release = load_for(stack).release
        seen, _ = archive.history(release=release, filter=ArchiveFilter(sensors=("s2",)), max_points=100_000)
    burns, floods = (_alerted(engine, sentence) for sentence in (BURN, FLOOD))
    engine.dispose()
    return _count({one.item_id for one in seen}, burns, floods)


def _alerted(engine: Engine, sentence: str) -> list[list[str]]:
    """Item ids of each alert of a sentence."""
    return [list(one["item_ids"]) for one in properties_of(list_alerts(engine)) if one["query"] == sentence]


def _count(seen: set[str], burns: Sequence[Sequence[str]], floods: Sequence[Sequence[str]]) -> Counts:
    fires = {item: match for item in seen if (match := _FIRE.fullmatch(item))}
    past = {match["place"] for match in fires.values() if match["when"] == "PRE"}
    told = {item for items in burns for item in items if item in fires}
    spain = sum(any(_SPAIN.match(item) for item in items) for items in floods)
    return Counts(
        fires=sum(fires[item]["when"] == "POST" for item in told),
        fires_with_a_past=sum(m["when"] == "POST" and m["place"] in past for m in fires.values()),
        pre_fire=sum(fires[item]["when"] == "PRE" for item in told),
        other_burns=sum(not any(item in fires for item in items) for items in burns),
        floods=spain,
        other_floods=len(floods) - spain,
    )


if __name__ == "__main__":
    main()
