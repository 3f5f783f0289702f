"""The archive: every cell of every acquisition as a vector, searchable, and what each cell looked like before.

In: embeddings. Out: baselines, hits, histories. Stops before matching (`alerts`). Importing this loads no engine:
`open_archive` does.
"""

from __future__ import annotations

from importlib.util import find_spec

from archive.interface import EVERYTHING, Archive, ArchiveFilter, Baselines, Hit
from schemas.errors import SettingsError
from schemas.settings import Stack

__all__ = ["EVERYTHING", "Archive", "ArchiveFilter", "Baselines", "Hit", "open_archive"]


def open_archive(stack: Stack) -> Archive:
    """The archive of a stack: use it as a context manager.

    A Qdrant server where `stack.qdrant_url` names one. Else the in-process engine through the process that owns it;
    where none runs, one is started for as long as it is used.

    Raises:
        StoreUnavailable: it does not answer.
        SettingsError: a later build of Tocsin wrote it, or the engine is not installed.
    """
    if stack.qdrant_url:
        from archive.server import connect  # noqa: PLC0415 - qdrant-client takes a second to import

        return connect(stack.qdrant_url, stack.qdrant_api_key)
    if find_spec("qdrant_edge") is None:
        raise SettingsError(
            "the in-process archive needs qdrant-edge-py: install tocsin[embedded] or set TOCSIN_QDRANT_URL"
        )
    from archive.client import OwnerClient  # noqa: PLC0415 - sockets are not needed to name a filter

    return OwnerClient(stack)
