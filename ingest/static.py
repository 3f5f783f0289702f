"""Reading a static catalogue: JSON files that link to each other, no API.

Flows in: a catalog.json. Flows out: its items, those that are new or changed since we last looked. Stops before
their meaning. Unchanged files are not sent again: If-None-Match and If-Modified-Since go with every request for
something known, and what is known to be old is not asked for at all where the server gives neither.
"""

from __future__ import annotations

import email.utils
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urljoin

import structlog

from ingest.fetch import Answer, CatalogueIO, CatalogueRefused
from ingest.item import Json, mapping, moment
from ingest.pages import Page, Window
from schemas.errors import CatalogueUnavailable

MAX_DEPTH = 12
"""Catalogs within catalogs; deeper is a circle or a mistake."""
MAX_DOCUMENTS = 200_000
"""Links of one walk; more is no catalogue to walk."""
PAGE_ITEMS = 50
CLEAR_OF_CLOCK = timedelta(seconds=2)
"""A Last-Modified so close to Date may hide a second change in the same second (RFC 9110, section 8.8.2.2)."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Known:
    """What is remembered of a file.

    Attributes:
        validators: Headers for the next conditional request.
        links: Of a catalog: (rel, href) of children and items.
        collection: Id, when it is a collection.
        published: Of an item: when it says that it was published.
    """

    validators: dict[str, str]
    links: tuple[tuple[str, str], ...] = ()
    collection: str | None = None
    published: datetime | None = None


class StaticCatalogue:
    """A catalogue that is only files.

    It remembers what it gave; whoever could not use that opens a new one.
    """

    def __init__(self, url: str, io: CatalogueIO) -> None:
        """Remember where it is; nothing is read yet.

        Args:
            url: Of the root catalog or collection.
            io: The way to the network.
        """
        self._url, self._io = url, io
        self._known: dict[str, _Known] = {}
        log.info("static catalogue: its links are walked at every poll", url=url)

    def collections(self) -> Sequence[str]:
        """Ids of its collections.

        Raises:
            CatalogueUnavailable: a file of it cannot be read.
        """
        found = {known.collection for _, known in self._catalogs() if known.collection}
        return sorted(found)

    def notes(self, collection: str) -> tuple[str, ...]:
        """Nothing: links are all that a static catalogue has, and they are walked."""
        return ()

    def pages(self, collection: str, window: Window) -> Iterator[Page]:
        """New and changed items of a collection; all of them for a back-fill.

        Raises:
            CatalogueUnavailable: a file of it cannot be read.
        """
        batch: list[tuple[object, str]] = []
        for href in self._item_hrefs(collection):
            item = self._item(href, window)
            if item is not None:
                batch.append((item, href))
            if len(batch) >= PAGE_ITEMS:
                yield _page(batch)
                batch = []
        if batch:
            yield _page(batch)

    def _item_hrefs(self, collection: str) -> Iterator[str]:
        """Items linked from the collection, or from a plain catalog within or above it."""
        for within, known in self._catalogs():
            if (known.collection or within) in (collection, ""):
                yield from (href for rel, href in known.links if rel == "item")

    def _catalogs(self) -> Iterator[tuple[str, _Known]]:
        """Every catalog and collection, each once, with the id of the collection that it is in."""
        todo, seen = [(self._url, "", 0)], {self._url}
        while todo:
            href, within, depth = todo.pop()
            known = self._catalog(href)
            yield within, known
            for rel, child in known.links:
                if rel == "child" and child not in seen:
                    if depth >= MAX_DEPTH or len(seen) >= MAX_DOCUMENTS:
                        raise CatalogueUnavailable(f"{self._url}: its catalogs go on without end at {child}")
                    seen.add(child)
                    todo.append((child, known.collection or within, depth + 1))

    def _catalog(self, href: str) -> _Known:
        before = self._known.get(href)
        answer = self._io.fetch(href, headers=before.validators if before else {})
        if answer.status == 304 and before:
            return before
        body = _decode(answer, href)
        kind = body.get("type")
        if kind not in ("Catalog", "Collection"):
            raise CatalogueUnavailable(f"{href} is no STAC catalog or collection (its type is {kind!r})")
        identity = body.get("id")
        known = _Known(
            validators=_validators(answer),
            links=tuple(_links(body, answer.url)),
            collection=identity if kind == "Collection" and isinstance(identity, str) else None,
        )
        self._known[href] = known
        return known

    def _item(self, href: str, window: Window) -> object | None:
        """An item, or none when it has not changed."""
        before = None if window.sensed else self._known.get(href)
        if before and not before.validators and _is_old(before.published, window.published_after):
            return None
        try:
            answer = self._io.fetch(href, headers=before.validators if before else {})
        except CatalogueRefused as error:
            log.warning("item of a static catalogue cannot be read", href=href, reason=str(error))
            return None
        if answer.status == 304:
            return None
        body = _decode(answer, href)
        properties = mapping(body.get("properties"))
        times = (moment(properties.get(name)) for name in ("updated", "published", "created", "datetime"))
        self._known[href] = _Known(_validators(answer), published=next((t for t in times if t is not None), None))
        return body


def _page(batch: Sequence[tuple[object, str]]) -> Page:
    return Page(tuple(item for item, _ in batch), urls=tuple(href for _, href in batch))


def _is_old(published: datetime | None, after: datetime | None) -> bool:
    return published is not None and after is not None and published < after


def _decode(answer: Answer, href: str) -> Json:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise CatalogueUnavailable(f"{href} is no JSON: is it being written?") from error
    if not isinstance(body, Mapping):
        raise CatalogueUnavailable(f"{href} is JSON, but no object")
    return body


def _links(body: Json, url: str) -> Iterator[tuple[str, str]]:
    links = body.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") in ("child", "item") and isinstance(link.get("href"), str):
            yield str(link["rel"]), urljoin(url, link["href"])


def _validators(answer: Answer) -> dict[str, str]:
    """Headers that make the next request conditional."""
    if etag := answer.headers.get("etag"):
        return {"If-None-Match": etag}
    modified, date = (_http_date(answer.headers.get(name)) for name in ("last-modified", "date"))
    if modified and date and date - modified >= CLEAR_OF_CLOCK:
        return {"If-Modified-Since": answer.headers["last-modified"]}
    return {}


def _http_date(text: str | None) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text) if text else None
    except (ValueError, TypeError):
        return None
