"""E-mail: one letter for each message, text and HTML with its pictures, in one thread for each incident.

Flows in: what is told. Flows out: a letter at a mail server, for each recipient who has not had it. Stops before the
letter's layout (`letter`) and before the wire (`smtp`).
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, Self

import structlog
from pydantic import Field

from alerts.telling.kinds.kind import Kind, Telling
from alerts.telling.letter import letter
from alerts.telling.pictures import drawn
from alerts.telling.smtp import Server, send
from schemas.errors import DeliveryFailed, DeliveryRefused, UsageError

PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""Where a mail server listens when nobody says otherwise (RFC 8314, section 7; RFC 5321)."""
MOST_RECIPIENTS = 50
"""A server must take a hundred (RFC 5321, section 4.5.3.1.8); more people than this want a mailing list."""
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:(?P<port>\d{1,5}))?")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

log = structlog.get_logger(__name__)


class Mail(Kind):
    """E-mail over SMTP.

    Attributes:
        to: Addresses, bare.
        sender: Address that letters come from.
        server: HOST or HOST:PORT.
        security: starttls, tls (from the first byte) or none.
        user: At the server; empty: without login.
        password_env: Environment variable of the notifier with the password.
        password_file: File with the password, read at every attempt.
        ca_file: Certificates to trust instead of the system's, PEM.
    """

    name: ClassVar[str] = "email"
    gathers: ClassVar[bool] = True
    illustrates: ClassVar[bool] = True
    about: ClassVar[str] = "a letter with pictures, one thread for each incident"
    target: ClassVar[str] = "to"

    to: tuple[str, ...] = ()
    sender: str = Field(default="", alias="from")
    server: str = ""
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_env: str = ""
    password_file: str = ""
    ca_file: str = ""

    def checked(self) -> Self:
        """With the server's port and absolute paths."""
        _check_address(self.sender, "the sender (--from)")
        for address in self.to:
            _check_address(address, "a recipient")
        if not 1 <= len(set(self.to)) <= MOST_RECIPIENTS:
            raise UsageError(f"a mail receiver has 1 to {MOST_RECIPIENTS} recipients, not {len(set(self.to))}")
        host, port = _host_port(self.server, self.security)
        if self.user and self.security == "none" and host not in _LOOPBACK:
            raise UsageError(f"a password would travel to {host} unencrypted: use --security starttls or tls")
        if bool(self.user) != bool(self.password_env or self.password_file):
            raise UsageError("--user and its password (--password-env or --password-file) belong together")
        if self.password_env and self.password_file:
            raise UsageError("give --password-env or --password-file, not both")
        update: dict[str, object] = {"to": tuple(dict.fromkeys(self.to)), "server": f"{_bracketed(host)}:{port}"}
        for field in ("password_file", "ca_file"):
            if path := str(getattr(self, field)):
                update[field] = _readable(path)
        if self.ca_file:
            _trust(str(update["ca_file"]))
        return self.model_copy(update=update)

    def stored(self) -> dict[str, object]:
        """Addresses and where the password is; never the password."""
        return self.model_dump(mode="json", by_alias=True)

    def shown(self) -> dict[str, object]:
        """What is set."""
        return {name: value for name, value in self.stored().items() if value}

    def tell(self, telling: Telling) -> None:
        """Send the letter to every recipient who has not had it and has not refused it."""
        settled = telling.recipients.settled()
        waiting = [address for address in self.to if address not in settled]
        refusals = {address: why for address, why in settled.items() if why is not None}
        if waiting:
            pictures = drawn(telling)  # slow: before the server has to wait for us, and within no time of its own
            outcome = send(
                self._server(),
                self.sender,
                waiting,
                lambda most_bytes: letter(telling, pictures, self.sender, self.to, most_bytes),
                telling.settings.timeout_s,
            )
            for address in outcome.taken:
                telling.recipients.settle(address)
            for address, why in outcome.refused.items():
                telling.recipients.settle(address, why)
            refusals |= outcome.refused
            if outcome.later:
                raise DeliveryFailed(f"not yet taken: {_listed(outcome.later)}")
        if refusals:
            log.warning("mail recipients refused", receiver=telling.receiver, refusals=refusals)
        if set(refusals) >= set(self.to):
            raise DeliveryRefused(f"refused for good: {_listed(refusals)}")

    def _server(self) -> Server:
        host, port = _host_port(self.server, self.security)
        context = None if self.security == "none" else _trust(self.ca_file)
        return Server(host, port, self.security, context, self.user, self._password())

    def _password(self) -> str:
        if self.password_env:
            if (password := os.environ.get(self.password_env)) is None:
                raise DeliveryFailed(f"the notifier's environment has no {self.password_env} with the mail password")
            return password
        if self.password_file:
            try:
                return Path(self.password_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise DeliveryFailed(f"mail password file {self.password_file} cannot be read: {error}") from error
        return ""


def _check_address(address: str, whose: str) -> None:
    if not _ADDRESS.fullmatch(address) or len(address) > 254:
        raise UsageError(f"mail address {address!r} of {whose}: give name@example.org, ASCII, nothing else")


def _host_port(server: str, security: str) -> tuple[str, int]:
    found = _HOST.fullmatch(server)
    port = int(found["port"] or PORTS[security]) if found else 0
    if found is None or not 0 < port < 65536:
        raise UsageError(f"mail server {server!r}: give --server HOST or HOST:PORT")
    return found["host"].strip("[]"), port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _readable(name: str) -> str:
    path = Path(name).expanduser().resolve()
    try:
        path.open("rb").close()
    except OSError as error:
        raise UsageError(f"file {path} cannot be read: {error.strerror}") from error
    return str(path)


@cache
def _trust(ca_file: str) -> ssl.SSLContext:
    """Whose certificates are believed; reading the system's takes longer than a letter: once."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{ca_file} holds no certificates in PEM: {error}") from error


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{address}: {why}" for address, why in reasons.items())
