"""Brokers and processes that the integration tests share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from schemas.publisher import ensure_topics
from schemas.settings import Stack
from schemas.topics import TOPICS

with warnings.catch_warnings():  # kafka-python 3.0.12 reads its resources in a way that Python 3.11 deprecates
    warnings.filterwarnings("ignore", "(read|open)_text is deprecated", DeprecationWarning)
    import kafka  # noqa: F401

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("TOCSIN_SHARED", ROOT.parent / "shared"))
PARTITIONS = 4


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of one Apache Kafka node, for the whole session."""
    script = SHARED / "kafka" / "broker.py"
    if not script.exists():
        pytest.skip(f"no {script}: it runs a real Apache Kafka (TOCSIN_SHARED names its parent folder)")
    if _java_version() < 17:
        pytest.skip("Apache Kafka needs java 17 or newer (apt-get install openjdk-17-jre-headless)")
    data = tmp_path_factory.mktemp("kafka")
    with subprocess.Popen([sys.executable, script, "--data", data], stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("bootstrap "):
                pytest.fail(f"Apache Kafka did not start: {line}")
            yield line.split()[1]
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module", params=["tansu", "apache", "named"])
def kafka_bootstrap(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a broker whose topics are there and empty: Tansu, Apache Kafka, and the one of TOCSIN_TEST_KAFKA.

    The topics of a named broker are deleted first: name one that is there for tests.
    """
    if request.param == "named" and not os.environ.get("TOCSIN_TEST_KAFKA"):
        pytest.skip("TOCSIN_TEST_KAFKA names no broker")
    with ExitStack() as stack:
        if request.param == "tansu":
            from embedded.broker import running

            settings = Stack(data=tmp_path_factory.mktemp("tansu"), kafka="", partitions=PARTITIONS)
            yield stack.enter_context(running(settings)).bootstrap
        else:
            named = request.param == "named"
            address = os.environ["TOCSIN_TEST_KAFKA"] if named else str(request.getfixturevalue("apache_kafka"))
            _start_afresh(address)
            yield address


@pytest.fixture
def empty_kafka(apache_kafka: str) -> str:
    """Address of an Apache Kafka that has none of our topics."""
    _delete_topics(apache_kafka)
    return apache_kafka


def _start_afresh(bootstrap: str) -> None:
    """Delete our topics with what other modules left in them, and create them again."""
    _delete_topics(bootstrap)
    ensure_topics(bootstrap, partitions=PARTITIONS, replication=1)


def _delete_topics(bootstrap: str) -> None:
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        ours = {name for topic in TOPICS for name in topic.all_names}
        if there := sorted(ours & set(admin.list_topics())):
            admin.delete_topics(there)
            while ours & set(admin.list_topics()):
                time.sleep(0.05)
    finally:
        admin.close()


@dataclass
class Postgresql:
    """A scratch PostgreSQL cluster on the loopback, which loses everything on a crash of the machine, and is faster so.

    Attributes:
        binaries: Folder of initdb and pg_ctl.
        folder: Of the cluster; its parent must let the server's user in.
        port: On 127.0.0.1.
    """

    binaries: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Of its first database, for those who make others."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        """Make its folder."""
        self.folder.mkdir()
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off "
            "-c shared_buffers=16MB -c timezone=America/Lima"  # not UTC: times must not depend on it
        )
        self._run("pg_ctl", "-w", "-o", options, "-l", str(self.folder / "server.log"), "start")

    def stop(self) -> None:
        """End it at once, whoever is connected."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        as_its_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        command = [*as_its_user, self.binaries / program, "-D", self.folder, *arguments]
        log = self.folder.parent / f"{program}.log"
        with log.open("ab") as output:  # a file: the server keeps it open, and a pipe would never end
            done = subprocess.run(command, stdout=output, stderr=output, cwd=self.folder.parent, check=False)
        if done.returncode:
            pytest.fail(f"{program} {' '.join(arguments)}: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def new_postgresql() -> Iterator[Callable[[], Postgresql]]:
    """Makes and starts PostgreSQL clusters, and stops them at the end."""
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL: pip install 'tocsin[postgresql]'")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "/none")]
    if not found[-1].exists():
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    made: list[Postgresql] = []
    with tempfile.TemporaryDirectory(prefix="tocsin-postgresql-") as name:
        parent = Path(name)
        parent.chmod(0o755)  # pytest's own folders let nobody else in

        def make() -> Postgresql:
            one = Postgresql(found[-1].parent, parent / f"cluster-{len(made)}", _free_port())
            one.create()
            made.append(one)
            one.start()
            return one

        yield make
        for one in made:
            if (one.folder / "postmaster.pid").exists():
                one.stop()


@pytest.fixture(scope="session")
def postgresql_server(new_postgresql: Callable[[], Postgresql]) -> Postgresql:
    """One PostgreSQL, for the whole session."""
    return new_postgresql()


@pytest.fixture
def postgresql_url(postgresql_server: Postgresql) -> Iterator[str]:
    """URL of a fresh, empty database."""
    from sqlalchemy import create_engine, make_url, text

    name = f"test_{uuid4().hex}"
    engine = create_engine(postgresql_server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(postgresql_server.url).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _java_version() -> int:
    java = shutil.which("java")
    if java is None:
        return 0
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    return int(said.split('"')[1].split(".")[0])


@dataclass
class Echo:
    """`echo_service.py` in its own process, started again whenever it ends, as a supervisor would."""

    data: Path
    environment: dict[str, str]
    exits: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its log goes to a file that a failing test shows."""
        self.data.mkdir(exist_ok=True)
        with (self.data / "echo.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, Path(__file__).parent / "echo_service.py"],
                env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | self.environment,
                stderr=log,
                stdout=log,
            )

    def signal(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.process = None
        return status

    def effects(self) -> set[str]:
        """What it has done."""
        return set(self._column("select item from effects"))

    def calls(self) -> list[str]:
        """What it has been given, in order."""
        return self._column("select item from calls order by rowid")

    def wait_until(self, done: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Wait, starting it again when it ends by itself."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if self.process is not None and (status := self.process.poll()) is not None:
                self.exits.append(status)
                self.start()
            if time.monotonic() > deadline:
                log = (self.data / "echo.log").read_text()[-6000:]
                pytest.fail(f"not done within {timeout_s} s; effects: {sorted(self.effects())[:50]}; log: {log}")
            time.sleep(0.03)

    def stop(self) -> None:
        """End it however it stands."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _column(self, query: str) -> list[str]:
        file = self.data / "book.sqlite"
        if not file.exists():
            return []
        with closing(sqlite3.connect(file, timeout=30)) as database:
            try:
                return [str(row[0]) for row in database.execute(query)]
            except sqlite3.OperationalError as error:  # the tables are not there yet
                if "no such table" in str(error):
                    return []
                raise


@pytest.fixture
def new_echo(tmp_path: Path) -> Iterator[Callable[..., Echo]]:
    """Makes echo services, each a consumer group of its own, and ends them after the test."""
    made: list[Echo] = []

    def make(**environment: str) -> Echo:
        name = f"echo-{uuid4().hex[:8]}"
        settings = {
            "TOCSIN_DATA": str(tmp_path / name),
            "TOCSIN_PARTITIONS": str(PARTITIONS),
            "TOCSIN_BUS_PRODUCTION": "false",
            "TOCSIN_BUS_FIRST_PAUSE_S": "0.05",
            "ECHO_NAME": name,
        }
        echo = Echo(tmp_path / name, settings | environment)
        made.append(echo)
        return echo

    yield make
    for echo in made:
        echo.stop()


@dataclass
class Feed:
    """A running STAC server of the feed of real scenes.

    Attributes:
        port: Of the API; assets and control are on the next one.
    """

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def release(self, until: str) -> None:
        body = json.dumps({"until": until}).encode()
        ask = urllib.request.Request(f"http://127.0.0.1:{self.port + 1}/control", body, method="POST")
        with urllib.request.urlopen(ask, timeout=120) as answer:
            answer.read()


NewFeed = Callable[..., AbstractContextManager[Feed]]


@pytest.fixture(scope="session")
def new_feed(shared: Path) -> NewFeed:
    """Starts a third-party STAC server of the feed: `with new_feed("geoparquet", "--nasty") as feed`."""
    feed = shared / "feed"
    if not (feed / "serve.py").is_file():
        pytest.skip(f"needs the feed of real pixels ({feed} is absent)")

    @contextmanager
    def start(backend: str, *options: str) -> Iterator[Feed]:
        if backend == "pgstac" and not _has_postgis():
            pytest.skip("needs PostgreSQL with PostGIS (Debian: apt-get install postgresql-15-postgis-3)")
        port = _free_ports()
        command = [_python(backend, feed), feed / "serve.py", "--port", port, "--backend", backend, *options]
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            _wait(process, port + 1)
            yield Feed(port)
        finally:
            process.terminate()
            process.communicate(timeout=60)

    return start


def _has_postgis() -> bool:
    return bool(list(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))) and bool(
        list(Path("/usr/share/postgresql").glob("*/extension/postgis.control"))
    )


def _python(backend: str, feed: Path) -> Path:
    """An interpreter that has the server's packages."""
    variable = "TOCSIN_TEST_FEED_PYTHON" if backend == "geoparquet" else "TOCSIN_TEST_PGSTAC_PYTHON"
    if variable in os.environ:
        return Path(os.environ[variable])
    folder = ROOT / f".venv-feed-{backend}"
    ready = folder / "ready"
    if not ready.exists():
        pip = [folder / "bin/pip", "install", "-q", "-r", feed / f"requirements-{backend}.txt"]
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
            (folder / ".gitignore").write_text("*\n")
            subprocess.run([str(part) for part in pip], check=True, capture_output=True, timeout=280)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"the packages of the {backend} server cannot be installed ({error}); set {variable}")
        ready.touch()
    return folder / "bin/python"


def _free_ports() -> int:
    """A port whose neighbour is free as well."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    raise OSError("no two neighbouring ports are free")


def _wait(process: subprocess.Popen[bytes], control_port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError("the feed's server ended at start; run it by hand to see why")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{control_port}/control", timeout=2).read()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the feed's server did not start in two minutes")
