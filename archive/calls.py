"""What clients may ask of the owner, as frames.

Flows in: calls of `Archive`. Flows out: frames and back, errors by name. Stops before sockets (`owner`, `client`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast

import shapely
from pydantic import TypeAdapter, ValidationError

from archive.interface import ArchiveFilter, Hit
from archive.stored import StoredArchive
from archive.wire import NO_ARRAY, Frame
from schemas import errors
from schemas.errors import MalformedMessage, TocsinError
from schemas.messages import Embedding

_EMBEDDINGS = TypeAdapter(list[Embedding])
_NAMED = {kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type)}


def answer(archive: StoredArchive, question: Frame) -> Frame:
    """Do what a frame asks.

    Raises:
        TocsinError: as the archive does.
        MalformedMessage: no such call.
    """
    call = _CALLS.get(str(question.fields.get("call")))
    if call is None:
        raise MalformedMessage(f"the archive knows no call {question.fields.get('call')!r}")
    return call(archive, question)


def from_error(error: TocsinError) -> Frame:
    """An error as a frame; `raise_error` raises it at the other end."""
    return Frame({"error": type(error).__name__, "reason": str(error)}, NO_ARRAY)


def raise_error(reply: Frame) -> None:
    """Raise what `from_error` wrote, if it did."""
    name = reply.fields.get("error")
    if name is not None:
        kind = _NAMED.get(str(name), TocsinError)
        raise kind(str(reply.fields.get("reason")))


def from_embeddings(embeddings: Sequence[Embedding]) -> object:
    """Embeddings as JSON."""
    return _EMBEDDINGS.dump_python(list(embeddings), mode="json")


def to_embeddings(value: object) -> list[Embedding]:
    """What `from_embeddings` wrote.

    Raises:
        MalformedMessage: another build's embeddings.
    """
    try:
        return _EMBEDDINGS.validate_python(value)
    except ValidationError as error:
        raise MalformedMessage(f"no embeddings of schema version 1: {error}") from error


def from_filter(filter: ArchiveFilter) -> dict[str, object]:
    """A filter as JSON, its area as base64 of WKB."""
    fields: dict[str, object] = {name: getattr(filter, name) for name in _PLAIN}
    fields["area"] = base64.b64encode(shapely.to_wkb(filter.area)).decode() if filter.area is not None else None
    fields["since"] = filter.since.isoformat() if filter.since else None
    fields["until"] = filter.until.isoformat() if filter.until else None
    return fields


def to_filter(value: object) -> ArchiveFilter:
    """What `from_filter` wrote."""
    fields = cast("dict[str, object]", value)
    plain = {name: tuple(v) if isinstance(v := fields[name], list) else v for name in _PLAIN}
    area = fields["area"]
    return ArchiveFilter(
        area=shapely.from_wkb(base64.b64decode(str(area))) if area is not None else None,
        since=datetime.fromisoformat(str(fields["since"])) if fields["since"] else None,
        until=datetime.fromisoformat(str(fields["until"])) if fields["until"] else None,
        **plain,  # type: ignore[arg-type]
    )


_PLAIN = ("sensors", "max_cloud", "cells", "sources", "physical_keys", "simulated")


def _record(archive: StoredArchive, question: Frame) -> Frame:
    made = archive.record(to_embeddings(question.fields["embeddings"]), question.array)
    return Frame({"counts": made.counts}, made.vectors)


def _search(archive: StoredArchive, question: Frame) -> Frame:
    fields = question.fields
    min_score = fields["min_score"]
    hits = archive.search(
        question.array,
        release=str(fields["release"]),
        filter=to_filter(fields["filter"]),
        limit=int(str(fields["limit"])),
        min_score=float(str(min_score)) if min_score is not None else None,
    )
    return Frame({"hits": from_embeddings([h.embedding for h in hits]), "scores": [h.score for h in hits]}, NO_ARRAY)


def _choose(archive: StoredArchive, question: Frame) -> Frame:
    fields = question.fields
    chosen = archive.choose(
        release=str(fields["release"]),
        filter=to_filter(fields["filter"]),
        max_points=int(str(fields["max_points"])),
        seed=int(str(fields["seed"])),
    )
    return Frame({"cells": chosen}, NO_ARRAY)


def _series(archive: StoredArchive, question: Frame) -> Frame:
    fields = question.fields
    cells = tuple(cast("list[str]", fields["cells"]))
    embeddings, vectors = archive.series(
        release=str(fields["release"]), filter=to_filter(fields["filter"]), cells=cells
    )
    return Frame({"embeddings": from_embeddings(embeddings)}, vectors)


def _count(archive: StoredArchive, question: Frame) -> Frame:
    release, filter = question.fields["release"], question.fields["filter"]
    count = archive.count(
        release=str(release) if release is not None else None, filter=to_filter(filter) if filter is not None else None
    )
    return Frame({"count": count}, NO_ARRAY)


def _cells(archive: StoredArchive, question: Frame) -> Frame:
    fields = question.fields
    return Frame({"cells": archive.cells(release=str(fields["release"]), filter=to_filter(fields["filter"]))}, NO_ARRAY)


def _releases(archive: StoredArchive, _question: Frame) -> Frame:
    return Frame({"releases": archive.releases()}, NO_ARRAY)


_CALLS: dict[str, Callable[[StoredArchive, Frame], Frame]] = {
    "record": _record,
    "search": _search,
    "choose": _choose,
    "series": _series,
    "count": _count,
    "cells": _cells,
    "releases": _releases,
}


def to_hits(reply: Frame) -> list[Hit]:
    """Hits of a search's reply."""
    scores = cast("list[float]", reply.fields["scores"])
    embeddings = to_embeddings(reply.fields["hits"])
    return [Hit(embedding, score) for embedding, score in zip(embeddings, scores, strict=True)]
