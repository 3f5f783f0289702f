"""A static STAC collection in a folder, one item for each incident: for catalogues, browsers and archives.

Flows in: what is told of incidents; notices are no items and pass by. Flows out: `collection.json`, and a folder for
each incident with its item, GeoJSON, CAP and evidence. Stops before the documents' content (`items`) and any server.

An item is there before the collection links to it. A message that comes late changes nothing that a later one wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self, cast
from uuid import UUID

import structlog
from pydantic import Field

from alerts.telling.folders import locked, write_file
from alerts.telling.geojson import collection as features
from alerts.telling.geojson import told
from alerts.telling.items import ASSETS, COLLECTION, Document, check_collection, collection, item, sequence
from alerts.telling.kinds.atom import checked_base, forget
from alerts.telling.kinds.kind import Kind, Telling, checked_folder
from alerts.telling.pictures import packed
from schemas.errors import DeliveryFailed
from schemas.messages import Alert

log = structlog.get_logger(__name__)


class StacCollection(Kind):
    """STAC items.

    Attributes:
        folder: Absolute; the collection's alone.
        base_url: Where the folder can be read on the web; without it there are no `self` links.
        title: Of the collection.
    """

    name: ClassVar[str] = "stac"
    about: ClassVar[str] = "a static STAC collection in a folder, one item for each incident"
    tells_notices: ClassVar[bool] = False
    illustrates: ClassVar[bool] = True
    target: ClassVar[str] = "folder"

    folder: str = ""
    base_url: str = ""
    title: str = Field(default="Tocsin alerts", min_length=1, max_length=200)

    def checked(self) -> Self:
        """With an absolute folder that is there."""
        return self.model_copy(update={"folder": checked_folder(self.folder), "base_url": checked_base(self.base_url)})

    def tell(self, telling: Telling) -> None:
        """Write the item and the collection. Notices pass by."""
        alert = telling.message
        if not isinstance(alert, Alert):
            return
        folder = Path(self.folder)
        name = str(alert.incident.incident_id)
        path = folder / name / f"{name}.json"
        evidence = packed(telling)  # slow: before anybody has to wait for the folder
        with locked(folder, telling.settings.timeout_s):
            before = _read(path, sequence)
            if before is not None and not telling.is_test and sequence(before) > alert.sequence:
                log.info("collection has a later message already", receiver=telling.receiver, incident_id=name)
                return
            write_file(path.parent / "alert.geojson", json.dumps(features([told(telling)]), indent=1).encode() + b"\n")
            write_file(path.parent / "alert.cap.xml", telling.cap(alert))
            if evidence is not None:
                write_file(path.parent / "evidence.zip", evidence)
            files = [file for file in ASSETS if (path.parent / file).exists()]
            document = item(telling, alert, files, self.base_url, before)
            write_file(path, _bytes(document))
            whole, gone = collection(_read(folder / COLLECTION, check_collection), document, self.title, self.base_url)
            write_file(folder / COLLECTION, _bytes(whole))
            for old in gone:
                _remove(folder, old)


def _read(path: Path, check: Callable[[Document], object]) -> Document | None:
    """A document of ours, or none; one that is damaged is for a person to look at.

    Args:
        path: Where it is.
        check: Reads what will be needed of it.

    Raises:
        DeliveryFailed: the folder does not let us read, or it is damaged.
    """
    try:
        document = json.loads(path.read_bytes())
        check(document)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeliveryFailed(f"file {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, LookupError) as error:
        raise DeliveryFailed(f"file {path} is damaged, move it away: {error}") from error
    return cast(Document, document)


def _remove(folder: Path, name: str) -> None:
    """Take away the item of a test."""
    inside = folder / str(UUID(name))
    for file in (*ASSETS, f"{name}.json"):
        forget(inside / file)
    if inside.is_dir() and not any(inside.iterdir()):
        inside.rmdir()


def _bytes(document: Document) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"
