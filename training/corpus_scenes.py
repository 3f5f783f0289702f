"""The scenes of a catalogue that a corpus is cut from, and under whose terms.

In: a plan. Out: acquisitions, oldest first, each with licence and attribution. Stops before pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urljoin

from shapely.geometry.base import BaseGeometry

from ingest.catalogue import open_catalogue
from ingest.fetch import CatalogueIO
from ingest.item import Item, mapping, read_item
from ingest.pages import Window
from ingest.sources import source_of
from ingest.translate import Origin, translate
from schemas.errors import Rejected, UsageError
from schemas.geometry import to_geojson
from schemas.messages import Acquisition
from training.corpus_cover import ATTRIBUTION
from training.corpus_events import Events

UNSAID = frozenset({"", "proprietary", "various", "other"})
"""What STAC writes where a licence is none of SPDX's: without a link to it, nobody knows what it is."""


@dataclass(frozen=True)
class Plan:
    """What to build.

    Attributes:
        folder: Where to.
        catalogue: STAC API or catalog.json.
        collection: Of Sentinel-1 or Sentinel-2 scenes.
        area: Lon/lat.
        since, until: First moment of sensing, and the first one no more, aware.
        land_cover: As `open_land_cover` takes them.
        events: Perimeters, or none.
        sensor: Only this one; none: what the collection has.
        limit: Most chips.
        max_cloud_percent: Scenes and chips with more are left out.
        licence: Of the pixels, where the catalogue does not say it.
        allow_hosts: Where else hrefs may lead.
        described: All of it in plain words and numbers, so that a folder is only gone on with by the same plan.
    """

    folder: Path
    catalogue: str
    collection: str
    area: BaseGeometry
    since: datetime
    until: datetime
    land_cover: Sequence[str] = ()
    events: Events | None = None
    sensor: str | None = None
    limit: int | None = None
    max_cloud_percent: float = 40.0
    licence: str | None = None
    allow_hosts: Sequence[str] = ()
    described: dict[str, object] = field(default_factory=dict)


def find_scenes(plan: Plan, problems: list[str]) -> list[tuple[Acquisition, tuple[str, str]]]:
    """Scenes of the plan with licence and attribution, oldest first; of several versions of a scene the newest.

    Args:
        plan: What is built.
        problems: Items that cannot be used are added, in one line each.

    Raises:
        UsageError: no such collection, no scene, or a licence that nobody knows.
        CatalogueUnavailable: the catalogue does not answer.
    """
    source = source_of(plan.catalogue, plan.collection, to_geojson(plan.area), plan.allow_hosts)
    catalogue = open_catalogue(
        source.url, preset=source.preset, collections=source.collections, allowed_hosts=source.allowed_hosts
    )
    offered = catalogue.collections()
    if plan.collection not in offered:
        raise UsageError(f"{plan.catalogue} has no collection {plan.collection}: it offers {', '.join(offered[:40])}")
    io, terms = CatalogueIO(source.allowed_hosts), dict[str, tuple[str, str]]()
    found: dict[str, tuple[Acquisition, tuple[str, str]]] = {}
    origin, now = Origin("corpus", source.preset, source.allowed_hosts), datetime.now(UTC)
    for page in catalogue.pages(plan.collection, Window(sensed=(plan.since, plan.until), area=plan.area)):
        for index, feature in enumerate(page.features):
            try:
                item = read_item(feature, plan.collection, page.urls[index] if page.urls else "")
                reading = translate(item, origin, now, backfill=True)
            except Rejected as error:
                problems.append(str(error))
                continue
            acquisition = reading.acquisition
            if not _wanted(plan, acquisition, reading.footprint):
                continue
            if plan.licence is None and not terms:
                terms[plan.collection] = read_terms(item, io)
            known = found.get(acquisition.physical_key)
            if known is None or known[0].processed_at < acquisition.processed_at:
                found[acquisition.physical_key] = (acquisition, _terms(plan, terms))
    if not found:
        said = f"; {len(problems)} could not be used, the first: {problems[0]}" if problems else ""
        raise UsageError(
            f"collection {plan.collection} has no usable scene in the area from {plan.since:%Y-%m-%d} to "
            f"{plan.until:%Y-%m-%d}{said}"
        )
    return sorted(found.values(), key=lambda one: (one[0].sensing_at, one[0].item_id))


def _wanted(plan: Plan, acquisition: Acquisition, footprint: BaseGeometry) -> bool:
    cloudy = (acquisition.cloud_cover_percent or 0.0) > plan.max_cloud_percent
    in_time = plan.since <= acquisition.sensing_at < plan.until
    return in_time and not cloudy and plan.sensor in (None, acquisition.sensor) and footprint.intersects(plan.area)


def _terms(plan: Plan, read: dict[str, tuple[str, str]]) -> tuple[str, str]:
    """Licence and attribution.

    Raises:
        UsageError: nobody knows the licence.
    """
    licence, attribution = read.get(plan.collection, ("", ""))
    licence = plan.licence or licence
    if not licence:
        raise UsageError(
            f"collection {plan.collection} does not say under which licence its pixels are: "
            "read its terms, then give --licence TEXT"
        )
    named = [attribution, ATTRIBUTION if plan.land_cover else "", plan.events.attribution if plan.events else ""]
    return licence, "; ".join(text for text in named if text)


def read_terms(item: Item, io: CatalogueIO) -> tuple[str, str]:
    """Licence and attribution that an item's collection, or the item itself, gives.

    Args:
        item: Any of the collection.
        io: The way to the network.

    Returns:
        Licence (an SPDX name, or the word with the address of its text; empty when unknown), and providers' names.

    Raises:
        CatalogueUnavailable: the collection does not answer.
    """
    links = item.json.get("links")
    links = [mapping(link) for link in links] if isinstance(links, list) else []
    href = next((link.get("href") for link in links if link.get("rel") == "collection"), None)
    document = io.json_loads(io.request(urljoin(item.url, href))) if isinstance(href, str) else {}
    licence = document.get("license") or item.properties.get("license")
    providers = document.get("providers")
    names = [str(mapping(one).get("name")) for one in providers] if isinstance(providers, list) else []
    text = licence if isinstance(licence, str) else ""
    if text.lower() in UNSAID:
        own = document.get("links")
        found = [mapping(link) for link in own] if isinstance(own, list) else []
        url = next((link.get("href") for link in found if link.get("rel") == "license"), None)
        text = f"{text or 'licence'} ({url})" if isinstance(url, str) else ""
    return text, ", ".join(name for name in names if name)
