"""Handing one letter to a mail server, within one deadline, whatever the server does.

Flows in: a letter and its recipients. Flows out: who has it, who will never take it, who may later. Stops before trying
again (`deliveries`).

The standard library gives each read a timeout of its own, so a server that sends a byte now and then holds it for ever,
and it reads as many lines of an answer as a server sends. Here a timer closes the connection, and answers have a limit.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from io import BufferedReader
from threading import Timer
from typing import Any

from schemas.errors import DeliveryFailed, DeliveryRefused

MOST_ANSWER_BYTES = 1_000_000
"""All that a server may say in one connection; a usual one says two thousand bytes."""
UNLIMITED = 2**63
Write = Callable[[int], EmailMessage]
"""Makes the letter, of at most so many bytes if it can."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where letters go.

    Attributes:
        host: Name or address.
        port: TCP.
        security: starttls, tls or none.
        context: How certificates are checked; none without TLS.
        user: Empty: without login.
        password: Never shown.
    """

    host: str
    port: int
    security: str
    context: ssl.SSLContext | None
    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(slots=True)
class Outcome:
    """What became of a letter.

    Attributes:
        taken: Recipients for whom the server took it.
        refused: Recipient and reason: never (5xx).
        later: Recipient and reason: not now (4xx).
    """

    taken: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)


def send(server: Server, sender: str, recipients: Sequence[str], write: Write, timeout_s: float) -> Outcome:
    """Hand a letter over once.

    Args:
        server: Where to.
        sender: Of the envelope.
        recipients: Of the envelope.
        write: Makes the letter.
        timeout_s: For all of it, seconds.

    Raises:
        DeliveryFailed: no recipient was decided: the server is down, slow, untrusted, or refuses us.
        DeliveryRefused: the server will not take this letter for anybody.
    """
    try:
        with _connected(server, timeout_s) as client:
            return _hand_over(client, sender, recipients, write)
    except smtplib.SMTPAuthenticationError as error:
        said = _said(error, server)
        raise DeliveryFailed(f"{server.host} does not accept the login of {server.user}: {said}") from error
    except smtplib.SMTPResponseException as error:
        raise DeliveryFailed(f"{server.host} answered {_said(error, server)}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise DeliveryFailed(f"{server.host}: {type(error).__name__}: {_line(str(error))}") from error
    except ValueError as error:  # an answer that is no SMTP at all
        raise DeliveryFailed(f"{server.host} does not speak SMTP: {_line(str(error))}") from error


def _hand_over(client: _Client, sender: str, recipients: Sequence[str], write: Write) -> Outcome:
    """One transaction, command by command: the library's own would not say who is refused for now."""
    most = str(client.esmtp_features.get("size", "")).strip()
    message = write(int(most) if most.isdecimal() and int(most) > 0 else UNLIMITED)
    outcome, open_for = Outcome(), []
    _expect(client.mail(sender), 250)
    for recipient in recipients:
        code, answer = client.rcpt(recipient)
        if code in (250, 251):
            open_for.append(recipient)
        elif code == 421:
            raise smtplib.SMTPResponseException(code, answer)
        else:
            (outcome.refused if 500 <= code < 600 else outcome.later)[recipient] = _answer(code, answer)
    if open_for:
        code, answer = client.data(message.as_bytes())
        if 500 <= code < 600:
            raise DeliveryRefused(f"the mail server will not take this letter: {_answer(code, answer)}")
        _expect((code, answer), 250)
        outcome.taken += open_for
    return outcome


@contextmanager
def _connected(server: Server, timeout_s: float) -> Iterator[_Client]:
    """A session, encrypted and logged in as asked; a timer cuts it off."""
    client = _Client(timeout=timeout_s)
    clock = Timer(timeout_s, client.cut)
    clock.daemon = True
    clock.start()
    try:
        client.context = server.context if server.security == "tls" else None
        client.server_name = server.host
        code, answer = client.connect(server.host, server.port)
        _expect((code, answer), 220)
        client.ehlo_or_helo_if_needed()
        if server.security == "starttls":
            client.starttls(context=server.context)
            client.ehlo_or_helo_if_needed()
        if server.user:
            client.login(server.user, server.password)
        yield client
        client.goodbye()
    except OSError as error:
        if client.was_cut or "timed out" in str(error):  # on a busy machine the socket may be before the timer
            raise DeliveryFailed(f"{server.host} took more than {timeout_s:g} s") from error
        raise
    finally:
        clock.cancel()
        client.close()
        client.forget()


class _Client(smtplib.SMTP):
    """The library's client with an end to its patience."""

    def __init__(self, timeout: float) -> None:
        """Not connected yet."""
        super().__init__(timeout=timeout)
        self.context: ssl.SSLContext | None = None
        self.server_name = ""
        self.was_cut = False
        self._line: socket.socket | None = None

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect, keep a second handle on the connection, and encrypt from the first byte where that is asked for."""
        plain = _reached(host, port, timeout)
        plain.settimeout(timeout)
        self._line = plain.dup()  # the first is given up when TLS begins
        self._host = self.server_name  # STARTTLS checks the certificate's name against it
        if self.context is None:
            return plain
        try:
            return self.context.wrap_socket(plain, server_hostname=self.server_name)
        except BaseException:
            plain.close()
            raise

    def getreply(self) -> tuple[int, bytes]:
        """As the library does, but never more than the limit."""
        if self.file is None and self.sock is not None:
            self.file = _Limited(self.sock.makefile("rb"))
        return super().getreply()

    def data(self, msg: Any) -> tuple[int, bytes]:
        """As the library does, but a refusal of the command itself is an answer like any other."""
        try:
            return super().data(msg)
        except smtplib.SMTPDataError as error:
            said = error.smtp_error
            return error.smtp_code, said if isinstance(said, bytes) else said.encode()

    def goodbye(self) -> None:
        """The letter is taken: a server that breaks off now changes nothing."""
        try:
            self.quit()
        except (smtplib.SMTPException, OSError):
            return

    def cut(self) -> None:
        """End the connection, whoever waits on it."""
        self.was_cut = True
        if self._line is not None:
            try:
                self._line.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def forget(self) -> None:
        """Let go of the second handle."""
        if self._line is not None:
            self._line.close()


def _reached(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to a host by the first of its addresses that answers, all of them within one time.

    The library gives each address all of the time: a name with ten that do not answer held the notifier ten times.

    Raises:
        OSError: none answered.
    """
    until = time.monotonic() + timeout
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for number, each in enumerate(found):
        left = max(until - time.monotonic(), 0.001)
        try:
            return socket.create_connection((str(each[4][0]), port), left / (len(found) - number))
        except OSError:
            if number == len(found) - 1:
                raise
    raise OSError(f"{host} has no address")


class _Limited:
    """A stream of answers that ends at a limit."""

    def __init__(self, stream: BufferedReader) -> None:
        """Nothing read yet."""
        self._stream, self._left = stream, MOST_ANSWER_BYTES

    def readline(self, size: int = -1) -> bytes:
        """One line.

        Raises:
            OSError: it was too much.
        """
        line = self._stream.readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise OSError(f"more than {MOST_ANSWER_BYTES} bytes of answers")
        return line

    def close(self) -> None:
        """Close what is read from."""
        self._stream.close()


def _expect(reply: tuple[int, bytes], code: int) -> None:
    if reply[0] != code:
        raise smtplib.SMTPResponseException(*reply)


def _said(error: smtplib.SMTPResponseException, server: Server) -> str:
    """An answer without what the server repeats of the login: the password, plain or as it was sent."""
    said = error.smtp_error if isinstance(error.smtp_error, bytes) else error.smtp_error.encode()
    password = server.password.encode()
    login = f"\0{server.user}\0".encode() + password
    for secret in (b64encode(login), b64encode(password), password):
        said = said.replace(secret, "…".encode()) if password else said
    return _answer(error.smtp_code, said)


def _answer(code: int, answer: bytes) -> str:
    return f"{code} {_line(answer.decode('utf-8', 'replace'))}".strip()


def _line(text: str) -> str:
    """What somebody else says, in one short line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
