"""Fakes that several files share: a GPU that is a processor, a notifier whose clock and receivers are ours."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select

from schemas.database import connect, migrate, reading, transaction
from schemas.errors import DeliveryFailed


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command sends logs to the standard error of its test, which is closed when the next test logs."""
    yield
    structlog.reset_defaults()


@dataclass
class Stream:
    """Does what it is told immediately."""

    cuda_stream: int = 7

    def wait_stream(self, _other: object) -> None:
        pass

    def wait_event(self, _event: object) -> None:
        pass

    def synchronize(self) -> None:
        pass


@dataclass
class CpuAsGpu:
    """What happened on it.

    Attributes:
        log: ``"launch"`` and ``"land"`` in their order.
        recorded: graphs so far.
        released: times that memory was given back.
    """

    log: list[str] = field(default_factory=list)
    recorded: int = 0
    released: int = 0

    def event(self) -> "Event":
        return Event(self)

    def record(self, work: Callable[[], None], _stream: object, _pool: object) -> Callable[[], None]:
        import torch

        # A replayed graph runs no Python, so it cares for no mode of the thread that replays it.
        self.recorded += 1
        work()
        return torch.inference_mode()(work)

    def release(self) -> None:
        self.released += 1


@dataclass
class Event:
    """Notes what it marks; only the event of finished work is ever waited for."""

    gpu: CpuAsGpu

    def record(self, _stream: object) -> None:
        self.gpu.log.append("launch")

    def synchronize(self) -> None:
        self.gpu.log.append("land")


@pytest.fixture
def cpu_as_gpu(monkeypatch: pytest.MonkeyPatch) -> CpuAsGpu:
    """Put it in the place of `encoders.runtimes.cuda`'s primitives."""
    torch = pytest.importorskip("torch", reason="needs the [torch] extra")
    from encoders.runtimes import cuda, nvidia

    gpu, stream = CpuAsGpu(), Stream()
    for name, fake in {
        "DEVICE": "cpu",
        "stream": lambda: stream,
        "current_stream": lambda: stream,
        "event": gpu.event,
        "on": lambda _stream: nullcontext(),
        "host": lambda shape, dtype: torch.zeros(shape, dtype=dtype),
        "device": lambda shape, dtype: torch.zeros(shape, dtype=dtype),
        "recorded": gpu.record,
        "memory_pool": lambda: None,
        "synchronize": lambda: None,
        "release": gpu.release,
    }.items():
        monkeypatch.setattr(cuda, name, fake)
    monkeypatch.setattr(nvidia, "gpu", lambda: nvidia.Gpu("NVIDIA Pretended 24GB", 86))
    return gpu


@dataclass(frozen=True)
class Sent:
    """What a receiver was told at once."""

    receiver: str
    key: str
    messages: tuple[tuple[str, int], ...]
    """Name and sequence of each."""
    occasion: str


class Desk:
    """A notifier on a database of its own; `tell` is ours, and time passes when we say so.

    Attributes:
        told: What receivers have taken, in order.
        down: Names of receivers that take nothing.
    """

    def __init__(self, engine, data: Path, now: datetime) -> None:
        from alerts.settings import NotifierSettings
        from alerts.telling import receivers
        from alerts.telling.notifying import Notifier

        self.engine, self.data, self.now = engine, data, now
        self.told: list[Sent] = []
        self.down: set[str] = set()
        self._names: dict[object, str] = {}
        self.notifier = Notifier(engine, data, NotifierSettings(places=1), lambda: self.now)
        receivers.add(engine, "screen", "terminal")
        for name in ("hook", "chief"):
            receivers.add(engine, name, "geojson", folder=data / name)

    def take(self, _engine, receiver, due, *_) -> None:
        """In the place of `notify.tell`."""
        from alerts.telling.told import id_of

        if receiver.name in self.down:
            raise DeliveryFailed("it is down")
        messages = tuple((self._names[id_of(each)], each.sequence) for each in due.alerts)
        self.told.append(Sent(receiver.name, str(due.delivery_id), messages, due.occasion))

    def alert(self, name: str = "fire", sequence: int = 1, **more):
        """An alert message, stored as the matcher does, with what is given of its fields."""
        from alerts.incidents.announce import outline
        from schemas.cells import cell_at
        from schemas.geometry import to_geojson
        from schemas.messages import Alert, Incident, IncidentState, Mode, stable_id
        from schemas.tables import AlertRow, IncidentRow

        kind = IncidentState(more.get("kind", "opened" if sequence == 1 else "growing"))
        cells = more.get("cells") or tuple(sorted(cell_at(14.5 + 0.015 * i, 41.2).id for i in range(3)))
        query_id = stable_id("query", more.get("query", "burn scar"))
        incident = Incident(
            incident_id=stable_id("incident", name),
            query_id=query_id,
            query_version=1,
            state=IncidentState(more.get("state", kind)),
            cells=cells,
            sensors=more.get("sensors", ("s2",)),
            item_ids=("item-a",),
            first_sensing_at=self.now - timedelta(hours=5),
            last_sensing_at=self.now - timedelta(hours=5),
            opened_at=self.now,
            score=0.4,
        )
        message = Alert(
            alert_id=stable_id("alert", name),
            sequence=sequence,
            kind=kind,
            query=more.get("query", "burn scar"),
            mode=Mode.APPEARANCE,
            incident=incident,
            geometry=to_geojson(outline(cells)),
            matches=(),
            sent_at=more.get("sent_at", self.now),
            simulated=more.get("simulated", False),
        )
        self._names[message.alert_id] = name
        with transaction(self.engine) as session:
            told = incident.model_dump(
                exclude={"schema_version", "cells", "sensors", "item_ids", "expected_every_days"}
            )
            state = incident.state.value
            session.merge(IncidentRow(**told | {"state": state, "told_state": state, "sequence": sequence}))
            session.add(
                AlertRow(
                    alert_id=message.alert_id,
                    sequence=sequence,
                    incident_id=incident.incident_id,
                    query_id=query_id,
                    kind=kind.value,
                    message=message.model_dump_json(),
                    sent_at=message.sent_at,
                )
            )
        return message

    def notice(self, subject: str = "s2", *, cleared: bool = False, query=None):
        """A notice, raised or cleared as services do."""
        from alerts.notices import Finding, Matter, clear_notice, raise_notice
        from schemas.notices import NoticeKind

        with transaction(self.engine) as session:
            tell = clear_notice if cleared else raise_notice
            notice = tell(session, Matter(NoticeKind.BLIND, query, subject), Finding("not seen for 21 days"))
        self._names[notice.notice_id] = f"blind {subject}"
        return notice

    def route(self, name: str = "all", *to: str, before: str | None = None, replace: bool = False, **settings):
        """Add a route to receivers, the screen if none is named; `quiet` as "22:00-07:00 Europe/Berlin"."""
        from alerts.telling import routes
        from alerts.telling.quiet import parse_quiet

        if "quiet" in settings:
            settings["quiet"] = parse_quiet(*settings["quiet"].split())
        whole = {"name": name, "receivers": to or ("screen",), **settings}
        return routes.add(self.engine, routes.checked(self.engine, self.data, whole), before=before, replace=replace)

    def tell(self, *messages) -> None:
        """They come from Kafka."""
        for message in messages:
            self.notifier.handle(message)
            self.notifier.wait()

    def pass_time(self, **length: float) -> list[Sent]:
        """Time passes, then the notifier looks what is due; what was told meanwhile."""
        before = len(self.told)
        self.now += timedelta(**length)
        self.notifier.deliver_due()
        self.notifier.wait()
        return self.told[before:]

    def rows(self) -> list:
        """All deliveries."""
        from schemas.tables import DeliveryRow

        wanted = select(DeliveryRow).order_by(DeliveryRow.sequence, DeliveryRow.occasion, DeliveryRow.receiver)
        with reading(self.engine) as session:
            return list(session.scalars(wanted))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, made once."""
    path = tmp_path_factory.mktemp("empty") / "db.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def desk(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """At ten in the morning, UTC, on a Tuesday in a summer to come."""
    path = tmp_path / "desk.sqlite"
    with closing(sqlite3.connect(empty_database)) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    engine = connect(f"sqlite:///{path}")
    made = Desk(engine, tmp_path, datetime(2031, 7, 1, 10, tzinfo=UTC))
    monkeypatch.setattr("alerts.telling.notifying.tell", made.take)
    yield made
    made.notifier.close()
    engine.dispose()
