"""The catalogues that the operator wants watched.

Flows in: a name, an address, collections, an area. Flows out: rows that the poller reads. Stops before polling.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from ingest.presets import collection_preset, preset_for, preset_named
from schemas.database import reading, transaction
from schemas.errors import NotFound, UsageError
from schemas.geometry import read_area, to_geojson
from schemas.hosts import host_allowed, host_and_port, is_public
from schemas.messages import utc
from schemas.tables import CursorRow, SourceRow

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LOOPBACK = ("127.0.0.1:*", "localhost:*", "[::1]:*")


@dataclass(frozen=True, slots=True)
class Source:
    """A watched catalogue, and how far it has been read.

    Attributes:
        name: The operator's.
        url: Landing page of an API, or a catalog.json.
        collections: What is watched of it.
        since: What was published before is not asked for.
        area: GeoJSON geometry, lon/lat, split at the antimeridian; none: everywhere.
        allowed_hosts: Where its requests and hrefs may lead, the preset's hosts included.
        preset: Name of what is known of it, or none.
        read_until: The collection that is furthest behind has been read up to here; none before the first poll.
        polled_at: When the last poll began, of the collection where that is longest ago.
        error: What went wrong, or what the catalogue cannot do (then it begins with `note:`).
    """

    name: str
    url: str
    collections: tuple[str, ...]
    since: datetime
    area: Mapping[str, object] | None
    allowed_hosts: tuple[str, ...]
    preset: str | None
    read_until: datetime | None = None
    polled_at: datetime | None = None
    error: str | None = None

    @property
    def geometry(self) -> BaseGeometry | None:
        """The area, or none."""
        return shape(dict(self.area)) if self.area else None

    def as_dict(self) -> dict[str, object]:
        """For `--json`: times as RFC 3339."""
        return {
            "name": self.name,
            "url": self.url,
            "collections": list(self.collections),
            "since": utc(self.since),
            "area": self.area,
            "allowed_hosts": list(self.allowed_hosts),
            "preset": self.preset,
            "read_until": utc(self.read_until) if self.read_until else None,
            "polled_at": utc(self.polled_at) if self.polled_at else None,
            "error": self.error,
        }


def add_source(
    engine: Engine,
    name: str,
    url: str,
    *,
    collections: Sequence[str],
    since: datetime | None = None,
    area: Mapping[str, object] | None = None,
    allow_hosts: Sequence[str] = (),
    allow_private: bool = True,
) -> Source:
    """Watch a catalogue; it is asked for its collections first.

    Args:
        engine: The store.
        name: Letters, digits, dot, dash, underscore.
        url: http(s) address of a STAC API's landing page, or of a catalog.json.
        collections: Ids; at least one.
        since: What was published before is not asked for; none: from now on.
        area: GeoJSON of an area, lon/lat; none: everywhere.
        allow_hosts: Other hosts that asset hrefs may lead to, as `schemas.hosts` writes them.
        allow_private: Whether loopback and private addresses may be polled: yes for a person at the command line.

    Raises:
        UsageError: bad name, URL, host, or collection (says what the catalogue offers), or the name is taken.
        InvalidArea: the area cannot be used.
        CatalogueUnavailable: the catalogue does not answer, or is none.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"source name {name!r}: use letters, digits, dot, dash and underscore, 100 at most")
    if not collections:
        raise UsageError("name at least one collection with --collection")
    preset = preset_for(url)
    for collection in collections:
        if (known := collection_preset(preset, collection)) and known.unusable:
            raise UsageError(f"collection {collection} cannot be watched: {known.unusable}")
    row = SourceRow(
        name=name,
        url=url,
        collections=list(dict.fromkeys(collections)),
        since=since or datetime.now(UTC),
        area=to_geojson(read_area(area)) if area else None,
        allowed_hosts=[*_own_hosts(url, allow_private), *(_checked_host(host) for host in allow_hosts)],
        preset=preset,
        added_at=datetime.now(UTC),
    )
    with reading(engine) as session:
        if session.get(SourceRow, name) is not None:
            raise UsageError(f"source {name} exists: remove it first, or choose another name")
    _check_offer(_source(row, ()))
    with transaction(engine) as session:
        if session.get(SourceRow, name) is not None:
            raise UsageError(f"source {name} exists: remove it first, or choose another name")
        session.add(row)
    return _source(row, ())


def list_sources(engine: Engine) -> list[Source]:
    """All watched catalogues by name.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    with reading(engine) as session:
        return [_with_cursors(session, row) for row in session.scalars(select(SourceRow).order_by(SourceRow.name))]


def get_source(engine: Engine, name: str) -> Source:
    """One watched catalogue.

    Raises:
        NotFound: there is none of that name.
    """
    with reading(engine) as session:
        row = session.get(SourceRow, name)
        if row is None:
            raise NotFound(f"no source {name}: `tocsin source list` shows those there are")
        return _with_cursors(session, row)


def remove_source(engine: Engine, name: str) -> None:
    """Stop watching a catalogue; what it has brought stays.

    Raises:
        NotFound: there is none of that name.
    """
    with transaction(engine) as session:
        row = session.get(SourceRow, name)
        if row is None:
            raise NotFound(f"no source {name}: `tocsin source list` shows those there are")
        session.execute(delete(CursorRow).where(CursorRow.source == name))
        session.delete(row)


def source_of(url: str, collection: str, area: Mapping[str, object], allow_hosts: Sequence[str] = ()) -> Source:
    """A catalogue that is read once, by a person at the command line, and not kept.

    Raises:
        UsageError: bad URL or host.
    """
    preset = preset_for(url)
    known = preset_named(preset)
    own = [*_own_hosts(url, True), *(_checked_host(host) for host in allow_hosts)]
    hosts = tuple(dict.fromkeys([*own, *(known.hosts + known.asset_hosts if known else ())]))
    return Source("once", url, (collection,), datetime.now(UTC), area, hosts, preset)


def _check_offer(source: Source) -> None:
    """Whether the catalogue has these collections."""
    from ingest.catalogue import open_catalogue  # noqa: PLC0415  (pystac-client: half a second that a list need not wait)
    from ingest.fetch import Patience  # noqa: PLC0415

    offered = open_catalogue(
        source.url,
        preset=source.preset,
        collections=source.collections,
        allowed_hosts=source.allowed_hosts,
        patience=Patience(attempts=2),  # a person waits
    ).collections()
    unknown = [collection for collection in source.collections if collection not in offered]
    if unknown:
        shown = ", ".join(offered[:40]) + (f" and {len(offered) - 40} more" if len(offered) > 40 else "")
        raise UsageError(f"{source.url} has no collection {', '.join(unknown)}: it offers {shown or 'none'}")


def _own_hosts(url: str, allow_private: bool) -> list[str]:
    """The API's own host, and for one on the loopback or a local network all its ports."""
    where = host_and_port(url)
    if where is None:
        raise UsageError(f"{url!r} is no address of a catalogue: give http(s)://host/path without user name")
    host, port, default = where
    if not _is_private(host):
        return [host if port == default else f"{host}:{port}"]
    if not allow_private:
        raise UsageError(f"{url} is on this machine or a private network, which sources may not be here")
    if _addresses(host) and all(address.is_loopback for address in _addresses(host)):
        return list(_LOOPBACK) if f"{host}:*" in _LOOPBACK else [f"{host}:*", *_LOOPBACK]
    return [f"{host}:*"]


def _is_private(host: str) -> bool:
    """Whether a host is, or resolves to, an address that is not of the public Internet; unknown names are public."""
    return not all(is_public(str(address)) for address in _addresses(host))


def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ipaddress.ip_address(str(entry[4][0]).split("%", maxsplit=1)[0]) for entry in found]


def _checked_host(entry: str) -> str:
    """An entry of --allow-host: `host`, `host:port`, `host:*` or `s3://bucket`; a pasted URL gives its host."""
    text = entry.strip().lower()
    if text.startswith(("http://", "https://")):
        where = host_and_port(text)
        text = "" if where is None else where[0] if where[1] == where[2] else f"{where[0]}:{where[1]}"
    probe = f"{text}/x" if text.startswith("s3://") else f"https://{text.removesuffix(':*')}/x"
    if not text or urlsplit(probe).path != "/x" or not host_allowed(probe, [text]):
        raise UsageError(f"--allow-host {entry!r}: write host, host:port, host:* or s3://bucket")
    return text


def _with_cursors(session: Session, row: SourceRow) -> Source:
    return _source(row, session.scalars(select(CursorRow).where(CursorRow.source == row.name)).all())


def _source(row: SourceRow, cursors: Sequence[CursorRow]) -> Source:
    known = preset_named(row.preset)
    complete = len(cursors) == len(row.collections)
    polled = [cursor.polled_at for cursor in cursors if cursor.polled_at]
    return Source(
        name=row.name,
        url=row.url,
        collections=tuple(row.collections),
        since=row.since,
        area=row.area,
        allowed_hosts=tuple(dict.fromkeys([*row.allowed_hosts, *(known.hosts + known.asset_hosts if known else ())])),
        preset=row.preset,
        read_until=min((cursor.read_until for cursor in cursors), default=None) if complete else None,
        polled_at=min(polled, default=None) if complete and len(polled) == len(cursors) else None,
        error="; ".join(f"{cursor.collection}: {cursor.error}" for cursor in cursors if cursor.error) or None,
    )
