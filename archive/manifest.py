"""The version of an embedded archive's folder.

Flows in: a folder. Flows out: nothing, or a refusal. Stops before shards.
"""

from __future__ import annotations

import json
from pathlib import Path

from archive.interface import DIMENSION
from archive.store import FORMAT_VERSION
from schemas.errors import SettingsError

MANIFEST = "archive.json"


def check_format(folder: Path) -> None:
    """Refuse an archive that this build does not understand; one that is not there yet is fine.

    Raises:
        SettingsError: written by a build with another layout.
    """
    manifest = folder / MANIFEST
    if not manifest.exists():
        return
    found = json.loads(manifest.read_text())
    version, dimension = found.get("format_version"), found.get("dimension")
    if version != FORMAT_VERSION or dimension != DIMENSION:
        raise SettingsError(
            f"the archive in {folder} has format {version} with vectors of {dimension} numbers; this build reads"
            f" format {FORMAT_VERSION} with {DIMENSION}: use the build that wrote it"
        )


def write_format(folder: Path) -> None:
    """Mark a new folder; only its owner may."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        part = manifest.with_suffix(".part")
        part.write_text(json.dumps({"format_version": FORMAT_VERSION, "dimension": DIMENSION}))
        part.replace(manifest)
