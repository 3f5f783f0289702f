"""Asking Apprise's process, and ending it when its time is up.

Flows in: addresses and words. Flows out: for each address its service, or why it was not told. Stops before Apprise
itself (`chat_process`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from alerts.telling.chat_process import NOT_INSTALLED
from schemas.errors import DeliveryFailed

INSTALL = "chat needs Apprise: pip install 'tocsin[chat]'"
START_S = 15.0
"""Beyond the time for telling, seconds: a busy machine takes some to start a process and to import Apprise."""
_KEPT = ("PATH", "LANG", "LC_ALL", "REQUESTS_CA_BUNDLE", "SYSTEMROOT")
"""Variables that the process is given; no proxies, no secrets of ours."""


class ChatMissing(DeliveryFailed):
    """Apprise is not installed where the notifier runs."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one address.

    Attributes:
        service: Its name, where it can be used or was told.
        error: Why not; never with what is secret in the address.
    """

    service: str = ""
    error: str = ""


def check(urls: Sequence[str], *, allow_private: bool, timeout_s: float = 10) -> list[Heard]:
    """Whether these addresses can be used, in order.

    Raises:
        ChatMissing: Apprise is not installed.
        DeliveryFailed: its process did not answer.
    """
    return _ask({"action": "check", "urls": list(urls), "allow_private": allow_private}, len(urls), timeout_s)


def tell(
    urls: Sequence[str], *, title: str, body: str, mood: str, allow_private: bool, timeout_s: float
) -> list[Heard]:
    """Tell these addresses, in order; one that was not reached in time has that as its error.

    Args:
        urls: Apprise addresses.
        title: One line.
        body: Plain text.
        mood: info, success or warning: services show it by colour or sign.
        allow_private: Whether they may lead to private and loopback addresses.
        timeout_s: For all of them, seconds.

    Raises:
        ChatMissing: Apprise is not installed.
        DeliveryFailed: its process did not answer.
    """
    asked = {"action": "tell", "urls": list(urls), "allow_private": allow_private}
    return _ask(asked | {"title": title, "body": body, "type": mood}, len(urls), timeout_s)


def _ask(asked: Mapping[str, object], count: int, timeout_s: float) -> list[Heard]:
    with TemporaryDirectory(prefix="tocsin-chat-") as home:
        answers, error = _run(json.dumps(asked), home, timeout_s + START_S)
    if any(each.get("error") == NOT_INSTALLED and "number" not in each for each in answers):
        raise ChatMissing(INSTALL)
    heard = {int(str(each["number"])): each for each in answers if "number" in each}
    if not heard and error:
        raise DeliveryFailed(f"Apprise did not answer: {error}")
    late = Heard(error=error or "not reached")
    return [
        Heard(str(heard[number].get("service", "")), str(heard[number].get("error", ""))) if number in heard else late
        for number in range(count)
    ]


def _run(document: str, home: str, timeout_s: float) -> tuple[list[dict[str, object]], str]:
    """What the process has answered by its end, and why it ended early."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {"HOME": home, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "alerts.telling.chat_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=home,
        env=environment,
        text=True,
    )
    with process:
        try:
            out, trouble = process.communicate(document, timeout=timeout_s)
            error = "" if process.returncode == 0 else f"its process ended with {process.returncode}"
            if error and "MemoryError" in trouble:
                error = "its process needed too much memory"
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            error = f"took more than {timeout_s:g} s"
    return [json.loads(line) for line in out.splitlines() if line.endswith("}")], error
