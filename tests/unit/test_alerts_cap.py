"""The life of an incident as CAP messages, against the OASIS schema and against our stricter rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from alerts.settings import NotifierSettings
from alerts.telling.cap import CANCELLED, cap
from alerts.telling.kinds.kind import Earlier, Telling
from alerts.telling.notify import trial_alert
from alerts.telling.words import SENTENCES, STATES
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


def notice(sequence: int = 1, *, cleared: bool = False, geometry: dict[str, object] | None = None) -> Notice:
    return Notice(
        notice_id=stable_id("n"),
        sequence=sequence,
        kind=NoticeKind.BLIND,
        cleared=cleared,
        query="wildfire burn scar",
        subject="s2",
        text="Clouds for a month.",
        geometry=geometry,
        sent_at=sent(sequence),
    )


def sent(sequence: int) -> datetime:
    return NOW + timedelta(hours=sequence)


def told(message: Alert | Notice, **more) -> etree._Element:
    earlier: Sequence[Earlier] = [Earlier(n, sent(n)) for n in range(1, message.sequence)]
    settings = NotifierSettings(cap_sender=SENDER)
    document = etree.fromstring(cap(Telling("files", "key", (message,), settings, earlier=earlier, **more)))
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
    assert set(STATES) == set(SENTENCES) == set(IncidentState)
    assert set(IncidentState) >= CANCELLED


def test_the_first_is_an_alert_and_nothing_that_was_never_told_is_cancelled():
    assert value(told(alert(IncidentState.OPENED, 1)), "msgType") == "Alert"
    document = told(alert(IncidentState.RETRACTED, 1))
    assert (value(document, "msgType"), value(document, "references")) == ("Alert", None)


def test_one_identifier_is_one_document():
    message = alert(IncidentState.GROWING, 2)
    settings, earlier = NotifierSettings(cap_sender=SENDER), [Earlier(1, sent(1))]
    documents = {cap(Telling(name, name, (message,), settings, earlier=earlier)) for name in ("a", "b")}
    assert len(documents) == 1


def test_an_incident_without_any_cell_left():
    empty = {"type": "GeometryCollection", "geometries": []}
    document = told(alert(IncidentState.RETRACTED, 2, cells=(), matches=(), geometry=empty))
    assert value(document, "areaDesc") == "the area of the earlier messages"
    assert value(document, "polygon") is None


def test_tests_and_simulations_are_no_actual_alerts():
    assert value(told(alert(IncidentState.OPENED, 1), is_test=True), "status") == "Test"
    assert value(told(alert(IncidentState.OPENED, 1, simulated=True)), "status") == "Exercise"


def test_notices_are_about_the_watch_itself():
    square = {"type": "Polygon", "coordinates": [[[14, 41], [15, 41], [15, 42], [14, 42], [14, 41]]]}
    document = told(notice(geometry=square))
    assert [value(document, name) for name in ("status", "msgType", "event")] == [
        "System",
        "Alert",
        "Tocsin: not watched",
    ]
    assert value(document, "polygon").startswith("41.000000,14.000000")
    assert value(told(notice(2)), "msgType") == "Update"
    over = told(notice(2, cleared=True))
    assert (value(over, "msgType"), value(over, "urgency")) == ("Cancel", "Past")


def test_an_area_with_very_many_corners_is_told_as_its_box():
    ring = [[14 + i / 10_000, 41 + (i % 2) / 10] for i in range(6000)] + [[14, 42], [14, 41]]
    document = told(notice(geometry={"type": "Polygon", "coordinates": [ring]}))
    assert len(value(document, "polygon").split()) == 5
