"""In: the cache folder. Out: a row for every release that can be loaded or pulled, for `tocsin encoder list`.

Stops at looking: nothing is loaded, so it answers at once.
"""

import json
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from encoders.backends import choose
from encoders.bands import BANDS
from encoders.cache import releases_folder
from encoders.pull import read_note
from encoders.release import NANO, REPOSITORIES, WEIGHTS
from encoders.tuned import Conditions, Tuned, read_tuned, tuned_as

OPENRAIL = "creativeml-openrail-m"
"""Licence of the published CLOSP weights as their cards state it; `pull` shows what the card says on the day."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One release.

    Attributes:
        name: what `load` takes.
        installed: whether it can be loaded now.
        path: folder of its files; ``None`` where it is not installed.
        size_bytes: of all its files; 0 where it is not installed.
        licence: identifier.
        sensors: keys of the sensors it embeds.
        backend: what will run it on this machine.
        reason: why that, or how to install it.
        tuned: the day on which `tocsin encoder tune` measured it on this machine; ``None`` where defaults are used.
    """

    name: str
    installed: bool
    path: Path | None
    size_bytes: int
    licence: str
    sensors: tuple[str, ...]
    backend: str
    reason: str
    tuned: date | None


def installed_releases(folder: Path | None = None) -> list[Listed]:
    """Nano, the published releases, and whatever else has been pulled.

    Args:
        folder: where releases lie; ``None``: `releases_folder()`.

    Raises:
        ReleaseMismatch: the note of an installed release is damaged.
    """
    releases = folder or releases_folder()
    pulled = [each.name for each in sorted(releases.glob("*")) if (each / WEIGHTS).is_file()]
    others = [name for name in pulled if name not in REPOSITORIES]
    return [_nano(), *(_closp(name, releases / name) for name in (*REPOSITORIES, *others))]


def _nano() -> Listed:
    folder = Path(__file__).parent / "weights" / NANO
    here = folder.is_dir()
    return Listed(
        name=NANO,
        installed=here,
        path=folder if here else None,
        size_bytes=_size(folder),
        licence="Apache-2.0",
        sensors=tuple(BANDS),
        backend="onnxruntime",
        reason="ships with Tocsin as ONNX" if here else "this installation lacks its weights: install Tocsin again",
        tuned=_day(read_tuned(Conditions.here(_release(folder)))) if here else None,
    )


def _closp(name: str, folder: Path) -> Listed:
    note = read_note(folder)
    here = note is not None
    backend, reason = _backend()
    return Listed(
        name=name,
        installed=here,
        path=folder if here else None,
        size_bytes=_size(folder) if here else 0,
        licence=note.licence if note is not None else OPENRAIL,
        sensors=tuple(BANDS),
        backend=backend,
        reason=reason if here else f"tocsin encoder pull {REPOSITORIES.get(name, name)}",
        tuned=_day(tuned_as(name)),
    )


def _backend() -> tuple[str, str]:
    if find_spec("torch") is None or find_spec("safetensors") is None:
        return "none", "needs torch to build its engine: pip install 'tocsin[torch]'"
    choice = choose()
    return choice.candidates[0].entry.name, choice.reason


def _release(folder: Path) -> str:
    return str(json.loads((folder / "release.json").read_text("utf-8"))["release"])


def _day(tuned: Tuned | None) -> date | None:
    return tuned.tuned_at.date() if tuned is not None else None


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
