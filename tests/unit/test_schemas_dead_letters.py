"""Dead letters are kept once, shown, and sent again as they came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from schemas import dead_letters
from schemas.database import connect, migrate
from schemas.dead_letters import Origin
from schemas.errors import NotFound, StoreUnavailable
from schemas.messages import DeadLetter
from schemas.publisher import Record
from schemas.topics import ACQUISITIONS, ALERTS


class Broker:
    def __init__(self) -> None:
        self.records: list[Record] = []
        self.down = False

    def send(self, records: Iterable[Record]) -> None:
        if self.down:
            raise StoreUnavailable("no broker")
        self.records += records


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'tocsin.sqlite'}"
    migrate(url)
    made = connect(url)
    yield made
    made.dispose()


def letter(value: bytes = b'{"item_id": "S2C"}', *, key: bytes | None = b"k", reason: str = "404") -> DeadLetter:
    origin = Origin(ACQUISITIONS, 1, 2, key, value)
    return dead_letters.dead_letter(origin, error="UnreadableAsset", reason=reason, service="encoder", attempts=1)


def test_the_same_bad_message_twice_is_one_dead_letter(engine: Engine) -> None:
    dead_letters.record(engine, letter())
    dead_letters.record(engine, letter(reason="404 again"))
    dead_letters.record(engine, letter(b"other"))
    listed = dead_letters.list_dead_letters(engine)
    assert sorted(one.reason for one in listed) == ["404", "404 again"]


def test_a_letter_keeps_the_bytes_and_survives_json() -> None:
    value = bytes(range(256))
    read = DeadLetter.from_bytes(letter(value).to_bytes())
    assert dead_letters.original(read) == value
    assert dead_letters.original(DeadLetter.from_bytes(letter(b"").to_bytes())) == b""


@pytest.mark.parametrize(
    ("value", "item"),
    [
        (b'{"item_id": "S2C"}', "S2C"),
        (b'{"acquisition": {"item_id": "S1D"}, "cells": []}', "S1D"),
        (b'{"item_id": 7}', None),
        (b"[1]", None),
        (b"\xff", None),
        (b'{"acquisition": "none"}', None),
    ],
)
def test_the_item_is_found_where_there_is_one(value: bytes, item: str | None) -> None:
    assert letter(value).item_id == item


def test_redrive_sends_the_original_and_stamps_it(engine: Engine) -> None:
    dead_letters.record(engine, letter())
    broker = Broker()
    assert dead_letters.redrive(engine, broker, [letter().dead_letter_id]) == 1
    assert broker.records == [Record("acquisitions.v1", b"k", b'{"item_id": "S2C"}')]
    (listed,) = dead_letters.list_dead_letters(engine)
    assert listed.redriven_at is not None
    assert dead_letters.list_dead_letters(engine, redriven=False) == []
    dead_letters.record(engine, letter())
    assert len(dead_letters.list_dead_letters(engine, redriven=False)) == 1, "it died again"


def test_a_redrive_without_broker_stamps_nothing(engine: Engine) -> None:
    dead_letters.record(engine, letter(key=None))
    broker = Broker()
    broker.down = True
    with pytest.raises(StoreUnavailable):
        dead_letters.redrive(engine, broker, [letter(key=None).dead_letter_id])
    assert len(dead_letters.list_dead_letters(engine, redriven=False)) == 1


def test_an_unknown_id_sends_nothing(engine: Engine) -> None:
    dead_letters.record(engine, letter())
    broker = Broker()
    with pytest.raises(NotFound, match="dead-letters list"):
        dead_letters.redrive(engine, broker, [letter().dead_letter_id, uuid4()])
    assert broker.records == []


def test_the_list_can_be_of_one_topic(engine: Engine) -> None:
    dead_letters.record(engine, letter())
    assert dead_letters.list_dead_letters(engine, topic=ALERTS.name) == []
    assert len(dead_letters.list_dead_letters(engine, topic=ACQUISITIONS.name)) == 1
