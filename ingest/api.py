"""Reading a STAC API with pystac-client.

Flows in: a collection and a window. Flows out: pages of items, oldest news first where the server can sort. Stops
before the items' meaning. One collection at a time: servers that search several have been seen to lose items.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import urljoin

import structlog
from pystac_client import Client
from pystac_client.warnings import PystacClientWarning

from ingest.fetch import CatalogueIO, CatalogueRefused
from ingest.item import finite, mapping
from ingest.pages import Box, Page, Window, features_of
from ingest.presets import generic
from ingest.probe import Ability, Question, filter_parameters, probe, sort_parameters, times_of
from schemas.errors import CatalogueUnavailable
from schemas.messages import utc

MIN_LIMIT = 10
"""Smaller pages than this are not tried when a server stumbles over large ones."""

log = structlog.get_logger(__name__)


class ApiCatalogue:
    """One STAC API."""

    def __init__(self, client: Client, io: CatalogueIO, fields: Mapping[str, tuple[str, ...]], limit: int) -> None:
        """Wrap an open client.

        Args:
            client: As `pystac_client.Client.open` gave it, on `io`.
            io: The way to the network.
            fields: Properties to poll on, by collection, best first.
            limit: Items of one page.
        """
        for name in ("CORE", "COLLECTIONS", "ITEM_SEARCH", "SORT", "FILTER", "QUERY"):
            client.add_conforms_to(name)  # `probe` finds out; what a server announces is not believed either way
        self._client, self._io, self._fields, self._limit = client, io, fields, limit
        methods = {link.extra_fields.get("method") or "GET" for link in client.links if link.rel == "search"}
        self._method = "POST" if "POST" in methods else "GET"
        self._abilities: dict[str, Ability] = {}

    def collections(self) -> Sequence[str]:
        """Ids of what it offers.

        Raises:
            CatalogueUnavailable: it does not answer.
        """
        root = self._client.self_href.rstrip("/") + "/"
        data = next((link.href for link in self._client.links if link.rel == "data"), "collections")
        pages = self._io.get_pages(urljoin(root, data))
        found = [mapping(entry).get("id") for page in pages for entry in _list(page.get("collections"))]
        return sorted(str(name) for name in found if name)

    def notes(self, collection: str) -> tuple[str, ...]:
        """What this catalogue cannot do, and what is done instead; known after the first page."""
        ability = self._abilities.get(collection)
        return ability.notes() if ability else ()

    def pages(self, collection: str, window: Window) -> Iterator[Page]:
        """Items of a collection, to the last page.

        Raises:
            CatalogueUnavailable: it does not answer, or stops before the end.
        """
        boxes = window.boxes()
        if window.sensed:
            for box in boxes:
                yield from self._sensed(collection, box, window.sensed)
            return
        ability = next((found for box in boxes if (found := self._ability(collection, box))), None)
        if ability is None:
            log.info("collection is empty so far", collection=collection)
            return
        dated = ability.field in generic().time_fields
        after = window.published_after if dated else window.thorough_after
        for box in boxes:
            for page in self._published(collection, box, after, ability):
                yield page if len(boxes) == 1 else Page(page.features)

    def _ability(self, collection: str, box: Box | None) -> Ability | None:
        if collection not in self._abilities:

            def ask(limit: int, parameters: Question) -> Sequence[object]:
                page = next(self._raw_pages(collection, box, limit, parameters), {})
                return features_of(page)

            ability = probe(ask, self._fields[collection])
            if ability is None:
                return None
            self._abilities[collection] = ability
            log.info(
                "catalogue probed", collection=collection, field=ability.field, filter=ability.filter, sort=ability.sort
            )
            for note in ability.notes():
                log.warning("catalogue is limited", collection=collection, note=note)
        return self._abilities[collection]

    def _sensed(self, collection: str, box: Box | None, sensed: tuple[datetime, datetime]) -> Iterator[Page]:
        span: Question = {"datetime": f"{utc(sensed[0])}/{utc(sensed[1])}"}
        yield from self._complete(collection, box, span)

    def _published(self, collection: str, box: Box | None, after: datetime | None, ability: Ability) -> Iterator[Page]:
        if ability.filter and ability.sort:
            yield from self._ascending(collection, box, after, ability)
        elif ability.field == "datetime":
            span: Question = {"datetime": f"{utc(after)}/.."} if after else {}
            yield from self._complete(collection, box, span)
        elif ability.filter:
            yield from self._complete(collection, box, _since(ability, after))
        elif ability.sort:
            yield from self._descending(collection, box, after, ability)
        else:
            yield from self._complete(collection, box, {})

    def _ascending(self, collection: str, box: Box | None, after: datetime | None, ability: Ability) -> Iterator[Page]:
        """Oldest news first; a server that stops at a cap is asked again from where it stopped."""
        lower = after
        while True:
            order = sort_parameters(ability.name, "asc")
            tally = _Tally(self._limit)
            for raw in self._patient_pages(collection, box, {**_since(ability, lower), **order}):
                features = features_of(raw)
                times = times_of(features, ability.field)
                tally.add(raw, len(features), max(times, default=None))
                yield Page(features, through=max(times, default=None))
            if not tally.cut_short():
                return
            if tally.newest is None or (lower is not None and tally.newest <= lower):
                raise CatalogueUnavailable(tally.complaint(collection))
            log.info("catalogue stopped at a cap, going on from there", collection=collection, read=tally.read)
            lower = tally.newest

    def _descending(self, collection: str, box: Box | None, after: datetime | None, ability: Ability) -> Iterator[Page]:
        """Newest first, until what is older than the window."""
        tally = _Tally(self._limit)
        for raw in self._patient_pages(collection, box, sort_parameters(ability.name, "desc")):
            features = features_of(raw)
            tally.add(raw, len(features), None)
            yield Page(features)
            times = times_of(features, ability.field)
            if after and times and min(times) < after:
                return
        if tally.cut_short():
            raise CatalogueUnavailable(tally.complaint(collection))

    def _complete(self, collection: str, box: Box | None, parameters: Question) -> Iterator[Page]:
        """All pages in whatever order, and a loud failure when there should have been more."""
        tally = _Tally(self._limit)
        for raw in self._patient_pages(collection, box, parameters):
            features = features_of(raw)
            tally.add(raw, len(features), None)
            yield Page(features)
        if tally.cut_short():
            raise CatalogueUnavailable(tally.complaint(collection))

    def _patient_pages(self, collection: str, box: Box | None, parameters: Question) -> Iterator[Mapping[str, object]]:
        """All pages; with smaller ones when the server stumbles (HTTP 500 or 413 is what too large a page gives)."""
        limit = self._limit
        while True:
            try:
                yield from self._raw_pages(collection, box, limit, parameters)
            except CatalogueRefused as error:
                if error.status not in (413, 500) or limit <= MIN_LIMIT:
                    raise
                limit = max(limit // 4, MIN_LIMIT)
                log.warning("catalogue stumbled, asking for smaller pages", collection=collection, limit=limit)
                continue
            self._limit = limit
            return

    def _raw_pages(
        self, collection: str, box: Box | None, limit: int, parameters: Question
    ) -> Iterator[Mapping[str, object]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PystacClientWarning)  # what it announces is not believed either way
            search = self._client.search(
                method=self._method, collections=[collection], bbox=box, limit=limit, **_for(self._method, parameters)
            )
            sent = search.get_parameters()
        return self._io.get_pages(search.url, search.method, sent)


class _Tally:
    """Counts what one search gave, to notice an end that is none."""

    def __init__(self, limit: int) -> None:
        self.limit, self.last, self.read = limit, 0, 0
        self.matched: float | None = None
        self.newest: datetime | None = None

    def add(self, raw: Mapping[str, object], count: int, newest: datetime | None) -> None:
        """Count one page."""
        self.last, self.read = count, self.read + count
        if self.matched is None:
            self.matched = finite(raw.get("numberMatched"))
            if self.matched is None:
                self.matched = finite(mapping(raw.get("context")).get("matched"))
        self.newest = max((t for t in (self.newest, newest) if t is not None), default=None)

    def cut_short(self) -> bool:
        """The server said that more matched, and ended after a full page or a round number.

        Otherwise its count is an estimate that was off (pgstac gives such), and the end is the end.
        """
        abrupt = self.read > 0 and (self.last >= self.limit or self.read % 100 == 0)
        return abrupt and self.matched is not None and self.read < self.matched

    def complaint(self, collection: str) -> str:
        """Why a poll cannot go on."""
        return (
            f"collection {collection}: the catalogue says that {self.matched:.0f} items match and stopped after "
            f"{self.read}: it caps its answers; poll a smaller area"
        )


def _since(ability: Ability, after: datetime | None) -> Question:
    return filter_parameters(ability.filter, ability.name, ">=", after) if ability.filter and after else {}


def _for(method: str, question: Question) -> Question:
    """CQL2 as text where only GET is offered."""
    expression = mapping(question.get("filter"))
    arguments = expression.get("args")
    if method == "POST" or not isinstance(arguments, list):
        return question
    name, bound = mapping(arguments[0]).get("property"), mapping(arguments[1]).get("timestamp")
    quoted = name if str(name).isidentifier() else f'"{name}"'
    return {**question, "filter": f"{quoted} {expression['op']} TIMESTAMP('{bound}')", "filter_lang": "cql2-text"}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
