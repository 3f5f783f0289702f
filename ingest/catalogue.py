"""Opening a catalogue: what answers at its URL decides how it is read.

Flows in: a URL, its preset and the hosts that may be asked. Flows out: a `Catalogue`. Stops before reading items.
`api` reads STAC APIs, `static` walks catalogues that are only files.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import pystac
from pystac_client import Client
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.warnings import PystacClientWarning

from ingest.api import ApiCatalogue
from ingest.fetch import CatalogueIO, CatalogueRefused, Patience
from ingest.pages import Catalogue
from ingest.presets import page_limit, time_fields
from ingest.static import StaticCatalogue
from schemas.errors import CatalogueUnavailable


def open_catalogue(
    url: str,
    *,
    preset: str | None,
    collections: Sequence[str],
    allowed_hosts: tuple[str, ...],
    patience: Patience | None = None,
) -> Catalogue:
    """Ask what stands at a URL.

    Args:
        url: Landing page of a STAC API, or a catalog.json.
        preset: What is known of it, or none.
        collections: What will be read.
        allowed_hosts: Where requests may go.
        patience: How long to go on when it is busy.

    Raises:
        CatalogueUnavailable: no answer, or nothing of STAC there.
    """
    io = CatalogueIO(allowed_hosts, patience)
    try:
        landing = io.json_loads(io.request(url))
    except CatalogueRefused as error:
        raise CatalogueUnavailable(f"no catalogue at {url}: {error}") from error
    if landing.get("type") not in ("Catalog", "Collection") and "links" not in landing:
        raise CatalogueUnavailable(
            f"{url} answers, but is no STAC catalogue: give the API's landing page or catalog.json"
        )
    links = landing.get("links")
    rels = {link.get("rel") for link in links if isinstance(link, dict)} if isinstance(links, list) else set()
    if "search" not in rels:
        return StaticCatalogue(url, io)
    fields = {name: time_fields(preset, name) for name in collections}
    return ApiCatalogue(_client(url, io), io, fields, page_limit(preset))


def _client(url: str, io: CatalogueIO) -> Client:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PystacClientWarning)
            return Client.open(url, stac_io=io)
    except (APIError, ClientTypeError, pystac.STACError, KeyError, TypeError, ValueError) as error:
        raise CatalogueUnavailable(f"{url}: its landing page is unusable: {error}") from error
