"""Addresses, sizes and imports; what needs a broker is among the integration tests."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from threading import Event, Timer

import pytest

from schemas.errors import Rejected, SettingsError
from schemas.messages import Message
from schemas.publisher import MAX_MESSAGE_BYTES, BrokerWatch, Outgoing, bootstrap_servers
from schemas.settings import Stack

ROOT = Path(__file__).parents[2]


class Text(Message):
    text: str


def announce(data: Path, incarnation: str) -> None:
    (data / "run").mkdir(exist_ok=True)
    (data / "run" / "broker.json").write_text(json.dumps({"bootstrap": "127.0.0.1:9", "incarnation": incarnation}))


def test_a_named_broker_wins_over_the_embedded_one(tmp_path: Path) -> None:
    announce(tmp_path, "a")
    assert bootstrap_servers(Stack(data=tmp_path, kafka="one:9092,two:9092")) == "one:9092,two:9092"
    assert bootstrap_servers(Stack(data=tmp_path, kafka="")) == "127.0.0.1:9"


def test_without_a_broker_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TOCSIN_KAFKA"):
        bootstrap_servers(Stack(data=tmp_path, kafka=""))


def test_a_broker_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    timer = Timer(0.2, announce, [tmp_path, "a"])
    timer.start()
    assert bootstrap_servers(Stack(data=tmp_path, kafka=""), patience=timedelta(seconds=30)) == "127.0.0.1:9"
    timer.join()


def test_waiting_for_a_broker_can_be_stopped(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(SettingsError):
        bootstrap_servers(Stack(data=tmp_path, kafka=""), patience=timedelta(hours=1), stop=stop)


def test_another_broker_is_noticed_and_an_absent_one_is_not(tmp_path: Path) -> None:
    announce(tmp_path, "a")
    watch = BrokerWatch(Stack(data=tmp_path, kafka=""))
    assert not watch.changed()
    (tmp_path / "run" / "broker.json").unlink()
    assert not watch.changed()
    announce(tmp_path, "b")
    assert watch.changed()
    assert not BrokerWatch(Stack(data=tmp_path, kafka="one:9092")).changed()


def test_the_first_broker_to_come_is_no_other(tmp_path: Path) -> None:
    watch = BrokerWatch(Stack(data=tmp_path, kafka=""))
    announce(tmp_path, "a")
    assert not watch.changed()
    announce(tmp_path, "b")
    assert watch.changed()


def test_a_message_that_no_topic_takes_is_refused() -> None:
    with pytest.raises(Rejected, match="takes"):
        Outgoing("alerts.v1", "k", Text(text="x" * MAX_MESSAGE_BYTES)).record()


def test_light_modules_import_no_kafka_client() -> None:
    code = (
        "import sys; import schemas.bus, schemas.outbox, schemas.dead_letters, schemas.publisher;"
        "print([name for name in ('kafka', 'faust', 'aiokafka') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
