"""Public catalogues, as they are today. Off by default: pytest -m live"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ingest.poll import poll_source
from ingest.settings import IngestSettings
from ingest.sources import add_source
from schemas.database import connect, migrate
from schemas.geometry import read_bbox, to_geojson
from schemas.messages import Acquisition
from schemas.publisher import Record

pytestmark = pytest.mark.live

CATALOGUES = [
    ("https://earth-search.aws.element84.com/v1", "sentinel-2-c1-l2a"),
    ("https://earth-search.aws.element84.com/v1", "sentinel-2-l2a"),
    ("https://planetarycomputer.microsoft.com/api/stac/v1", "sentinel-2-l2a"),
    ("https://planetarycomputer.microsoft.com/api/stac/v1", "sentinel-1-rtc"),
    ("https://stac.dataspace.copernicus.eu/v1", "sentinel-2-l2a"),
]


@dataclass
class Sent:
    """Takes every record."""

    records: list[Record] = field(default_factory=list)

    def send(self, records: Iterable[Record]) -> None:
        self.records += records


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    migrate(url)
    engine = connect(url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(("url", "collection"), CATALOGUES)
def test_the_last_days_over_slovenia(url: str, collection: str, engine: Engine) -> None:
    box = to_geojson(read_bbox([14.0, 45.5, 15.0, 46.5]))
    since = datetime.now(UTC) - timedelta(days=10)
    add_source(engine, "live", url, collections=[collection], since=since, area=box)
    sent = Sent()
    report = poll_source(engine, "live", sent, settings=IngestSettings())
    assert report.errors == []
    assert report.failed == 0
    assert report.new > 0
    announced = [Acquisition.from_bytes(record.value) for record in sent.records]
    assert all(one.platform and one.assets and one.relative_orbit for one in announced)
    assert poll_source(engine, "live", sent, settings=IngestSettings()).new == 0
