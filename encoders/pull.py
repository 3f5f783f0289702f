"""In: a model repository. Out: an installed release: weights, tokenizer, and a note of where they came from.

Stops before asking a person: `offer` says what the licence is, `pull` fetches. Nothing is downloaded when a release
is loaded.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from encoders.cache import releases_folder
from encoders.digests import sha256
from encoders.download import Progress, fetch
from encoders.hub import ENDPOINT, Hub, Offer, RemoteFile
from encoders.release import REPOSITORIES, TOKENIZER, WEIGHTS
from encoders.weights import read_layout
from schemas.errors import ReleaseMismatch, ReleaseNotFound, SettingsError, UsageError

TOKENIZER_REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
"""Where the tokenizer comes from where the model's repository has none: CLOSP's text tower started from it."""

REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
"""Form of a repository's name; it becomes part of a path."""

NOTE = "release.json"
"""What is known of an installed release; written last, so that its presence means that all of it is here."""


@dataclass(frozen=True, slots=True)
class Note:
    """Where an installed release came from.

    Attributes:
        name: what `load` knows it by.
        repository: ``owner/name`` on the hub.
        revision: commit.
        licence: identifier that its card states.
        page: where the licence can be read.
        sha256: of the weights.
    """

    name: str
    repository: str
    revision: str
    licence: str
    page: str
    sha256: str


def look_up(repository: str, *, endpoint: str = ENDPOINT, token: str | None = None) -> Offer:
    """What a repository offers, licence included, to be shown before anything is fetched.

    Raises:
        UsageError: not of the form ``owner/name``.
        ReleaseNotFound, SettingsError, AssetUnavailable, ReleaseMismatch: see `Hub.offer`.
    """
    release_name(repository)
    with Hub(endpoint, token) as hub:
        return hub.offer(repository)


def pull(
    repository: str,
    *,
    endpoint: str = ENDPOINT,
    folder: Path | None = None,
    progress: Progress = lambda _name, _here, _total: None,
    token: str | None = None,
    offer: Offer | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Note:
    """Install a release; call again to go on with one that was interrupted.

    Args:
        repository: ``owner/name`` on the hub.
        endpoint: the hub's address.
        folder: where releases lie; ``None``: `releases_folder()`.
        progress: told of every chunk: file name, bytes on disk, bytes in all.
        token: for gated repositories.
        offer: what `look_up` returned and a person agreed to; fetched anew where missing.
        wait: sleeps between tries.

    Returns:
        what was installed, licence included.

    Raises:
        ReleaseNotFound: no such repository, or no weights in it.
        ReleaseMismatch: the bytes are not those announced, or not safetensors.
        AssetUnavailable: the connection keeps breaking; what came stays.
        SettingsError: gated, or the disk is full.
    """
    name = release_name(repository)
    with Hub(endpoint, token) as hub:
        agreed = offer or hub.offer(repository)
        weights = weights_of(agreed)
        note = Note(name, repository, agreed.revision, agreed.licence, agreed.page, weights.sha256 or "")
        target = (folder or releases_folder()) / note.name
        _forget(target)
        source, tokenizer = _tokenizer_of(hub, agreed)
        fetch(hub, source, tokenizer, target / TOKENIZER, progress, wait)
        if not _is_here(target / WEIGHTS, weights):
            fetch(hub, agreed, weights, target / WEIGHTS, progress, wait)
    read_layout(target / WEIGHTS)
    _remember(target, note)
    return note


def read_note(folder: Path) -> Note | None:
    """The note of an installed release; ``None`` where there is none.

    Raises:
        ReleaseMismatch: the note is damaged.
    """
    path = folder / NOTE
    if not path.is_file():
        return None
    try:
        return Note(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ReleaseMismatch(f"{path} is damaged ({error}): pull the release again") from error


def release_name(repository: str) -> str:
    """What `load` knows a repository's release by: our name for the published ones, else owner and name.

    Raises:
        UsageError: not of the form ``owner/name``.
    """
    if re.fullmatch(REPOSITORY, repository) is None:
        raise UsageError(f"{repository!r} is not a repository: give owner/name, for example DarthReca/CLOSP-RN")
    for name, known in REPOSITORIES.items():
        if known.lower() == repository.lower():
            return name
    return repository.replace("/", "-").lower()


def weights_of(offer: Offer) -> RemoteFile:
    """The safetensors file of a repository.

    Raises:
        ReleaseNotFound: it has none, or several of which none is called `model.safetensors`.
    """
    candidates = [file for file in offer.files if file.name.endswith(".safetensors")]
    named = [file for file in candidates if file.name == WEIGHTS] or candidates
    if len(named) != 1:
        raise ReleaseNotFound(
            f"{offer.repository} has {len(candidates)} safetensors files, one is needed: see {offer.page}"
        )
    return named[0]


def _forget(target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / NOTE).unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot write {target}: {error.strerror}; set TOCSIN_CACHE to another folder") from error


def _remember(target: Path, note: Note) -> None:
    draft = target / f"{NOTE}.part"
    draft.write_text(json.dumps(asdict(note), indent=1))
    draft.replace(target / NOTE)


def _tokenizer_of(hub: Hub, offer: Offer) -> tuple[Offer, RemoteFile]:
    own = [file for file in offer.files if file.name == TOKENIZER]
    if own:
        return offer, own[0]
    other = hub.offer(TOKENIZER_REPOSITORY)
    found = [file for file in other.files if file.name == TOKENIZER]
    if not found:
        raise ReleaseNotFound(f"{TOKENIZER_REPOSITORY} has no {TOKENIZER} any more")
    return other, found[0]


def _is_here(path: Path, file: RemoteFile) -> bool:
    """Whether the same file is installed already."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    return file.sha256 is not None and sha256(path) == file.sha256
