"""The life of an incident as CAP messages, against the OASIS schema and against our stricter rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from alerts.settings import NotifierSettings
from alerts.telling.cap import CANCELLED, Earlier, cap
from alerts.telling.kinds.cap_files import CapFiles
from alerts.telling.kinds.kind import Telling
from alerts.telling.notify import trial_alert
from alerts.telling.phrases import SENTENCES
from schemas.messages import Alert, IncidentState, stable_id
from schemas.notices import Notice, NoticeKind

DATA = Path(__file__).parent / "data"
NOW = datetime(2026, 7, 1, 10, 30, 15, tzinfo=UTC)
SENDER = "t@example.org"


def alert(kind: IncidentState, sequence: int, **more) -> Alert:
    base = trial_alert("one", NOW)
    incident = base.incident.model_copy(update={"state": kind, "cells": more.pop("cells", base.incident.cells)})
    fields = {"query": "wildfire burn scar", "simulated": False, "kind": kind, "sequence": sequence}
    return base.model_copy(update=fields | {"incident": incident, "sent_at": sent(sequence)} | more)


def sent(sequence: int) -> datetime:
    return NOW + timedelta(hours=sequence)


def told(message: Alert, **more) -> etree._Element:
    earlier: Sequence[Earlier] = [Earlier(n, sent(n)) for n in range(1, message.sequence)]
    document = etree.fromstring(cap(message, earlier, SENDER, **more))
    etree.XMLSchema(etree.parse(DATA / "CAP-v1.2.xsd")).assertValid(document)
    etree.RelaxNG(etree.parse(DATA / "cap12.rng")).assertValid(document)
    return document


def value(document: etree._Element, name: str) -> str | None:
    found = document.find(f".//{{urn:oasis:names:tc:emergency:cap:1.2}}{name}")
    return None if found is None else found.text


def test_both_rules_refuse_what_is_no_cap():
    document = told(alert(IncidentState.OPENED, 1))
    document.remove(document[3])
    assert not etree.XMLSchema(etree.parse(DATA / "CAP-v1.2.xsd")).validate(document)
    assert not etree.RelaxNG(etree.parse(DATA / "cap12.rng")).validate(document)


@pytest.mark.parametrize(
    ("kind", "type_", "response", "urgency", "certainty"),
    [
        (IncidentState.OPENED, "Update", None, "Unknown", "Possible"),
        (IncidentState.GROWING, "Update", None, "Unknown", "Possible"),
        (IncidentState.CONFIRMED, "Update", None, "Unknown", "Likely"),
        (IncidentState.REOPENED, "Update", None, "Unknown", "Possible"),
        (IncidentState.SPLIT, "Update", None, "Unknown", "Possible"),
        (IncidentState.RESOLVED, "Update", "AllClear", "Past", "Possible"),
        (IncidentState.EXPIRED, "Update", "None", "Unknown", "Possible"),
        (IncidentState.RETRACTED, "Cancel", "None", "Unknown", "Unlikely"),
        (IncidentState.MERGED, "Cancel", "None", "Unknown", "Possible"),
    ],
)
def test_every_turn_of_a_life_has_its_words(kind, type_, response, urgency, certainty):
    document = told(alert(kind, 3))
    assert value(document, "msgType") == type_
    assert value(document, "responseType") == response
    assert value(document, "urgency") == urgency
    assert value(document, "certainty") == certainty
    assert value(document, "references") == " ".join(
        f"{SENDER},{trial_alert('one', NOW).alert_id}-{n},2026-07-01T{10 + n}:30:15-00:00" for n in (1, 2)
    )
    assert (value(document, "expires") is not None) is (kind is IncidentState.EXPIRED)
    assert (value(document, "instruction") is not None) is (kind is IncidentState.RESOLVED)
    assert SENTENCES[kind] in value(document, "description")


def test_no_state_is_without_words():
    assert set(SENTENCES) == set(IncidentState)
    assert set(IncidentState) >= CANCELLED


def test_the_first_is_an_alert_and_nothing_that_was_never_told_is_cancelled():
    assert value(told(alert(IncidentState.OPENED, 1)), "msgType") == "Alert"
    document = told(alert(IncidentState.RETRACTED, 1))
    assert (value(document, "msgType"), value(document, "references")) == ("Alert", None)


def test_one_identifier_is_one_document(tmp_path):
    message, settings = alert(IncidentState.GROWING, 2), NotifierSettings(cap_sender=SENDER)
    for name in ("a", "b"):
        telling = Telling(name, name, (message,), settings, earlier=[Earlier(1, sent(1))])
        CapFiles(folder=str(tmp_path / name)).tell(telling)
    one, other = (path.read_bytes() for path in sorted(tmp_path.glob("*/*.cap.xml")))
    assert one == other == cap(message, [Earlier(1, sent(1))], SENDER)


def test_an_incident_without_any_cell_left():
    empty = {"type": "GeometryCollection", "geometries": []}
    document = told(alert(IncidentState.RETRACTED, 2, cells=(), matches=(), geometry=empty))
    assert value(document, "areaDesc") == "the area of the earlier messages"
    assert value(document, "polygon") is None


def test_tests_and_simulations_are_no_actual_alerts():
    assert value(told(alert(IncidentState.OPENED, 1), is_test=True), "status") == "Test"
    assert value(told(alert(IncidentState.OPENED, 1, simulated=True)), "status") == "Exercise"


def test_notices_have_no_form(tmp_path):
    notice = Notice(
        notice_id=stable_id("n"), sequence=1, kind=NoticeKind.BLIND, subject="s2", text="Clouds.", sent_at=sent(1)
    )
    CapFiles(folder=str(tmp_path)).tell(Telling("files", "key", (notice,), NotifierSettings()))
    assert not CapFiles.tells_notices
    assert list(tmp_path.iterdir()) == []
