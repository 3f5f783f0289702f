"""The relational store on a real PostgreSQL: what several processes do at once is done once, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import shapely
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, func, select, text

from alerts import answers, queries
from alerts.budgets.calibrate import Calibrator
from alerts.matching import Matcher
from alerts.notices import Finding, Matter, clear_notice, raise_notice
from alerts.percolation.standing import StandingQueries
from alerts.settings import MatcherSettings
from alerts.telling import deliveries, receivers, reminders, routes
from alerts.telling.stages import LOOK_AGAIN
from ingest import ledger
from ingest.enter import Pass, enter
from ingest.ledger import Outcome
from ingest.pages import Page, Window
from ingest.report import PollReport
from ingest.sources import Source
from ingest.translate import Reading
from schemas import dead_letters
from schemas.cells import cell_at
from schemas.database import MIGRATIONS, Base, connect, migrate, reading, transaction
from schemas.errors import StoreUnavailable
from schemas.geometry import to_geojson
from schemas.messages import (
    Acquisition,
    Alert,
    EmbeddingBatch,
    Incident,
    IncidentState,
    Mode,
    stable_id,
)
from schemas.notices import NoticeKind
from schemas.tables import (
    AcquisitionRow,
    AlertRow,
    DeliveryRow,
    IncidentRow,
    MatchedBatchRow,
    NoticeRow,
    OutboxRow,
    QueryRow,
    ThresholdRow,
    VerdictRow,
)
from schemas.topics import ACQUISITIONS

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 7, 1, 10, 30, 15, 250_123, tzinfo=UTC)
HOLD = timedelta(minutes=1)
FIRE, LAND = np.eye(2, 384, dtype=np.float32)
CELL = cell_at(14.5, 41.2)


@pytest.fixture
def url(postgresql_url: str) -> str:
    migrate(postgresql_url)
    return postgresql_url


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = connect(url)
    yield engine
    engine.dispose()


def at_once(*works: Callable[[], object]) -> list[object]:
    """Do all of it in threads that begin together; an error of any of them is raised here."""
    together, results, errors = threading.Barrier(len(works)), [], []

    def run(work: Callable[[], object]) -> None:
        together.wait()
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001  (raised again below)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def wait_for_lock(engine: Engine, waiting: int = 1) -> None:
    """Until so many connections to this database wait for a lock."""
    blocked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            if (connection.scalar(blocked) or 0) >= waiting:
                return
        time.sleep(0.01)
    pytest.fail("nobody waits for a lock")


def count(engine: Engine, table: type[Base]) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


# --- schema


def test_migrations_make_the_tables_of_today(engine: Engine, url: str) -> None:
    migrate(url)  # a second time changes nothing
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


class Waiting:
    """A Python process that has imported what it needs, and goes on when all of its kind are told to."""

    def __init__(self, code: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> str:
        said, errors = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, errors
        return said


MIGRATING = """
import sys
import alembic.command, psycopg
from schemas.database import migrate
print("ready", flush=True)
sys.stdin.readline()
migrate(sys.argv[1])
"""


def test_processes_that_migrate_at_once_wait_for_each_other(postgresql_url: str) -> None:
    processes = [Waiting(MIGRATING, postgresql_url) for _ in range(3)]
    for step in (Waiting.ready, Waiting.go, Waiting.end):
        for process in processes:
            step(process)


def test_a_schema_of_old_is_brought_up_to_date(engine: Engine, url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    with engine.connect() as connection:  # what the quick look at start compares
        head = ScriptDirectory.from_config(config).get_current_head()
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == head
    command.downgrade(config, "base")
    migrate(url)
    assert count(engine, OutboxRow) == 0


# --- times and transactions


def test_times_come_back_in_utc(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW timezone")) == "America/Lima"
    noon = datetime(2026, 6, 1, 14, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
    with transaction(engine) as session:
        session.add(OutboxRow(topic="t", key="k", value=b"v", written_at=noon))
    with reading(engine) as session:
        got = session.scalars(select(OutboxRow.written_at)).one()
    assert got == noon
    assert got.utcoffset() == timedelta(0)


def test_all_queries_of_a_reading_see_one_moment(engine: Engine) -> None:
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(OutboxRow)) == 0
        with transaction(engine) as other:
            other.add(OutboxRow(topic="t", key="k", value=b"v", written_at=NOW))
        assert session.scalar(select(func.count()).select_from(OutboxRow)) == 0
    assert count(engine, OutboxRow) == 1


def test_a_server_that_goes_away_is_a_named_error_without_the_password(new_postgresql: Callable) -> None:  # type: ignore[type-arg]
    server = new_postgresql()
    url = server.url.replace("postgres@", "postgres:hunter2@")
    migrate(url)
    engine = connect(url)
    with pytest.raises(StoreUnavailable) as during, transaction(engine) as session:
        session.execute(text("SELECT 1"))
        server.stop()
        session.execute(text("SELECT 1"))
    with pytest.raises(StoreUnavailable) as after, reading(engine) as session:
        session.execute(text("SELECT 1"))
    with pytest.raises(StoreUnavailable) as migrating:
        migrate(url)
    for caught in (during, after, migrating):
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert "hunter2" not in str(caught.value)
    server.start()
    assert count(engine, OutboxRow) == 0  # the same engine works again
    engine.dispose()


# --- outbox

FLUSHING = """
import sys
from pathlib import Path
from schemas import outbox
from schemas.database import connect

class Broker:
    def __init__(self, path): self.file = open(path, "ab", buffering=0)
    def send(self, records):
        for record in records: self.file.write(record.value + b"\\n")

engine, broker, over = connect(sys.argv[1]), Broker(sys.argv[2]), Path(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
while not over.exists():
    outbox.flush(engine, broker)
"""


def test_two_processes_that_flush_at_once_lose_nothing(engine: Engine, url: str, tmp_path: Path) -> None:
    def write(number: int) -> OutboxRow:
        return OutboxRow(topic="t", key="k", value=b"%d" % number, written_at=datetime.now(UTC))

    with transaction(engine) as session:
        session.add_all(write(number) for number in range(1000))
    files, over, written = [tmp_path / "sent-0", tmp_path / "sent-1"], tmp_path / "over", 1000
    processes = [Waiting(FLUSHING, url, str(file), str(over)) for file in files]
    for process in processes:
        process.ready()
    for process in processes:
        process.go()
    while written < 1050 or not all(file.stat().st_size for file in files):
        with transaction(engine) as session:
            session.add(write(written))
        written += 1
    over.touch()
    for process in processes:
        process.end()
    sent = [int(line) for file in files for line in file.read_text().split()]
    with reading(engine) as session:
        left = [int(value) for value in session.scalars(select(OutboxRow.value))]
    assert set(sent) | set(left) == set(range(written))
    assert len(sent) >= 1000


# --- standing queries


def test_revisions_of_queries_are_unique_and_seen_in_order(engine: Engine) -> None:
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        held = StandingQueries()
        while not done.is_set():
            held.refresh(engine)
        held.refresh(engine)
        seen.extend([query_id.int for query_id in held.ids])

    watcher = threading.Thread(target=watch)
    watcher.start()
    at_once(*[lambda n=n: [queries.add(engine, f"sentence {n} {i}") for i in range(8)] for n in range(5)])
    done.set()
    watcher.join()
    with reading(engine) as session:
        rows = session.execute(select(QueryRow.query_id, QueryRow.revision)).all()
    assert sorted(row.revision for row in rows) == list(range(1, 41))
    assert seen == sorted(row.query_id.int for row in rows)  # a matcher that read all the while has missed none


def test_changes_at_once_each_make_a_version(engine: Engine) -> None:
    name = str(queries.add(engine, "burn scar").query.query_id)
    at_once(*[lambda n=n: queries.change(engine, name, threshold=n / 10) for n in range(6)])
    assert queries.show(engine, name).version == 7


def test_a_sentence_finds_its_twin(engine: Engine) -> None:
    queries.add(engine, '50% of_\\ "Flood"')
    assert queries.add(engine, '50% OF_\\ "flood"').notes
    assert not queries.add(engine, '50x of-\\ "flood"').notes


# --- matching


class FakeEncoder:
    release = "fake-1"

    def texts(self, sentences):  # type: ignore[no-untyped-def]
        return np.stack([FIRE for _ in sentences])


class EmptyArchive:
    def count(self, **_):  # type: ignore[no-untyped-def]
        return 0

    def history(self, **_):  # type: ignore[no-untyped-def]
        return [], np.empty((0, 384), np.float32)


class FakeBroker:
    def __init__(self) -> None:
        self.values: list[bytes] = []

    def send(self, records) -> None:  # type: ignore[no-untyped-def]
        self.values += [record.value for record in records]


def matcher(engine: Engine, broker: FakeBroker) -> Matcher:
    settings = MatcherSettings()
    calibrator = Calibrator(engine, EmptyArchive(), FakeEncoder(), settings)
    return Matcher(engine, broker, calibrator, "fake-1", settings)


def acquisition(name: str = "scene", version: int = 1, item: str = "item-a") -> Acquisition:
    return Acquisition(
        acquisition_id=stable_id("acquisition", name, item, version),
        physical_key=f"s2/{name}",
        processed_at=NOW + timedelta(hours=version),
        source="test",
        collection="c",
        item_id=item,
        sensor="s2",
        sensing_at=NOW,
        published_at=NOW,
        seen_at=NOW,
        footprint=to_geojson(CELL.polygon),
        assets={},
        allowed_hosts=(),
    )


def batch(scene: Acquisition) -> EmbeddingBatch:
    return EmbeddingBatch(
        acquisition=scene,
        release="fake-1",
        batch=0,
        batches=1,
        cells=(CELL.id,),
        vectors=FIRE[None],
        baselines=LAND[None],
        baseline_counts=(3,),
    )


def test_matchers_that_take_one_batch_at_once_open_one_incident(engine: Engine) -> None:
    for sentence in ("fire", "flood", "smoke"):
        queries.add(engine, sentence, threshold=0.1)
    enter_one(engine, acquisition())
    brokers = [FakeBroker() for _ in range(3)]
    matchers = [matcher(engine, broker) for broker in brokers]
    at_once(*[one.prepare for one in matchers])
    assert count(engine, ThresholdRow) == 6  # computed by all of them at the same time
    at_once(*[lambda one=one: one.handle(batch(acquisition())) for one in matchers])
    assert [count(engine, table) for table in (IncidentRow, AlertRow, MatchedBatchRow)] == [3, 3, 1]
    assert len({value for broker in brokers for value in broker.values if b'"alert_id"' in value}) == 3
    assert state_of(engine, acquisition()) == "matched"


def test_a_scene_that_is_superseded_while_it_is_matched_stays_superseded(engine: Engine) -> None:
    enter_one(engine, acquisition())
    with transaction(engine) as session:  # the poller has taken a newer version, and is not done yet
        ledger.take(session, read(acquisition(version=2)))
        session.flush()
        matching = threading.Thread(target=lambda: matcher(engine, FakeBroker()).handle(batch(acquisition())))
        matching.start()
        wait_for_lock(engine)
    matching.join()
    assert (state_of(engine, acquisition()), state_of(engine, acquisition(version=2))) == ("superseded", "queued")


def test_a_scene_that_is_matched_while_it_is_superseded_stays_matched(engine: Engine) -> None:
    enter_one(engine, acquisition())
    with transaction(engine) as session:  # the matcher is about to commit
        session.get_one(AcquisitionRow, acquisition().acquisition_id).state = "matched"
        session.flush()
        polling = threading.Thread(target=enter_one, args=(engine, acquisition(version=2)))
        polling.start()
        wait_for_lock(engine)
    polling.join()
    assert (state_of(engine, acquisition()), state_of(engine, acquisition(version=2))) == ("matched", "queued")


# --- ledger


def read(one: Acquisition) -> Reading:
    return Reading(one, (), shapely.geometry.shape(one.footprint), True)


def enter_one(engine: Engine, one: Acquisition) -> Outcome:
    with transaction(engine) as session:
        ledger.alone(session)
        return ledger.take(session, read(one))


def state_of(engine: Engine, one: Acquisition) -> str:
    with reading(engine) as session:
        return session.get_one(AcquisitionRow, one.acquisition_id).state


def test_pollers_that_take_one_scene_at_once_announce_it_once(engine: Engine) -> None:
    for number in range(5):
        outcomes = at_once(
            *[
                lambda i=i, n=number: enter_one(engine, acquisition(f"scene {n}", item=f"item-{n}-{i}"))
                for i in range(4)
            ]
        )
        assert sorted(outcomes) == [Outcome.IGNORED] * 3 + [Outcome.NEW]
    same = at_once(*[lambda: enter_one(engine, acquisition("same"))] * 4)
    assert sorted(same) == [Outcome.KNOWN] * 3 + [Outcome.NEW]
    assert count(engine, OutboxRow) == 6


def test_what_postgresql_cannot_store_becomes_a_dead_letter(engine: Engine) -> None:
    source = Source("test", "http://127.0.0.1/", ("c",), NOW, None, ("data.example",), None)
    one = Pass(engine, None, source, "c", Window(), None, NOW)
    item = {
        "type": "Feature",
        "collection": "c",
        "geometry": to_geojson(CELL.polygon),
        "properties": {"datetime": "2026-07-01T10:00:00Z", "platform": "sentinel-2c", "grid:code": "X" * 400},
        "assets": {name: {"href": f"https://data.example/{name}.tif"} for name in ("B02", "B03", "B04", "B08", "B12")},
    }
    report = PollReport("test")
    enter(one, Page(tuple({**item, "id": name} for name in ("nul\x00", "lone \ud800", "long"))), report)
    assert report.failed == 3
    reasons = " ".join(letter.reason for letter in dead_letters.list_dead_letters(engine))
    assert reasons.count("without a usable id") == 2
    assert "is no name" in reasons
    origin = dead_letters.Origin(ACQUISITIONS, 0, 0, b"k\x00", b'{"item_id": "nul\\u0000"}')
    letter = dead_letters.dead_letter(origin, error="E", reason="nul \x00", service="encoder", attempts=1)
    dead_letters.record(engine, letter)
    assert dead_letters.show(engine, letter.dead_letter_id).reason == "nul \x00"
    assert len(dead_letters.list_dead_letters(engine)) == 4


# --- deliveries


def alert(number: int = 1, sequence: int = 1) -> Alert:
    incident = Incident(
        incident_id=stable_id("incident", number),
        query_id=stable_id("query"),
        query_version=1,
        state=IncidentState.OPENED,
        cells=(CELL.id,),
        sensors=("s2",),
        item_ids=("item-a",),
        first_sensing_at=NOW,
        last_sensing_at=NOW,
        opened_at=NOW,
        score=0.4,
    )
    return Alert(
        alert_id=stable_id("alert", number),
        sequence=sequence,
        kind=IncidentState.OPENED,
        query="burn scar",
        mode=Mode.APPEARANCE,
        incident=incident,
        geometry=to_geojson(CELL.polygon),
        matches=(),
        sent_at=NOW,
    )


def store(engine: Engine, *alerts: Alert) -> None:
    with transaction(engine) as session:
        session.add_all(
            AlertRow(
                alert_id=one.alert_id,
                sequence=one.sequence,
                incident_id=one.incident.incident_id,
                query_id=one.incident.query_id,
                kind=one.kind.value,
                message=one.model_dump_json(),
                sent_at=one.sent_at,
            )
            for one in alerts
        )


def test_notifiers_that_take_one_alert_at_once_plan_it_once(engine: Engine) -> None:
    store(engine, alert())
    planned = at_once(*[lambda: deliveries.plan(engine, alert(), ["duty", "desk"])] * 4)
    assert sorted(planned) == [0, 0, 0, 2]
    assert count(engine, DeliveryRow) == 2


def test_services_that_find_the_same_at_once_raise_and_clear_one_notice(engine: Engine) -> None:
    matter = Matter(NoticeKind.DRIFT, None, "budget")

    def said(say: Callable[..., object]) -> bool:
        with transaction(engine) as session:
            return say(session, matter, Finding("far more alarms than promised")) is not None

    for say in (raise_notice, clear_notice, raise_notice):
        assert sorted(at_once(*[lambda say=say: said(say)] * 4)) == [False, False, False, True]
    assert count(engine, NoticeRow) == 3


def test_no_delivery_is_claimed_twice(engine: Engine) -> None:
    alerts = [alert(number, sequence) for number in range(15) for sequence in (1, 2)]
    store(engine, *alerts)
    for one in alerts:
        deliveries.plan(engine, one, ["duty", "desk"])

    def work() -> list[tuple[str, int]]:
        mine = []
        while (due := deliveries.claim(engine, HOLD)) is not None:
            mine.append((f"{due.alert.alert_id} {due.receiver}", due.alert.sequence))
            deliveries.delivered(engine, due)
        return mine

    claimed = [each for mine in at_once(work, work, work) for each in mine]  # type: ignore[attr-defined]
    later = datetime.now(UTC) + 2 * LOOK_AGAIN  # for messages of what others were sending
    while (due := deliveries.claim(engine, HOLD, now=later)) is not None:
        claimed.append((f"{due.alert.alert_id} {due.receiver}", due.alert.sequence))
        deliveries.delivered(engine, due)
    assert len(claimed) == len(set(claimed)) == 60


def test_what_another_notifier_is_claiming_is_passed_over(engine: Engine) -> None:
    store(engine, alert(1), alert(2))
    for number in (1, 2):
        deliveries.plan(engine, alert(number), ["duty"])
    with transaction(engine) as session:
        first = session.scalars(
            select(DeliveryRow).order_by(DeliveryRow.next_attempt_at).limit(1).with_for_update()
        ).one()
        due = deliveries.claim(engine, HOLD)
        assert due is not None
        assert due.delivery_id != first.delivery_id
        assert deliveries.claim(engine, HOLD) is None


def test_a_failure_leaves_alone_what_another_notifier_claims_meanwhile(engine: Engine) -> None:
    store(engine, alert(1), alert(2))
    for number in (1, 2):
        deliveries.plan(engine, alert(number), ["duty"])
    failing = deliveries.claim(engine, HOLD)
    assert failing is not None
    with transaction(engine) as session:  # what claim does, before it commits
        other = session.scalars(select(DeliveryRow).where(DeliveryRow.attempts == 0).with_for_update()).one()
        fails = threading.Thread(target=deliveries.failed, args=(engine, failing, "down", timedelta(0), 9))
        fails.start()
        wait_for_lock(engine)
        other.attempts, other.error = 1, deliveries.BEING_SENT
        other.next_attempt_at = datetime.now(UTC) + HOLD
    fails.join()
    with reading(engine) as session:
        rows = {row.delivery_id: (row.attempts, row.error) for row in session.scalars(select(DeliveryRow))}
    assert rows == {failing.delivery_id: (1, "down"), other.delivery_id: (1, deliveries.BEING_SENT)}


# --- routes


def routed(engine: Engine, folder: Path, **settings: object) -> None:
    for name in ("screen", "desk"):
        receivers.add(engine, name, "terminal")
    whole = {"name": "all", "receivers": ("screen", "desk"), **settings}
    routes.add(engine, routes.checked(engine, folder, whole))


def test_notifiers_that_gather_at_once_open_one_window_and_tear_no_digest_apart(engine: Engine, tmp_path: Path) -> None:
    routed(engine, tmp_path, wait_s=60)
    alerts = [alert(number) for number in range(12)]
    store(engine, *alerts)
    now = datetime.now(UTC)
    at_once(*[lambda one=one: deliveries.plan(engine, one, [], now) for one in alerts])
    with reading(engine) as session:
        assert set(session.scalars(select(DeliveryRow.next_attempt_at))) == {now + timedelta(seconds=60)}

    def work() -> list[tuple[str, int]]:
        mine = []
        later = now + timedelta(seconds=61)
        while (due := deliveries.claim(engine, HOLD, together=["screen", "desk"], now=later)) is not None:
            mine.append((due.receiver, len(due.alerts)))
            deliveries.delivered(engine, due)
        return mine

    told = [each for mine in at_once(work, work, work) for each in mine]  # type: ignore[attr-defined]
    assert sorted(told) == [("desk", 12), ("screen", 12)]


def test_notifiers_that_remind_at_once_write_each_step_once(engine: Engine, tmp_path: Path) -> None:
    routed(engine, tmp_path, repeat_s=600, steps=({"after_s": 300, "receivers": ("desk",)},))
    alerts = [alert(number, sequence) for number in range(5) for sequence in (1, 2)]
    store(engine, *alerts)
    now = datetime.now(UTC) - timedelta(hours=1)
    at_once(*[lambda one=one: deliveries.plan(engine, one, [], now) for one in alerts])
    while (due := deliveries.claim(engine, HOLD)) is not None:
        deliveries.delivered(engine, due)
    later = now + timedelta(seconds=601)
    written = at_once(*[lambda: reminders.remind(engine, later)] * 4)
    assert sum(written) == 5 * (2 + 1)
    with reading(engine) as session:
        occasions = list(session.scalars(select(DeliveryRow.occasion).where(DeliveryRow.occasion != "")))
    assert sorted(set(occasions)) == ["repeat 1", "step 1"]


def test_of_many_who_answer_at_once_one_is_first(engine: Engine) -> None:
    store(engine, alert())
    which = str(alert().alert_id)
    people = [f"person {number}" for number in range(6)]
    taken = at_once(*[lambda one=one: answers.acknowledge(engine, which, person=one) for one in people])
    assert [each.first for each in taken].count(True) == 1  # type: ignore[attr-defined]
    assert len({each.person for each in taken}) == 1  # type: ignore[attr-defined]
    at_once(*[lambda: answers.judge(engine, which[:8], "false", person="Ada", reason="cloud")] * 4)
    assert count(engine, VerdictRow) == 1
