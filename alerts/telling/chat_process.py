"""A process of its own for Apprise: hundreds of services' code, kept on a short leash.

Flows in: one JSON document on standard input: addresses, and what is told. Flows out: one JSON line for each address on
standard output. Stops before deciding what a failure means (`chat`).

Apprise asks `requests`, which reads whatever a server answers, follows proxies of the environment and gives each read a
timeout of its own; some of its services start programs or read files that an address names. So it runs here: with a
limit on memory, without the parent's environment, killed when its time is up, and under an audit hook of the
interpreter, which sees what Python code connects to, opens and starts, whatever library does it. What C code of a
library does by itself, the hook does not see.

Source: PEP 578 (audit hooks).
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from alerts.telling.addresses import refuse_private
from schemas.errors import DeliveryFailed
from schemas.hosts import is_public

MOST_MEMORY_BYTES = 2**30
"""Of addresses, not of pages: Apprise with a TLS connection needs a third."""
LOCAL = frozenset(("syslog", "dbus", "qt", "kde", "glib", "gnome", "macosx", "windows", "blink1", "file", "bash"))
"""Schemes that lead nowhere but to this machine."""
NOT_INSTALLED = "not installed"
_STARTS = frozenset(
    ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "pty.spawn")
)
_TELLS = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg"))
_READ_ONLY = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_NONBLOCK
_SHORTEST_SECRET = 4


def main() -> None:
    """Read, look at every address or tell it, answer."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    asked = json.load(sys.stdin)
    try:
        import apprise  # noqa: PLC0415 (it may be missing)
    except ImportError:
        _answer({"error": NOT_INSTALLED})
        return
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    sys.addaudithook(guard(asked["allow_private"], _readable(apprise.__file__)))
    asset = apprise.AppriseAsset(
        app_id="Tocsin", async_mode=False, storage_mode="memory", http_redirects=False, secure_logging=True
    )
    handle = _look if asked["action"] == "check" else _tell
    for number, url in enumerate(asked["urls"]):
        print(json.dumps({"number": number, **handle(apprise, asset, url, asked)}), file=answers, flush=True)


def guard(allow_private: bool, readable: tuple[str, ...]) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that refuses what telling somebody does not need.

    Args:
        allow_private: Whether connections may lead to private and loopback addresses.
        readable: Folders and files that may be read.
    """

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _TELLS:
            _check_address(args[1], allow_private)
        elif event in _STARTS:
            raise PermissionError(f"starting programs is refused ({event})")
        elif event == "open":
            _check_file(args, readable)

    return hook


def _check_address(address: object, allow_private: bool) -> None:
    if not isinstance(address, tuple):
        raise PermissionError("sockets of this machine are refused")
    try:
        ipaddress.ip_address(str(address[0]).split("%")[0])
    except ValueError as error:
        raise PermissionError(f"{address[0]} is a name, and was not looked up first") from error
    if not allow_private and not is_public(str(address[0]).split("%")[0]):
        raise PermissionError(f"{address[0]} is private: add the receiver with --allow-private if it is yours")


def _check_file(args: tuple[Any, ...], readable: tuple[str, ...]) -> None:
    path, _, flags = args
    if isinstance(path, int):
        return
    if isinstance(flags, int) and flags & ~_READ_ONLY:
        raise PermissionError("writing files is refused")
    if not str(Path(os.fsdecode(path)).resolve()).startswith(readable):
        raise PermissionError(f"reading {os.fsdecode(path)} is refused")


def _readable(apprise_file: str) -> tuple[str, ...]:
    own = [sys.prefix, sys.base_prefix, str(Path(apprise_file).parent.parent)]
    system = ["/usr/share/", "/usr/lib/", "/etc/ssl/", "/etc/mime.types", "/etc/resolv.conf", "/etc/hosts", "/dev/null"]
    named = [os.environ[name] for name in ("REQUESTS_CA_BUNDLE",) if name in os.environ]
    return tuple(f"{Path(each).resolve()}/" for each in own) + tuple(system) + tuple(named)


def _look(apprise: Any, asset: Any, url: str, asked: Mapping[str, Any]) -> dict[str, object]:
    """Whether an address can be used, and whose it is."""
    with _log() as lines:
        service = _service(apprise, asset, url)
    if isinstance(service, str):
        return {"error": _hidden(url, "; ".join([service, *lines]))}
    try:
        host, port = getattr(service, "host", None), getattr(service, "port", None)
        if host and not _token(service):
            refuse_private(host, port or 443, allow_private=asked["allow_private"], unknown_is_fine=True)
    except DeliveryFailed as error:
        return {"error": str(error)}
    return {"service": str(service.service_name)}


def _tell(apprise: Any, asset: Any, url: str, asked: Mapping[str, Any]) -> dict[str, object]:
    """Tell one address."""
    with _log() as lines:
        service = _service(apprise, asset, url)
        if isinstance(service, str):
            return {"error": _hidden(url, service)}
        try:
            sender = apprise.Apprise(asset=asset)
            sender.add(service)
            told = sender.notify(
                body=asked["body"], title=asked["title"], notify_type=asked["type"], body_format="text"
            )
        except (OSError, ValueError, TypeError, MemoryError) as error:  # a service's own code, whatever it meets
            return {"error": _hidden(url, f"{type(error).__name__}: {error}")}
    return {"service": str(service.service_name)} if told else {"error": _hidden(url, "; ".join(lines) or "refused")}


def _service(apprise: Any, asset: Any, url: str) -> Any:
    """The service that an address names, or why there is none."""
    if scheme(url) in LOCAL:
        return f"{scheme(url)}:// leads to this machine only"
    found = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if found is None:
        return "Apprise does not understand this address"
    local = {str(each) for each in _names(found)} & LOCAL
    return f"{local.pop()}:// leads to this machine only" if local else found


def _names(service: Any) -> Iterator[str]:
    for name in (service.protocol, service.secure_protocol):
        yield from (name,) if isinstance(name, str) else name or ()


def _token(service: Any) -> bool:
    """Whether the host of an address is no host: most services put a key there."""
    return "host" not in getattr(service, "template_tokens", {})


def scheme(url: str) -> str:
    """What an address begins with."""
    return url.partition("://")[0].strip().lower()


def _hidden(url: str, text: str) -> str:
    """What a library says of an address, without what is secret in it."""
    secrets = {part for part in _split(url) if len(part) >= _SHORTEST_SECRET}
    for secret in sorted(secrets | {unquote(each) for each in secrets}, key=len, reverse=True):
        text = text.replace(secret, "…")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


def _split(url: str) -> Iterator[str]:
    """All words of an address but its scheme."""
    word = ""
    for character in url.partition("://")[2]:
        if character in "/?&=:@#,":
            yield word
            word = ""
        else:
            word += character
    yield word


@contextmanager
def _log() -> Iterator[list[str]]:
    """What Apprise warns of meanwhile."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, logger = Lines(logging.WARNING), logging.getLogger("apprise")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def _answer(document: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
