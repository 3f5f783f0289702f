"""An Atom feed with GeoRSS in a folder: the newest incidents, for feed readers, maps and other machines.

Flows in: what is told. Flows out: `alerts.atom` in a folder that a web server shows, with each incident's GeoJSON and
CAP beside it. Stops before the feed's own format (`feed`) and before any web server.

The feed is the record: an entry takes the place of the one before it of the same incident, unless that one is newer (a
message that was sent again late). Whoever changes it holds the folder, so two notifiers lose nothing of each other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import urlsplit

import structlog
from pydantic import Field

from alerts.telling.feed import Entry, entry, read_feed, write_feed
from alerts.telling.folders import locked, write_file
from alerts.telling.geojson import collection, told
from alerts.telling.kinds.kind import Kind, Telling, checked_folder
from schemas.errors import DeliveryFailed, UsageError
from schemas.messages import Alert

FEED = "alerts.atom"

log = structlog.get_logger(__name__)


class AtomFeed(Kind):
    """An Atom feed.

    Attributes:
        folder: Absolute; the feed's alone.
        newest: So many incidents are kept in it.
        base_url: Where the folder can be read on the web; links are relative without it.
        title: Of the feed.
    """

    name: ClassVar[str] = "atom"
    about: ClassVar[str] = "an Atom feed with GeoRSS in a folder"
    target: ClassVar[str] = "folder"

    folder: str = ""
    newest: int = Field(default=100, ge=1, le=1000)
    base_url: str = ""
    title: str = Field(default="Tocsin alerts", min_length=1, max_length=200)

    def checked(self) -> Self:
        """With an absolute folder that is there."""
        return self.model_copy(update={"folder": checked_folder(self.folder), "base_url": checked_base(self.base_url)})

    def tell(self, telling: Telling) -> None:
        """Put it into the feed."""
        folder = Path(self.folder)
        with locked(folder, telling.settings.timeout_s):
            known = self._known(folder)
            name = str(telling.subject_id)
            before = known.get(name)
            if before is not None and not telling.is_test and before.sequence > telling.message.sequence:
                log.info("feed has a later message already", receiver=telling.receiver, subject_id=name)
                return
            write_file(folder / f"{name}.geojson", json.dumps(collection([told(telling)]), indent=1).encode() + b"\n")
            if isinstance(telling.message, Alert):
                write_file(folder / f"{name}.cap.xml", telling.cap(telling.message))
            others = [each for each in known.values() if each.name != name and not each.is_test]
            entries = sorted([entry(telling, self.base_url), *others], key=lambda each: each.updated, reverse=True)
            kept = entries[: self.newest]
            write_file(folder / FEED, write_feed(kept, self.title, self.base_url, FEED, folder.name))
            for gone in known.keys() - {each.name for each in kept}:
                forget(folder / f"{gone}.geojson")
                forget(folder / f"{gone}.cap.xml")

    def _known(self, folder: Path) -> dict[str, Entry]:
        """What the feed holds; one that cannot be read is put aside, not written over."""
        path = folder / FEED
        try:
            return {each.name: each for each in read_feed(path.read_bytes())}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise DeliveryFailed(f"feed {path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            aside = path.with_suffix(".broken")
            path.replace(aside)
            log.warning("feed was damaged, a new one is begun", path=str(path), kept_as=str(aside), error=str(error))
            return {}


def checked_base(url: str) -> str:
    """A base address, ending in a slash; empty stays empty.

    Raises:
        UsageError: it is no http address.
    """
    if not url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"base address {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"base address {url!r}: give http(s)://HOST/PATH/ as the folder is seen on the web")
    return url.rstrip("/") + "/"


def forget(path: Path) -> None:
    """Remove a file that nothing links to any more.

    Raises:
        DeliveryFailed: the folder does not let us.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DeliveryFailed(f"file {path} cannot be removed: {error.strerror}") from error
