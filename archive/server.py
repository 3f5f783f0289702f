"""A Qdrant server as a store, through qdrant-client.

Flows in: points, filters. Flows out: points, exact scores. Stops before clusters: shards and replicas are the
server's own affair.

Per release two collections, `tocsin-cells-RELEASE-v1` and `tocsin-baselines-RELEASE-v1`, each behind an alias
without the version. Writes wait until they are applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from archive.filters import LAT, LON, conditions
from archive.interface import DIMENSION, ArchiveFilter, Hit, Vectors
from archive.points import from_payload, slug, to_payload, unslug
from archive.records import from_record, to_record
from archive.server_types import to_models
from archive.store import FORMAT_VERSION, Baseline, Page
from archive.stored import StoredArchive
from schemas.errors import SettingsError, StoreUnavailable, TocsinError
from schemas.messages import Embedding

CELLS, BASELINES = "tocsin-cells-", "tocsin-baselines-"
TIMEOUT_S = 60
"""Longest answer that we wait for: an exact scan of tens of millions of points."""
PAGE = 2048
"""Points read or written together."""
MOST_CELLS = 10_000_000
"""More distinct cells than a facet can list: all are wanted."""
FULL_SCAN_KB = 400_000
"""Filters that leave less than this are scanned exactly by searches that don't ask for it. Fixed at creation."""

_INDEXES = {
    "cell": models.PayloadSchemaType.KEYWORD,
    "sensor": models.PayloadSchemaType.KEYWORD,
    "physical_key": models.PayloadSchemaType.KEYWORD,
    "sensing_at": models.PayloadSchemaType.DATETIME,
    LON: models.PayloadSchemaType.FLOAT,
    LAT: models.PayloadSchemaType.FLOAT,
    "cloud_fraction": models.PayloadSchemaType.FLOAT,
}


def connect(url: str, api_key: str) -> StoredArchive:
    """An archive on a server.

    Raises:
        StoreUnavailable: it does not answer.
        SettingsError: a later build of Tocsin wrote what is there.
    """
    # Its check of versions warns from a thread of its own; a server that is not there shows at once anyway.
    client = QdrantClient(url=url, api_key=api_key or None, timeout=TIMEOUT_S, check_compatibility=False)
    try:
        return StoredArchive(ServerStore(client))
    except TocsinError:
        client.close()
        raise


class ServerStore:
    """A `Store` over a client, which it closes.

    Raises:
        StoreUnavailable: the server does not answer.
        SettingsError: a later build of Tocsin wrote what is there.
    """

    def __init__(self, client: QdrantClient) -> None:
        self._client = client
        self._known: set[str] = set()
        self._refresh()

    def releases(self) -> list[str]:
        self._refresh()
        return [unslug(name.removeprefix(CELLS)) for name in self._known if name.startswith(CELLS)]

    def points(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, tuple[Embedding, Vectors]]:
        return {
            UUID(str(record.id)): (from_payload(record.id, record.payload or {}), _row(record.vector))
            for record in self._retrieve(CELLS + slug(release), [point_id for point_id, _ in wanted])
        }

    def vectors(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, Vectors]:
        ids = [point_id for point_id, _ in wanted]
        records = self._retrieve(CELLS + slug(release), ids, with_payload=False)
        return {UUID(str(record.id)): _row(record.vector) for record in records}

    def write_points(self, release: str, embeddings: Sequence[Embedding], vectors: Vectors) -> None:
        name = self._make(CELLS, release, _INDEXES)
        points = [
            models.PointStruct(id=str(one.point_id), vector=vector.tolist(), payload=to_payload(one))
            for one, vector in zip(embeddings, vectors, strict=True)
        ]
        for start in range(0, len(points), PAGE):
            with _answers():
                self._client.upsert(name, points[start : start + PAGE], wait=True)

    def baselines(self, release: str, ids: Sequence[UUID]) -> dict[UUID, Baseline]:
        records = self._retrieve(BASELINES + slug(release), ids)
        return {
            UUID(str(record.id)): from_record(UUID(str(record.id)), record.payload or {}, _row(record.vector))
            for record in records
        }

    def write_baselines(self, release: str, baselines: Sequence[Baseline]) -> set[UUID]:
        """See `Store.write_baselines`: the server compares revisions, and what it holds afterwards tells who won."""
        name = self._make(BASELINES, release, {})
        by_revision: dict[int, list[Baseline]] = {}
        for one in baselines:
            by_revision.setdefault(one.revision, []).append(one)
        for revision, group in by_revision.items():
            condition = models.FieldCondition(key="revision", match=models.MatchValue(value=revision - 1))
            points = [
                models.PointStruct(id=str(one.baseline_id), vector=one.vector.tolist(), payload=dict(to_record(one)))
                for one in group
            ]
            with _answers():
                self._client.upsert(name, points, wait=True, update_filter=models.Filter(must=[condition]))
        stored = self.baselines(release, [one.baseline_id for one in baselines])
        return {one.baseline_id for one in baselines if not _is(one, stored.get(one.baseline_id))}

    def nearest(self, release: str, vector: Vectors, filter: ArchiveFilter, limit: int) -> list[Hit]:
        name = CELLS + slug(release)
        if not self._exists(name):
            return []
        with _answers():
            found = self._client.query_points(
                name,
                query=vector.tolist(),
                query_filter=to_models(conditions(filter)),
                limit=limit,
                with_payload=True,
                search_params=models.SearchParams(exact=True),
            ).points
        return [Hit(from_payload(point.id, point.payload or {}), point.score) for point in found]

    def scroll(self, release: str, filter: ArchiveFilter) -> Iterator[Page]:
        name = CELLS + slug(release)
        offset = None
        while self._exists(name):
            with _answers():
                records, offset = self._client.scroll(
                    name, to_models(conditions(filter)), limit=PAGE, offset=offset, with_payload=True, with_vectors=True
                )
            if records:
                embeddings = [from_payload(record.id, record.payload or {}) for record in records]
                yield Page(embeddings, np.stack([_row(record.vector) for record in records]))
            if offset is None:
                return

    def count(self, release: str, filter: ArchiveFilter) -> int:
        name = CELLS + slug(release)
        if not self._exists(name):
            return 0
        with _answers():
            return self._client.count(name, to_models(conditions(filter)), exact=True).count

    def cells(self, release: str, filter: ArchiveFilter) -> dict[str, int]:
        name = CELLS + slug(release)
        if not self._exists(name):
            return {}
        with _answers():
            reply = self._client.facet(name, "cell", to_models(conditions(filter)), limit=MOST_CELLS, exact=True)
        return {str(hit.value): hit.count for hit in reply.hits}

    def close(self) -> None:
        self._client.close()

    def _retrieve(self, name: str, ids: Sequence[UUID], *, with_payload: bool = True) -> Iterator[models.Record]:
        for start in range(0, len(ids) if self._exists(name) else 0, PAGE):
            page = [str(one) for one in ids[start : start + PAGE]]
            with _answers():
                records = self._client.retrieve(name, page, with_payload=with_payload, with_vectors=True)
            yield from records

    def _exists(self, alias: str) -> bool:
        if alias not in self._known:
            self._refresh()
        return alias in self._known

    def _refresh(self) -> None:
        """Read which collections there are; others may have made some."""
        with _answers():
            aliases = self._client.get_aliases().aliases
        for one in aliases:
            if one.alias_name.startswith((CELLS, BASELINES)) and not one.collection_name.endswith(_suffix()):
                raise SettingsError(
                    f"the archive's collection {one.collection_name} is of another format than {_suffix()[1:]},"
                    " which this build reads: use the build that wrote it"
                )
        self._known = {one.alias_name for one in aliases}

    def _make(self, prefix: str, release: str, indexes: dict[str, models.PayloadSchemaType]) -> str:
        """The alias of a collection, made where it is missing; two makers don't disturb each other."""
        alias = prefix + slug(release)
        if self._exists(alias):
            return alias
        name = alias + _suffix()
        with _answers():
            self._create(name)
            for field, kind in indexes.items():
                self._client.create_payload_index(name, field, kind, wait=True)
            create = models.CreateAlias(collection_name=name, alias_name=alias)
            self._client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])
        self._known.add(alias)
        return alias

    def _create(self, name: str) -> None:
        if self._client.collection_exists(name):
            return
        try:
            self._client.create_collection(
                name,
                vectors_config=models.VectorParams(size=DIMENSION, distance=models.Distance.DOT, on_disk=True),
                hnsw_config=models.HnswConfigDiff(full_scan_threshold=FULL_SCAN_KB),
            )
        except (UnexpectedResponse, ValueError):
            if not self._client.collection_exists(name):
                raise  # not that somebody else made it at the same moment


@contextmanager
def _answers() -> Iterator[None]:
    """Turn a server that does not answer, or not now, into `StoreUnavailable`; the rest are bugs."""
    try:
        yield
    except ResponseHandlingException as error:
        raise StoreUnavailable(f"the Qdrant server does not answer: {error}") from error
    except UnexpectedResponse as error:
        if error.status_code is not None and (error.status_code >= 500 or error.status_code == 429):
            raise StoreUnavailable(f"the Qdrant server answers {error.status_code}: {error.reason_phrase}") from error
        if error.status_code in (401, 403):
            raise SettingsError("the Qdrant server refuses the key: set TOCSIN_QDRANT_API_KEY") from error
        raise
    except ApiException as error:
        raise StoreUnavailable(f"the Qdrant server does not answer: {error}") from error


def _is(one: Baseline, stored: Baseline | None) -> bool:
    """Whether what is stored is what we wrote."""
    return (
        stored is not None
        and stored.revision == one.revision
        and np.array_equal(stored.members, one.members)
        and np.allclose(stored.vector, one.vector, rtol=1e-6, atol=1e-8)
    )


def _suffix() -> str:
    return f"-v{FORMAT_VERSION}"


def _row(vector: object) -> Vectors:
    return np.asarray(vector, dtype=np.float32)
