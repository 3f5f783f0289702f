"""What only the server store has: revisions, collections made by two at once, other formats."""

from collections.abc import Iterator
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from archive.records import members
from archive.server import ServerStore, connect
from archive.store import Baseline
from schemas.errors import SettingsError, StoreUnavailable

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")


@pytest.fixture
def client() -> Iterator[QdrantClient]:
    client = QdrantClient(":memory:")
    yield client
    client.close()


def baseline(value: float, revision: int) -> Baseline:
    return Baseline(uuid4(), np.full(384, value, dtype=np.float32), 1, members([]), revision)


def test_the_later_of_two_writers_is_told(client: QdrantClient) -> None:
    one, other = ServerStore(client), ServerStore(client)
    first = baseline(0.1, 1)
    assert one.write_baselines("r", [first]) == set()
    mine = Baseline(first.baseline_id, np.full(384, 0.2, dtype=np.float32), 2, members([]), 2)
    theirs = Baseline(first.baseline_id, np.full(384, 0.3, dtype=np.float32), 3, members([]), 2)
    assert other.write_baselines("r", [theirs]) == set()
    fresh = baseline(0.4, 1)
    assert one.write_baselines("r", [mine, fresh]) == {first.baseline_id}
    stored = one.baselines("r", [first.baseline_id, fresh.baseline_id])
    assert np.allclose(stored[first.baseline_id].vector, 0.3)
    assert np.allclose(stored[fresh.baseline_id].vector, 0.4)


def test_two_makers_of_a_collection_do_not_disturb_each_other(client: QdrantClient) -> None:
    one, other = ServerStore(client), ServerStore(client)
    other._known.add("never")  # it has looked before the first one made anything
    for store in (one, other):
        store.write_baselines("r", [baseline(0.1, 1)])
    assert client.count("tocsin-baselines-r").count == 2
    assert {c.name for c in client.get_collections().collections} == {"tocsin-baselines-r-v1"}


def test_a_collection_of_a_later_build_is_refused(client: QdrantClient) -> None:
    client.create_collection(
        "tocsin-cells-r-v2", vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT)
    )
    alias = models.CreateAlias(collection_name="tocsin-cells-r-v2", alias_name="tocsin-cells-r")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    with pytest.raises(SettingsError, match="tocsin-cells-r-v2"):
        ServerStore(client)


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="does not answer"):
        connect("http://127.0.0.1:9", "")
