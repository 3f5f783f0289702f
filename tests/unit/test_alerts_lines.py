"""Messages in words: alerts, notices, several at once, and nothing that moves a cursor."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from alerts.settings import NotifierSettings
from alerts.telling import receivers
from alerts.telling.deliveries import Due
from alerts.telling.kinds.geojson_files import GeojsonFiles
from alerts.telling.kinds.kind import Telling
from alerts.telling.kinds.terminal import write_line
from alerts.telling.lines import group_text, line
from alerts.telling.notify import tell
from schemas.messages import stable_id


def due(*told, occasion: str = "") -> Due:
    return Due(stable_id("d"), "screen", 1, told[-1], told, (), occasion)


def telling(*told) -> Telling:
    return Telling("screen", "key", told, NotifierSettings())


def test_a_notice_is_one_line_whether_raised_or_over(desk):
    raised, over = desk.notice(), desk.notice(cleared=True)
    short = str(raised.notice_id)[:8]
    assert line(raised) == f"NOTICE: not watched: not seen for 21 days [{short} #1]"
    assert line(over) == f"NOTICE: not watched, over: not seen for 21 days [{short} #2]"


def test_what_is_told_again_says_so(desk):
    message = desk.alert()
    assert line(message).startswith("ALERT burn scar: opened, 3 km2")
    assert line(message, "repeat 2").startswith("AGAIN, nobody has acknowledged: ALERT burn scar")
    assert line(message, "step 1").startswith("ESCALATED, nobody has acknowledged: ALERT burn scar")


def test_several_have_a_subject_and_a_line_each_as_they_stand_now(desk):
    first, second = desk.alert("fire"), desk.alert("fire", 2)
    flood = desk.alert("flood", query="flooded fields \x1b[2J")
    subject, text = group_text([first, second, flood, desk.notice()])
    assert subject == "2 alerts and 1 notice: burn scar, flooded fields  [2J"
    assert [each.split(",")[0] for each in text.splitlines()] == [
        "ALERT burn scar: growing",
        "ALERT flooded fields  [2J: opened",
        f"NOTICE: not watched: not seen for 21 days [{text.splitlines()[2].split('[')[1]}",
    ]
    assert "\x1b" not in text


def test_several_messages_of_one_alert_are_one_line(desk):
    first, second = desk.alert("fire"), desk.alert("fire", 2)
    subject, text = group_text([first, second], "repeat 1")
    assert text == line(second) + "\n"
    assert subject == line(second, "repeat 1")


def test_many_sentences_are_counted_and_simulated_ones_named(desk):
    messages = [desk.alert(str(number), query=f"query {number}", simulated=True) for number in range(5)]
    subject, text = group_text(messages, "step 2")
    assert subject == ("ESCALATED, nobody has acknowledged: SIMULATED 5 alerts: query 0, query 1, query 2 and 2 more")
    assert text.count("\n") == 5


def test_the_terminal_gets_several_in_one_writing(desk):
    stream = io.StringIO()
    write_line(telling(desk.alert("fire"), desk.alert("flood")), stream)
    assert [each.split(":")[0] for each in stream.getvalue().splitlines()] == [
        "2 alerts",
        "ALERT burn scar",
        "ALERT burn scar",
    ]
    stream = io.StringIO()
    message = desk.alert("other")
    write_line(telling(message), stream)
    assert stream.getvalue() == line(message) + "\n"


@pytest.mark.parametrize("occasion", ["", "repeat 3"])
def test_programs_get_notices_and_occasions_as_geojson(desk, tmp_path, occasion):
    receiver = receivers.Receiver("files", GeojsonFiles(folder=str(tmp_path / "files")))
    for message in (desk.alert(), desk.notice()):
        tell(desk.engine, receiver, replace(due(message, occasion=occasion), told=message), NotifierSettings())
    found = [json.loads(path.read_text())["features"][0] for path in sorted((tmp_path / "files").iterdir())]
    (notice,) = [each for each in found if each["properties"].get("type") == "notice"]
    (alert,) = [each for each in found if each is not notice]
    assert notice["geometry"] is None
    assert (notice["properties"]["kind"], notice["properties"]["text"]) == ("blind", "not seen for 21 days")
    assert alert["properties"].get("occasion", "") == occasion
