"""The command line: what it prints, how it ends, and what it must not import."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

import tocsin
from commands.output import table
from schemas.errors import NotFound

Run = Callable[..., "Ended"]
HEAVY = ("torch", "rasterio", "onnxruntime", "qdrant_edge", "qdrant_client", "faust", "kafka", "pystac_client", "scipy")


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """One command in this process, as the `tocsin` script runs it."""
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path / "data"))

    def command(*words: str, check: bool = True) -> Ended:
        monkeypatch.setattr(sys, "argv", ["tocsin", *words])
        with pytest.raises(SystemExit) as end:
            tocsin.main()
            sys.exit(0)
        code = end.value.code if isinstance(end.value.code, int) else int(end.value.code is not None)
        ended = Ended(code, *capsys.readouterr())
        assert not check or ended.returncode == 0, ended.stderr
        return ended

    yield command
    structlog.reset_defaults()  # the command had logs go to this test's stderr
    structlog.contextvars.clear_contextvars()
    logging.basicConfig(force=True)


def test_a_query_lives_and_ends(run: Run) -> None:
    added = json.loads(run("query", "add", "wildfire burn scar", "--bbox", "14,45,15,46", "--json").stdout)
    which = added["query_id"][:8]
    assert added["sentence"] == "wildfire burn scar"
    assert added["area"]["type"] == "Polygon"
    assert json.loads(run("query", "pause", which, "--json").stdout)["status"] == "paused"
    assert json.loads(run("query", "resume", which, "--json").stdout)["status"] == "active"
    changed = json.loads(run("query", "change", which, "--budget", "1/month", "--everywhere", "--json").stdout)
    assert (changed["version"], changed["budget"]["per_days"], changed["area"]) == (2, 30.0, None)
    assert "version 3" in run("query", "change", which, "--threshold", "0.3", "--also", "charred ground").stdout
    assert json.loads(run("query", "change", which, "--by-budget", "--json").stdout)["threshold"] is None
    assert [q["query_id"] for q in json.loads(run("query", "list", "--json").stdout)] == [added["query_id"]]
    run("query", "remove", which)
    assert json.loads(run("query", "list", "--json").stdout) == []
    assert run("query", "show", which, check=False).returncode == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["query", "add", "fire", "--bbox", "1,2,3"], "west,south,east,north"),
        (["query", "add", "fire", "--bbox", "a,b,c,d"], "four numbers"),
        (["query", "add", "fire", "--budget", "often"], "2/week"),
        (["query", "add", "fire", "--mode", "maybe"], "appearance"),
        (["query", "add", "fire", "--sensor", "s3"], "s3"),
        (["query", "add", "   "], "sentence"),
        (["query", "show", "ffffffff"], "tocsin query list"),
        (["query", "change", "ffffffff", "--budget", "1/week"], "tocsin query list"),
        (["query", "change", "ffffffff"], "nothing to change"),
        (["query", "change", "ffffffff", "--budget", "often"], "2/week"),
        (["query", "change", "ffffffff", "--bbox", "1,2,3,4", "--everywhere"], "not both"),
        (["query", "test", "fire", "--since", "yesterday"], "2026-06-01"),
        (["query", "test", "fire", "--budget", "often"], "2/week"),
        (["query", "lint", "  "], "sentence"),
        (["source", "add", "x", "ftp://example.org", "--collection", "c"], "http"),
        (["source", "remove", "nobody"], "nobody"),
        (["poll"], "source add"),
        (["poll", "nobody"], "nobody"),
        (["backfill", "x", "--from", "2026-02-01", "--to", "2026-01-01"], "before"),
        (["backfill", "x", "--from", "yesterday", "--to", "2026-01-01"], "2026-06-01"),
        (["receiver", "add", "r", "webhook", "https://127.0.0.1:1/hook"], "private"),
        (["receiver", "add", "r", "pigeon"], "webhook, email"),
        (["receiver", "add", "r", "terminal", "x"], "no address"),
        (["receiver", "add", "r", "terminal", "--title", "x"], "no title"),
        (["receiver", "test", "nobody"], "receiver list"),
        (["alerts", "explain", "ffffffff"], "tocsin alerts list"),
        (["dead-letters", "redrive"], "--all"),
        (["dead-letters", "show", "zzz"], "no dead letter"),
        (["search", "  "], "blank"),
        (["search", "fire", "--sensor", "s9"], "s1 (radar) or s2"),
        (["encoder", "build", "nano", "--precision", "int4"], "int4"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(run: Run, words: list[str], says: str) -> None:
    ended = run(*words, check=False)
    assert ended.returncode == 2, ended.stderr
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_receiver_lives_and_ends(run: Run, tmp_path: Path) -> None:
    (tmp_path / "hook.key").write_text("a key of more than sixteen\n")
    hook = ("receiver", "add", "duty", "webhook", "https://192.0.2.1/hook", "--allow-private")
    assert "its signing key, shown only now: whsec_" in run(*hook).stdout
    key = str(tmp_path / "hook.key")
    assert "sixteen" not in run("receiver", "rotate", "duty", "--secret-file", key).stdout
    assert "new key" in run("receiver", "rotate", "duty", "--finish").stdout
    letters = ("email", "a@example.org", "b@example.org", "--from", "t@example.org", "--server", "mail.example.org")
    added = json.loads(run("receiver", "add", "post", *letters, "--json").stdout)
    assert (added["to"], added["server"]) == (["a@example.org", "b@example.org"], "mail.example.org:587")
    run("receiver", "add", "feed", "atom", str(tmp_path / "feed"), "--newest", "5", "--base-url", "https://example.org")
    assert json.loads(run("receiver", "test", "feed", "--json").stdout) == {"receiver": "feed", "taken": True}
    assert (tmp_path / "feed" / "alerts.atom").is_file()
    listed = run("receiver", "list").stdout
    assert [line.split()[0] for line in listed.splitlines()[2:]] == ["duty", "feed", "post"]
    assert "sixteen" not in run("receiver", "list", "--json").stdout
    run("receiver", "remove", "post")
    assert [one["name"] for one in json.loads(run("receiver", "list", "--json").stdout)] == ["duty", "feed"]
    assert run("receiver", "refused").stdout == "none\n"
    assert {each["kind"] for each in json.loads(run("receiver", "kinds", "--json").stdout)} >= {"email", "stac"}


def test_a_receiver_that_cannot_be_reached_is_one_line_and_exit_1(run: Run) -> None:
    run("receiver", "add", "duty", "webhook", "http://127.0.0.1:9/", "--allow-private")
    ended = run("receiver", "test", "duty", check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "127.0.0.1: ConnectError" in ended.stderr


def test_debug_shows_where_it_failed(run: Run) -> None:
    with pytest.raises(NotFound):
        run("--debug", "query", "show", "ffffffff")


def test_a_doubtful_sentence_is_added_and_the_doubt_is_said(run: Run) -> None:
    added = json.loads(run("query", "add", "no flooding in Valencia", "--json").stdout)
    assert added["status"] == "active"
    assert [note.split()[1] for note in added["notes"]] == ["negation", "name"]
    assert json.loads(run("query", "add", "flooded fields", "--json").stdout)["notes"] == []
    ended = run("query", "add", "пожар")
    assert "is not understood" in ended.stderr
    assert "query" in ended.stdout


def test_lint_without_an_archive(run: Run) -> None:
    found = json.loads(run("query", "lint", "flooded fields", "a cat on a sofa", "--json").stdout)
    assert [[doubt["kind"] for doubt in one["doubts"]] for one in found] == [[], ["far"]]
    assert "nothing speaks against it" in run("query", "lint", "flooded fields").stdout


def test_a_back_test_over_an_empty_archive_says_so(run: Run, tmp_path: Path) -> None:
    events = tmp_path / "events.geojson"
    events.write_text("{}")
    ended = run("query", "test", "flooded fields", "--events", str(events), check=False)
    assert (ended.returncode, "no features" in ended.stderr) == (2, True)
    ended = run("query", "test", "flooded fields", "--out", str(tmp_path / "out"))
    assert "back-fill it first" in ended.stderr
    assert (tmp_path / "out" / "report.html").is_file()
    report = json.loads(run("query", "test", "flooded fields", "--json").stdout)
    assert (report["version"], report["incidents"], report["lint"]["doubts"]) == (1, [], [])


def test_an_area_file_that_is_none(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "area.geojson"
    file.write_text("not json")
    ended = run("query", "add", "fire", "--area", str(file), check=False)
    assert (ended.returncode, "not JSON" in ended.stderr) == (2, True)


def test_empty_lists_are_json_too(run: Run) -> None:
    assert json.loads(run("source", "list", "--json").stdout) == []
    assert json.loads(run("alerts", "list", "--json").stdout) == {"type": "FeatureCollection", "features": []}
    assert json.loads(run("dead-letters", "list", "--json").stdout) == []
    status = json.loads(run("status", "--json").stdout)
    assert (status["services"], status["budgets"]) == ([], [])
    assert {one["sensor"] for one in json.loads(run("coverage", "--json").stdout)["sensors"]} == {"s1", "s2"}
    assert {one["name"] for one in json.loads(run("encoder", "list", "--json").stdout)} >= {"nano", "closp-rn"}
    assert {one["kind"] for one in json.loads(run("receiver", "list", "--json").stdout)} == {
        "terminal",
        "cap",
        "geojson",
    }


def test_backends_say_what_they_can_or_why_not(run: Run) -> None:
    rows = json.loads(run("encoder", "backends", "--json").stdout)
    assert [row["name"] for row in rows][-1] == "torch"
    assert all(row["usable"] is (row["why"] is None) for row in rows)
    assert "fp32" in run("encoder", "backends").stdout


def test_brackets_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table("Advice", ("what",), [("pip install 'tocsin[openvino]'",), ("[red]fire[/]",)], "none")
    shown = capsys.readouterr().out
    assert "'tocsin[openvino]'" in shown
    assert "[red]fire[/]" in shown


def test_a_release_that_ships_needs_no_building(run: Run) -> None:
    assert json.loads(run("encoder", "build", "nano", "--json").stdout)["release"].startswith("nano-")


def test_a_setting_that_cannot_be_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_ENCODER_BACKEND", "abacus")
    ended = run("status", check=False)
    assert (ended.returncode, "TOCSIN_ENCODER_BACKEND" in ended.stderr) == (2, True)


def test_light_commands_import_nothing_heavy(tmp_path: Path) -> None:
    commands = [["--help"], ["status"], ["query", "add", "flood", "--no-lint"], ["source", "list"]]
    script = (
        "import sys, tocsin\n"
        f"for words in {commands!r}:\n"
        "    sys.argv = ['tocsin', *words]\n"
        "    try:\n        tocsin.main()\n    except SystemExit as end:\n        assert not end.code, end.code\n"
        f"    heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    assert not heavy, (words, heavy)\n"
        "print('all light')\n"
    )
    environment = os.environ | {"TOCSIN_DATA": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("all light\n")


@pytest.mark.parametrize(
    "words",
    [["up"], ["run"], ["demo"], ["search"], ["source", "add"], ["encoder", "pull"], ["encoder", "build"], ["query"]],
)
def test_every_command_explains_itself(run: Run, words: list[str]) -> None:
    assert "Usage" in run(*words, "--help").stdout


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOCSIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_tuning_is_kept_shown_and_used(run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in {"ROUNDS": 1, "CHIPS_PER_RUN": (16,), "READ_THREADS": (4,), "READ_AHEAD": (1,)}.items():
        monkeypatch.setattr(f"encoders.tuning.{name}", few)  # what is fastest is for test_encoders_tuning
    before = {one["name"]: one["tuned"] for one in json.loads(run("encoder", "list", "--json").stdout)}
    assert before["nano"] is None
    tuned = json.loads(run("encoder", "tune", "nano", "--json").stdout)
    (file,) = (cache / "tuned").iterdir()
    assert json.loads(file.read_text()) == tuned
    assert set(tuned["measured"]) == {"threads", "chips_per_run", "read_threads", "read_ahead"}
    listed = {one["name"]: one["tuned"] for one in json.loads(run("encoder", "list", "--json").stdout)}
    assert listed == before | {"nano": tuned["tuned_at"][:10]}
    assert f"tuned {tuned['tuned_at'][:10]}" in run("encoder", "list").stdout


def test_tuning_an_unknown_release(run: Run, cache: Path) -> None:
    ended = run("encoder", "tune", "nobody", check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "no encoder release nobody" in ended.stderr


def test_tuning_where_nothing_can_be_written(run: Run, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    ended = run("encoder", "tune", check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "set TOCSIN_CACHE to another folder" in ended.stderr
