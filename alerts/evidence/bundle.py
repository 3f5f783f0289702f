"""An explanation as one zip file that can be kept, sent, and checked years later.

Flows in: an `Explanation`. Flows out: the bytes of a zip, the same for the same explanation, and a file of it. Stops
before whoever sends it.
"""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from alerts.evidence.cell_scores import to_features
from alerts.evidence.explain import Explanation
from alerts.evidence.provenance import PICTURES, Json, provenance
from alerts.evidence.told import Told
from alerts.evidence.words import lines
from alerts.telling.cap import cap
from alerts.telling.folders import write_file
from alerts.telling.geojson import collection, feature, matches
from alerts.telling.phrases import SENSORS
from schemas.errors import DeliveryFailed, UsageError
from schemas.messages import Alert

FOLDER: Final = "evidence"
"""Under the data folder."""
SUMS: Final = "SHA256SUMS"
PROVENANCE: Final = "provenance.json"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Time of every file in the zip: the earliest that the format knows, so that the bytes say nothing of when."""

ABOUT: Final = {
    "README.txt": "this page",
    "explanation.txt": "what can be said of the alert, in words",
    "alert.geojson": "the alert as it was told: outline, incident, matches (GeoJSON, RFC 7946)",
    "alert.cap.xml": "the alert in the language of warning systems (OASIS CAP 1.2)",
    "cells.geojson": "every cell of the incident with its score, once per sensor",
    "provenance.json": "every id, release, threshold, band, href and checksum, for programs",
}


def bundle(explanation: Explanation, sender: str) -> bytes:
    """The zip file.

    Args:
        explanation: What to pack.
        sender: Of the CAP message: who answers for it.
    """
    files = _files(explanation, sender)
    packed = BytesIO()
    with ZipFile(packed, "w") as file:
        for name, content in files.items():
            info = ZipInfo(name, EPOCH)
            info.compress_type = ZIP_STORED if name.endswith(".png") else ZIP_DEFLATED
            info.create_system, info.external_attr = 3, 0o644 << 16
            file.writestr(info, content, compresslevel=9)
    return packed.getvalue()


def write(path: Path, content: bytes) -> None:
    """Write a bundle so that a reader sees all of it or nothing.

    Raises:
        UsageError: the disk does not take it.
    """
    try:
        write_file(path, content)
    except DeliveryFailed as error:
        raise UsageError(f"{error}: name another file with --out") from error


def path_of(data: Path, alert: Alert) -> Path:
    """Where the bundle of an alert's message lies when nothing else is said."""
    return data / FOLDER / f"{alert.alert_id}-{alert.sequence}.zip"


def document(explanation: Explanation, sender: str) -> Json:
    """`provenance.json` as it stands in the bundle, with the checksums of the other files."""
    return _with_sums(explanation, _contents(explanation, sender))


def _files(explanation: Explanation, sender: str) -> dict[str, bytes]:
    files = _contents(explanation, sender)
    files[PROVENANCE] = _json(_with_sums(explanation, files))
    ordered = {name: files[name] for name in ABOUT} | {name: files[name] for name in files if name not in ABOUT}
    sums = "".join(f"{_sum(content)}  {name}\n" for name, content in ordered.items())
    return ordered | {SUMS: sums.encode()}


def _contents(explanation: Explanation, sender: str) -> dict[str, bytes]:
    """All but the provenance, which names them, and the list of checksums."""
    told = explanation.told
    files = {
        "README.txt": _readme(explanation).encode(),
        "explanation.txt": ("\n".join(lines(explanation)) + "\n").encode(),
        "alert.geojson": _json(collection([feature(told.alert, matches=matches(told.alert))])),
        "alert.cap.xml": _cap(told, sender),
        "cells.geojson": _json(to_features(explanation.scores)),
    }
    return files | {f"{PICTURES}{picture.name}": picture.png for picture in explanation.pictures}


def _with_sums(explanation: Explanation, files: dict[str, bytes]) -> Json:
    return provenance(explanation) | {
        "files": {name: {"sha256": _sum(content), "bytes": len(content)} for name, content in sorted(files.items())}
    }


def _cap(told: Told, sender: str) -> bytes:
    return cap(told.alert, told.earlier, sender)


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _readme(explanation: Explanation) -> str:
    alert = explanation.told.alert
    sensors = " and ".join(SENSORS[sensor] for sensor in alert.incident.sensors)
    names = [f"  {name:<18}{about}" for name, about in ABOUT.items()]
    drawn = [f"  {PICTURES}{picture.name}\n      {picture.caption}" for picture in explanation.pictures]
    missing = [f"  {reason}" for reason in explanation.left_out]
    years = sorted({one.sensing_at.year for one in explanation.ledger.values()})
    source = (
        "SIMULATED: the scenes were made by a program. No real event, and no real place, is shown."
        if alert.simulated
        else f"Contains modified Copernicus Sentinel data {', '.join(map(str, years))}."
    )
    paragraphs = [
        f"Evidence for an alert of Tocsin: {alert.query}",
        f"Alert {alert.alert_id}, message {alert.sequence}; standing query {alert.incident.query_id}, version "
        f"{alert.incident.query_version}; {len(alert.incident.cells)} cells of 1 km seen by {sensors}.",
        source,
        "A machine compared satellite images with a sentence and found that these cells look like it. Nobody has\n"
        "verified it on the ground. A score is the closeness of image and sentence, not a probability.",
        "In this bundle:\n" + "\n".join([*names, *drawn]),
        "Not in it:\n" + "\n".join(missing) if missing else "",
        f"To check that nothing was changed: sha256sum --check {SUMS}\n"
        "What each field and picture means is in docs/evidence.md of Tocsin.",
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"
