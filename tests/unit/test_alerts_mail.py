"""Mail: what a letter says, whom it reaches, and what a mail server can do to us. Real servers, in threads."""

from __future__ import annotations

import asyncio
import email
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from alerts.evidence import artist
from alerts.settings import EvidenceSettings, NotifierSettings
from alerts.telling import receivers
from alerts.telling.cap import Earlier
from alerts.telling.kinds.kind import OneAttempt, Picture, Telling
from alerts.telling.kinds.mail import Mail
from alerts.telling.kinds.registry import made, restored
from alerts.telling.notify import trial_alert
from alerts.telling.notifying import Notifier
from alerts.telling.workshop import OutOfTime
from archive import open_archive
from encoders.settings import EncoderSettings
from schemas.database import connect, migrate, transaction
from schemas.errors import DeliveryFailed, DeliveryRefused, SettingsError, UsageError
from schemas.messages import Alert, IncidentState, stable_id
from schemas.notices import Notice, NoticeKind
from schemas.settings import Stack
from schemas.tables import AlertRow

NOW = datetime(2026, 7, 1, 10, 30, 15, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 10


class Box:
    """What a server does with letters: takes them, unless told otherwise."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], EmailMessage]] = []
        self.answers: dict[str, list[str]] = {}
        self.data_answers: list[str] = []

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        answers = self.answers.get(address, [])
        answer = answers.pop(0) if answers else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.data_answers:
            return self.data_answers.pop(0)
        self.got.append((list(envelope.rcpt_tos), email.message_from_bytes(envelope.content, policy=policy.default)))
        return "250 taken"


class Post(Controller):
    """A server on a port of its own choice, whose thread leaves nothing behind."""

    def __init__(self, box: Box, **more) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        super().__init__(box, hostname="127.0.0.1", port=port, ready_timeout=30, **more)

    def _run(self, ready_event):
        asyncio.set_event_loop(self.loop)
        try:
            super()._run(ready_event)
        finally:
            asyncio.set_event_loop(None)

    def _trigger_server(self):
        """The first connection, which tells that all is well; it need not check the certificate."""
        with socket.create_connection((self.hostname, self.port), 10) as plain:
            if self.ssl_context is None:
                plain.recv(1)
                return
            anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
            with anybody.wrap_socket(plain) as encrypted:
                encrypted.recv(1)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def post(box: Box) -> Iterator[Post]:
    server = Post(box)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that nobody vouches for, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([*make.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def alert(sequence: int = 1, *, name: str = "one", kind: IncidentState = IncidentState.OPENED, **more) -> Alert:
    base = trial_alert(name, NOW)
    sent_at = NOW + timedelta(minutes=sequence)
    fields = {"query": "wildfire burn scar", "simulated": False, "kind": kind, "sequence": sequence, "sent_at": sent_at}
    return base.model_copy(update=fields | more)


def telling(*messages: Alert | Notice, timeout_s: float = 5, **more) -> Telling:
    fields = {"key": str(stable_id("delivery", "duty")), "messages": messages or (alert(),)}
    return Telling("duty", settings=NotifierSettings(timeout_s=timeout_s), **fields | more)


def mail(server: str, *to: str, **more) -> Mail:
    settings = {"to": to or ("duty@example.org",), "from": "tocsin@example.org", "server": server, "security": "none"}
    found = made("email", settings | more)
    assert isinstance(found, Mail)
    return found


def parts(letter: EmailMessage) -> dict[str, EmailMessage]:
    return {part.get_content_type(): part for part in letter.walk() if not part.is_multipart()}


def test_a_letter_has_text_html_and_pictures_that_the_html_shows(post, box):
    picture = Picture("before after.png", "before <and> after", PNG)
    mail(post.address, "duty@example.org", "chief@example.org").tell(telling(pictures=lambda _: [picture]))
    ((recipients, letter),) = box.got
    assert recipients == ["duty@example.org", "chief@example.org"]
    assert letter["To"] == "duty@example.org, chief@example.org"
    assert letter["From"] == "Tocsin <tocsin@example.org>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Message-ID"] == f"<{stable_id('delivery', 'duty')}.tocsin@example.org>"
    assert letter["Date"] == "Wed, 01 Jul 2026 10:31:15 +0000"
    assert letter.get_content_type() == "multipart/alternative"
    found = parts(letter)
    assert "Opened: these cells match" in found["text/plain"].get_content()
    assert "cell 31NAA8833" in found["text/plain"].get_content()
    png = found["image/png"]
    assert png.get_content() == PNG
    assert png.get_filename() == "before_after.png"
    html = found["text/html"].get_content()
    assert f'src="cid:{png["Content-ID"][1:-1]}"' in html
    assert "before &lt;and&gt; after" in html
    assert "<and>" not in html


def test_letters_of_one_incident_thread_and_those_of_another_do_not(post, box):
    receiver = mail(post.address)
    first, second, third = alert(1), alert(2, kind=IncidentState.GROWING), alert(3, kind=IncidentState.RESOLVED)
    earlier = [Earlier(message.sequence, message.sent_at) for message in (first, second)]
    for message, before in ((first, []), (second, earlier[:1]), (third, earlier), (alert(1, name="two"), [])):
        alert_id = message.alert_id
        key = str(stable_id("delivery", alert_id, message.sequence, "duty"))
        receiver.tell(telling(message, key=key, earlier=before))
    letters = [letter for _, letter in box.got]
    ids = [letter["Message-ID"] for letter in letters]
    assert len(set(ids)) == 4
    assert letters[1]["In-Reply-To"] == ids[0]
    assert letters[2]["In-Reply-To"] == ids[1]
    assert str(letters[2]["References"]).split()[-2:] == ids[:2]
    root = str(letters[0]["References"])
    assert all(str(letter["References"]).startswith(root) for letter in letters[:3])
    assert not str(letters[3]["References"]).startswith(root)
    assert {str(letter["Subject"]).removeprefix("Re: ") for letter in letters[:3]} == {str(letters[0]["Subject"])}
    assert "resolved" in parts(letters[2])["text/plain"].get_content().splitlines()[0]


def test_several_messages_are_one_letter(post, box):
    grown = alert(2, kind=IncidentState.GROWING)
    notice = Notice(
        notice_id=stable_id("n"),
        sequence=1,
        kind=NoticeKind.BLIND,
        subject="s2",
        text="Clouds for a month.",
        sent_at=NOW,
    )
    mail(post.address).tell(telling(alert(1), alert(1, name="two", query="flooded fields"), grown, notice))
    ((_, letter),) = box.got
    assert letter["Subject"] == "2 alerts and 1 notice: wildfire burn scar, flooded fields"
    text = parts(letter)["text/plain"].get_content()
    assert text.count("wildfire burn scar: growing") == 1
    assert "wildfire burn scar: opened" not in text
    assert "Clouds for a month." in text


@pytest.mark.parametrize(
    "sentence", ["fire\r\nBcc: all@example.org", "fire\nX: y\n\n<script>", "洪水 \x00\x1b[2J Überschwemmung"]
)
def test_a_sentence_adds_no_header_and_no_markup(post, box, sentence):
    mail(post.address).tell(telling(alert(query=sentence)))
    ((recipients, letter),) = box.got
    assert recipients == ["duty@example.org"]
    assert set(letter.keys()) & {"Bcc", "X"} == set()
    assert "\n" not in str(letter["Subject"])
    assert "<script>" not in parts(letter)["text/html"].get_content()


def test_simulated_tests_and_reminders_say_so_first(post, box):
    receiver = mail(post.address)
    receiver.tell(telling(alert(simulated=True)))
    receiver.tell(telling(is_test=True))
    receiver.tell(telling(occasion="step 1"))
    subjects = [str(letter["Subject"]).strip() for _, letter in box.got]
    assert [subject.split(" ALERT")[0] for subject in subjects] == [
        "SIMULATED",
        "TEST",
        "ESCALATED, nobody has acknowledged:",
    ]
    assert "no real event" in parts(box.got[0][1])["text/plain"].get_content()
    assert "Nothing has happened" in parts(box.got[1][1])["text/plain"].get_content()


def test_who_has_a_letter_does_not_get_it_again(post, box):
    receiver = mail(post.address, "a@example.org", "b@example.org", "c@example.org")
    box.answers = {"b@example.org": ["451 greylisted, come again"], "c@example.org": ["550 no such mailbox"]}
    told = telling(recipients=OneAttempt())
    with pytest.raises(DeliveryFailed, match=r"b@example\.org: 451 greylisted") as failure:
        receiver.tell(told)
    assert not isinstance(failure.value, DeliveryRefused)
    receiver.tell(told)
    assert [recipients for recipients, _ in box.got] == [["a@example.org"], ["b@example.org"]]
    assert told.recipients.settled() == {
        "a@example.org": None,
        "b@example.org": None,
        "c@example.org": "550 no such mailbox",
    }


def test_where_every_mailbox_refuses_it_is_given_up(post, box):
    box.answers = {"duty@example.org": ["550 gone"]}
    with pytest.raises(DeliveryRefused, match="550 gone"):
        mail(post.address).tell(telling())
    assert box.got == []


def test_a_letter_that_is_refused_for_good_is_given_up_and_one_for_now_is_not(post, box):
    box.data_answers = ["554 this is spam", "452 disk full"]
    with pytest.raises(DeliveryRefused, match="554 this is spam"):
        mail(post.address).tell(telling())
    with pytest.raises(DeliveryFailed, match="452 disk full"):
        mail(post.address).tell(telling())
    mail(post.address).tell(telling())
    assert len(box.got) == 1


def test_pictures_are_left_out_where_the_server_takes_no_large_letters(box):
    server = Post(box, data_size_limit=20_000)
    server.start()
    try:
        mail(server.address).tell(telling(pictures=lambda _: [Picture("a.png", "before", PNG + b"x" * 100_000)]))
    finally:
        server.stop()
    found = parts(box.got[0][1])
    assert "image/png" not in found
    assert "pictures were left out" in found["text/plain"].get_content()


@pytest.mark.parametrize("error", [SettingsError("no chips"), ZeroDivisionError("a bug"), MemoryError()])
def test_an_alert_whose_pictures_fail_is_told_without_them(post, box, error):
    def broken(_):
        raise error

    mail(post.address).tell(telling(pictures=broken))
    assert "image/png" not in parts(box.got[0][1])


def test_drawing_may_take_longer_than_the_server_may(post, box):
    def slowly(_):
        time.sleep(1.2)
        return [Picture("a.png", "before", PNG)]

    mail(post.address).tell(telling(pictures=slowly, timeout_s=1))
    assert parts(box.got[0][1])["image/png"].get_content() == PNG


def test_of_several_alerts_those_that_come_too_late_for_a_picture_go_without(post, box):
    asked: list[str] = []

    def slowly(drawn):
        asked.append(drawn.query)
        if len(asked) > 1:
            raise OutOfTime
        return [Picture("a.png", drawn.query, PNG)]

    mail(post.address).tell(telling(alert(), alert(name="two"), alert(name="three"), pictures=slowly))
    text = parts(box.got[0][1])["text/plain"].get_content()
    assert text.count("ALERT") == 0 and text.count("Picture:") == 1 and text.count("Opened:") == 3
    assert len(asked) == 2  # its time is up for all that follow


def test_no_more_is_drawn_than_a_letter_shows(post, box):
    asked: list[str] = []

    def three(drawn):
        asked.append(drawn.query)
        return [Picture(f"{number}.png", drawn.query, PNG) for number in range(3)]

    mail(post.address).tell(telling(*(alert(name=str(number)) for number in range(20)), pictures=three))
    assert len(asked) == 3
    assert parts(box.got[0][1])["text/plain"].get_content().count("Picture:") == 8


def test_the_notifier_sends_the_pictures_that_the_evidence_draws(post, box, tmp_path):
    """From the message to the letter, with the real artist on an empty archive, where it can draw the map."""
    stack = Stack(data=tmp_path)
    migrate(stack.database)
    engine = connect(stack.database)
    settings = {"to": ("duty@example.org",), "from": "tocsin@example.org", "server": post.address, "security": "none"}
    receivers.add(engine, "duty", "email", **settings)
    message = alert()
    with transaction(engine) as session:
        session.add(
            AlertRow(
                alert_id=message.alert_id,
                sequence=1,
                incident_id=message.incident.incident_id,
                query_id=message.incident.query_id,
                kind=message.kind.value,
                message=message.model_dump_json(),
                sent_at=message.sent_at,
            )
        )
    pictures = artist(engine, lambda: open_archive(stack), EvidenceSettings(), EncoderSettings())
    notifier = Notifier(engine, tmp_path, NotifierSettings(), pictures=pictures)
    notifier.handle(message)
    notifier.close()
    ((recipients, letter),) = box.got
    assert recipients == ["duty@example.org"]
    png = parts(letter)["image/png"]
    assert png.get_filename() == "map.png"
    assert png.get_content().startswith(b"\x89PNG\r\n\x1a\n")
    assert "wildfire burn scar" in letter["Subject"]


def test_starttls_and_login_with_a_certificate_that_is_trusted(box, certificate, tmp_path, monkeypatch):
    seen = []

    def login(server, session, envelope, mechanism, data):
        seen.append((data.login, data.password, session.ssl is not None))
        return AuthResult(success=data.password == b"hush", handled=False)

    server = Post(box, tls_context=server_side(certificate), require_starttls=True, authenticator=login)
    server.start()
    try:
        where = f"localhost:{server.port}"
        trusting = {"security": "starttls", "ca_file": str(certificate[0]), "user": "me"}
        (tmp_path / "password").write_text("hush\n")
        mail(where, **trusting, password_file=str(tmp_path / "password")).tell(telling())
        by_environment = mail(where, **trusting, password_env="MAIL_PASSWORD")
        with pytest.raises(DeliveryFailed, match="no MAIL_PASSWORD"):
            by_environment.tell(telling())
        monkeypatch.setenv("MAIL_PASSWORD", "wrong-password")
        with pytest.raises(DeliveryFailed, match="does not accept the login of me") as failure:
            by_environment.tell(telling())
        assert "wrong-password" not in str(failure.value)
        stranger = mail(where, security="starttls")
        with pytest.raises(DeliveryFailed, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.tell(telling())
        with pytest.raises(DeliveryFailed, match=r"not valid for '127\.0\.0\.1'"):
            mail(server.address, security="starttls", ca_file=str(certificate[0])).tell(telling())
    finally:
        server.stop()
    assert seen[0] == (b"me", b"hush", True)
    assert len(box.got) == 1


def test_tls_from_the_first_byte(box, certificate):
    server = Post(box, ssl_context=server_side(certificate))
    server.start()
    try:
        where = f"localhost:{server.port}"
        mail(where, security="tls", ca_file=str(certificate[0])).tell(telling())
        with pytest.raises(DeliveryFailed, match="CERTIFICATE_VERIFY_FAILED"):
            mail(where, security="tls").tell(telling())
    finally:
        server.stop()
    assert len(box.got) == 1


def test_without_starttls_nothing_is_sent_in_the_clear(post, box):
    with pytest.raises(DeliveryFailed, match="STARTTLS"):
        mail(post.address, security="starttls").tell(telling())
    assert box.got == []


def drip(connection: socket.socket) -> None:
    """A greeting, a byte at a time, for ever."""
    for _ in range(200):
        connection.sendall(b"2")
        time.sleep(0.05)


def flood(connection: socket.socket) -> None:
    """A greeting of endless lines."""
    for _ in range(100_000):
        connection.sendall(b"220-welcome\r\n" * 1000)


def nonsense(connection: socket.socket) -> None:
    connection.sendall(b"\xff\xfe GET / HTTP/1.1\r\n\r\n")


def silence(connection: socket.socket) -> None:
    connection.recv(1)


def hang_up(connection: socket.socket) -> None:
    connection.sendall(b"220 hello\r\n")
    connection.recv(1000)


def later(connection: socket.socket) -> None:
    connection.sendall(b"421 too busy\r\n")


def esc(connection: socket.socket) -> None:
    connection.sendall(b"554 \x1b[31mgo away\r\n")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (drip, "took more than"),
        (flood, "1000000 bytes"),
        (nonsense, "127"),
        (silence, "took more than"),
        (hang_up, "unexpectedly closed"),
        (later, "421 too busy"),
        (esc, "554 "),
    ],
)
def test_hostile_servers_cost_one_short_attempt(behaviour, reason):
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with suppress(OSError):
                behaviour(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        receiver = mail(f"127.0.0.1:{server.server_address[1]}")
        try:
            with pytest.raises(DeliveryFailed, match=reason) as failure:
                receiver.tell(telling(timeout_s=0.6))
        finally:
            server.shutdown()
            thread.join()
    assert str(failure.value).isprintable()
    assert len(str(failure.value)) < 400


def test_a_server_that_repeats_the_password_does_not_get_it_into_the_record(tmp_path):
    login = b64encode(b"\0me\0open sesame").decode()

    class Parrot(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 parrot\r\n")
            for line in self.rfile:
                said = line.decode().strip()
                if said.startswith("ehlo"):
                    self.wfile.write(b"250-parrot\r\n250 AUTH PLAIN\r\n")
                else:
                    self.wfile.write(f"535 no: {said}, that is open sesame\r\n".encode())

    (tmp_path / "password").write_text("open sesame")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Parrot) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        where = f"127.0.0.1:{server.server_address[1]}"
        try:
            with pytest.raises(DeliveryFailed, match="the login of me: 535 no: AUTH PLAIN …, that") as it:
                mail(where, user="me", password_file=str(tmp_path / "password")).tell(telling())
        finally:
            server.shutdown()
            thread.join()
    assert "sesame" not in str(it.value)
    assert login not in str(it.value)


def test_all_addresses_of_a_server_have_one_time_together(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 25)) for number in range(4)]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    given: list[tuple[str, float]] = []

    def silent(address, timeout):
        given.append((address[0], timeout))
        raise TimeoutError("timed out")

    monkeypatch.setattr("socket.create_connection", silent)
    with pytest.raises(DeliveryFailed, match="took more than"):
        mail("mail.example.org:25").tell(telling(timeout_s=60))
    assert [address for address, _ in given] == [f"192.0.2.{number}" for number in range(4)]
    for (_, timeout), share in zip(given, (4, 3, 2, 1), strict=True):  # of what is left, and no time has passed
        assert 0 < timeout <= 60 / share


def test_a_server_that_is_not_there():
    with pytest.raises(DeliveryFailed, match="ConnectionRefusedError"):
        mail("127.0.0.1:9").tell(telling())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"to": ()}, "1 to 50"),
        ({"to": tuple(f"a{n}@b.c" for n in range(51))}, "1 to 50"),
        ({"to": ("a@b.c\r\nBcc: d@e.f",)}, "recipient"),
        ({"to": ("Duty <a@b.c>",)}, "recipient"),
        ({"to": ("dütÿ@example.org",)}, "ASCII"),
        ({"from": ""}, "--from"),
        ({"server": ""}, "--server"),
        ({"server": "a b"}, "--server"),
        ({"server": "mail:0"}, "--server"),
        ({"security": "ssl"}, "starttls"),
        ({"user": "me"}, "belong together"),
        ({"password_env": "X"}, "belong together"),
        ({"user": "me", "password_env": "X", "security": "none"}, "unencrypted"),
        ({"user": "me", "password_env": "X", "password_file": __file__}, "not both"),
        ({"user": "me", "password_file": "/nowhere/pw"}, "cannot be read"),
        ({"ca_file": __file__}, "no certificates"),
        ({"pictures": "many"}, "no pictures"),
    ],
)
def test_settings_that_are_refused(settings, reason):
    good = {"to": ("a@b.c",), "from": "t@b.c", "server": "mail.example.org"}
    with pytest.raises(UsageError, match=reason):
        made("email", good | settings)


def test_ports_follow_security_and_no_password_is_stored_or_shown(tmp_path):
    (tmp_path / "pw").write_text("hush")
    made_with = {"to": ("a@b.c", "a@b.c"), "from": "t@b.c", "server": "mail.example.org", "user": "me"}
    found = made("email", made_with | {"security": "tls", "password_file": str(tmp_path / "pw")})
    stored = found.stored()
    assert stored["server"] == "mail.example.org:465"
    assert stored["to"] == ["a@b.c"]
    assert "hush" not in str(stored) + str(found.shown()) + repr(found)
    assert restored("email", stored) == found
