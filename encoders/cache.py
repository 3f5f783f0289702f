"""In: `TOCSIN_CACHE` or the platform's habit. Out: the folders of releases, built engines and tuned values.

Stops at paths: nothing is made until something is written.
"""

import os
import sys
from pathlib import Path

from pydantic_settings import SettingsConfigDict

from schemas.environment import Environment


class CacheSettings(Environment):
    """Where encoders keep what they can fetch or build again."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_")

    cache: Path | None = None
    """Folder of pulled releases (0.2-2.5 GB each), built engines and tuned values; none: the platform's own."""


def cache_folder() -> Path:
    """The folder in force now, for example `~/.cache/tocsin`."""
    chosen = CacheSettings().cache
    return chosen.expanduser() if chosen is not None else _platform_folder() / "tocsin"


def releases_folder() -> Path:
    """One folder a pulled release, by its name."""
    return cache_folder() / "releases"


def engines_folder() -> Path:
    """ONNX files built from releases; may be deleted at any time."""
    return cache_folder() / "engines"


def tuned_folder() -> Path:
    """What `tocsin encoder tune` measured; may be deleted at any time."""
    return cache_folder() / "tuned"


def _platform_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
