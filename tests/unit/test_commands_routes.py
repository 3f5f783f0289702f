"""Routes, silences and answers on the command line."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select

import tocsin
from alerts import queries
from alerts.answers import verdicts_on
from alerts.telling import deliveries, receivers, routes
from commands.options import parse_duration
from schemas.database import reading
from schemas.errors import UsageError
from schemas.messages import stable_id
from schemas.tables import IncidentRow

FIRE = str(stable_id("alert", "fire"))[:8]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """One command on the desk's database; status, stdout, stderr."""
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path))
    monkeypatch.setenv("TOCSIN_DATABASE_URL", str(desk.engine.url))

    def command(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["tocsin", *words])
        with pytest.raises(SystemExit) as end:
            tocsin.main()
            sys.exit(0)
        return (end.value.code or 0, *capsys.readouterr())

    yield command
    structlog.reset_defaults()


def test_a_route_is_added_listed_tested_replaced_and_removed(desk, run):
    words = ("route", "add", "night", "--to", "screen", "--kind", "confirmed", "--bbox", "14,41,15,42", "--wait", "30s")
    status, shown, _ = run(*words, "--quiet", "22:00-07:00", "--zone", "Europe/Rome", "--escalate", "15m:chief,hook")
    assert (status, shown) == (0, "route night: confirmed, in an area → screen\n")
    desk.alert()
    status, shown, _ = run("route", "test", FIRE)
    assert status == 0
    assert "it is opened, not confirmed" in shown
    assert "no route takes it: every receiver is told at once" in shown
    (listed,) = json.loads(run("route", "list", "--json")[1])
    assert (listed["wait_s"], listed["quiet"]["zone"], listed["steps"][0]["after_s"]) == (30, "Europe/Rome", 900)
    assert run("route", "add", "night", "--to", "chief", "--repeat", "4h", "--replace")[0] == 0
    assert "takes everything" in run("route", "add", "all", "--to", "chief", "--before", "night")[2]
    tested = json.loads(run("route", "test", FIRE, "--json")[1])
    assert [(each["route"], each["taken"], each["why"]) for each in tested["routes"]] == [
        ("all", True, "it takes everything"),
        ("night", False, "route all has taken it and does not go further"),
    ]
    assert run("route", "remove", "night")[0] == 0
    assert run("route", "remove", "night")[0] == 2
    assert "all" in run("route", "list")[1]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--to", "pigeon"), "no receiver 'pigeon'"),
        ((), "say whom it tells"),
        (("--to", "screen", "--nobody"), "say whom it tells"),
        (("--to", "screen", "--quiet", "22:00-07:00", "--zone", "Mars/Olympus"), "time zone 'Mars/Olympus'"),
        (("--to", "screen", "--wait", "soon"), "--wait 'soon'"),
        (("--to", "screen", "--escalate", "15m"), "--escalate '15m'"),
        (("--to", "screen", "--escalate", "15m:"), "--escalate '15m:'"),
        (("--to", "screen", "--escalate", "15m:pigeon"), "no receiver 'pigeon'"),
        (("--to", "screen", "--only", "letters"), "what.0"),
        (("--to", "screen", "--zone", "UTC"), "about quiet hours"),
        (("--to", "screen", "--break-through"), "about quiet hours"),
        (("--to", "screen", "--replace", "--before", "two"), "--replace keeps the place"),
        (("--to", "screen", "--query", "abcd"), "no standing query"),
    ],
)
def test_routes_that_are_refused(run, words, reason):
    status, _, error = run("route", "add", "one", *words)
    assert status == 2
    assert reason in error


def test_a_self_crossing_area_is_refused_everywhere(run, tmp_path):
    file = tmp_path / "bow-tie.geojson"
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    file.write_text(json.dumps(bow_tie))
    for words in (("route", "add", "one", "--to", "screen"), ("silence", "add", "why", "--by", "Ada", "--for", "1h")):
        status, _, error = run(*words, "--area", str(file))
        assert status == 2
        assert "not valid" in error


def test_a_silence_is_added_shown_and_ended(desk, run):
    made = json.loads(run("silence", "add", "drill", "--by", "Ada", "--everything", "--for", "1d", "--json")[1])
    assert (made["author"], made["state"], made["kept"]) == ("Ada", "in force", 0)
    which = made["silence_id"][:8]
    message = desk.alert()
    deliveries.plan(desk.engine, message, ["screen"])
    assert FIRE in run("silence", "show", which)[1]
    assert f"silence {which} is in force" in run("route", "test", FIRE)[1]
    assert f"silence {which}" in run("alerts", "show", FIRE)[1]
    assert "in force" in run("silence", "list")[1]
    assert json.loads(run("status", "--json")[1])["counts"]["silences_in_force"] == 1
    assert run("silence", "end", which, "--by", "Bo") == (0, f"silence {which} is over\n", "")
    assert run("silence", "list")[1] == "none\n"
    assert "over" in run("silence", "list", "--all")[1]
    assert run("silence", "end", which, "--by", "Bo")[0] == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "say when it ends"),
        (("--for", "1h", "--until", "2031-01-01"), "say when it ends"),
        (("--until", "2020-01-01", "--everything"), "no time left"),
        (("--from", "2031-01-02", "--until", "2031-01-01", "--everything"), "no time left"),
        (("--for", "1h"), "--everything"),
        (("--for", "800d", "--everything"), "a year at most"),
        (("--until", "tomorrow", "--everything"), "no date or time"),
    ],
)
def test_silences_that_are_refused(run, words, reason):
    status, _, error = run("silence", "add", "why", "--by", "Ada", *words)
    assert status == 2
    assert reason in error


def test_answers_are_given_and_shown(desk, run):
    desk.alert()
    assert run("alerts", "ack", FIRE, "--by", "Ada", "--note", "called")[1] == f"Ada has alert {FIRE} in hand\n"
    assert "nothing changed" in run("alerts", "ack", FIRE, "--by", "Bo")[1]
    status, shown, _ = run("alerts", "verdict", FIRE, "false", "--reason", "cloud", "--by", "Bo", "--note", "thin")
    assert (status, shown) == (0, f"verdict of Bo on alert {FIRE}: false (cloud)\n")
    with reading(desk.engine) as session:
        (incident,) = session.scalars(select(IncidentRow))
    assert (incident.state, incident.why) == ("retracted", "Bo: cloud")
    shown = run("alerts", "show", FIRE)[1]
    assert "in hand: Ada since" in shown
    assert "verdict of Bo: false (cloud) thin" in shown
    found = json.loads(run("alerts", "show", FIRE, "--json")[1])["properties"]
    assert found["verdicts"][0]["reason"] == "cloud"
    assert json.loads(run("alerts", "verdict", FIRE, "unsure", "--json")[1])["person"]


@pytest.mark.parametrize(
    "words",
    [
        ("alerts", "ack", "abcd1234", "--by", "Ada"),
        ("alerts", "verdict", "abcd1234", "true"),
        ("alerts", "show", "abcd1234"),
        ("route", "test", "abcd1234"),
    ],
)
def test_a_gone_alert_is_a_clear_error(run, words):
    status, _, error = run(*words)
    assert status == 2
    assert "there is no alert 'abcd1234'" in error


def test_failed_deliveries_are_listed_with_their_reason_and_sent_again(desk, run):
    desk.tell(desk.alert(), desk.alert("flood"))
    due = {row.receiver: row for row in desk.rows() if row.state == "delivered"}
    assert run("alerts", "failed")[1] == "none: everything was delivered or is on its way\n"
    for name in ("hook", "chief"):
        told = deliveries.Due(due[name].delivery_id, name, 20, desk.alert(f"other {name}"))
        deliveries.give_up(desk.engine, told, "hook answered 500")
    failed = json.loads(run("alerts", "failed", "--json")[1])
    assert [(each["receiver"], each["error"]) for each in failed] == [
        ("chief", "hook answered 500"),
        ("hook", "hook answered 500"),
    ]
    assert len(json.loads(run("alerts", "failed", "--receiver", "hook", "--json")[1])) == 1
    assert run("alerts", "redeliver")[0] == 2
    assert run("alerts", "redeliver", "abcd")[0] == 2
    assert run("receiver", "redrive", "pigeon")[0] == 2
    desk.told.clear()
    assert json.loads(run("receiver", "redrive", "hook", "--json")[1]) == {"redelivered": 1}
    which = failed[0]["delivery_id"][:8]
    assert run("alerts", "redeliver", which)[1] == "1 due again: the notifier attempts them\n"
    assert sorted(sent.receiver for sent in desk.pass_time()) == ["chief", "hook"]
    assert {sent.key for sent in desk.told} == {each["delivery_id"] for each in failed}
    assert json.loads(run("alerts", "redeliver", "--all", "--json")[1]) == {"redelivered": 0}
    assert receivers.list_receivers(desk.engine, desk.data)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("1.5h", 5400), ("2d", 172_800), ("1W", 604_800)]
)
def test_lengths_of_time(text, seconds):
    assert parse_duration(text, "--for").total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 years", "1e9s", "99999d", "nan s"])
def test_lengths_of_time_that_are_refused(text):
    with pytest.raises(UsageError, match="no length of time"):
        parse_duration(text, "--for")


def test_the_commands_of_the_document_do_what_it_says(desk, run):
    for name in ("duty-officer", "foresters", "pager", "deputy"):
        receivers.add(desk.engine, name, "terminal")
    query = queries.add(desk.engine, "wildfire burn scar").query
    message = desk.alert()
    deliveries.plan(desk.engine, message, ["duty-officer"])
    given_up = deliveries.Due(desk.rows()[0].delivery_id, "duty-officer", 20, message)
    deliveries.give_up(desk.engine, given_up, "it was down")
    ids = {"QUERY": str(query.query_id), "ALERT": FIRE, "DELIVERY": str(given_up.delivery_id)}
    text = (Path(tocsin.__file__).parent / "docs" / "telling.md").read_text()
    commands = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    assert len(commands) > 15
    for line in commands:
        words = [ids.get(word, word) for word in shlex.split(line)]
        status, shown, error = run(*words[1:])
        assert (words[0], status) == ("tocsin", 0), f"{line}: {error}"
        if words[1:3] == ["silence", "add"]:
            ids["SILENCE"] = shown.split()[1].rstrip(":")
    assert [route.name for route in routes.list_routes(desk.engine)] == [
        "drills",
        "on-call",
        "night",
        "burn-scars",
        "duty",
    ]
    (verdict,) = verdicts_on(desk.engine, message.alert_id)
    assert (verdict.answer.value, verdict.reason) == ("true", None)
    assert desk.rows()[0].state == "pending"
