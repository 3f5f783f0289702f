"""Requests to catalogues: with a deadline, a size limit, patience for overload, and only where the source may go.

Flows in: a URL. Flows out: the body, or an error that says what to do. Stops before JSON's meaning. pystac-client
does its requests through `CatalogueIO`, so that nothing reaches a catalogue by another way.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin

import requests
import structlog
from pystac_client.stac_api_io import StacApiIO

from schemas.errors import CatalogueUnavailable
from schemas.hosts import host_allowed

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 40.0
"""A search over a large catalogue may take half a minute before its first byte."""
DEADLINE_S = 120.0
"""Longest time for one answer: a server that drips must not hold the poller."""
MAX_BODY_BYTES = 64 * 1024 * 1024
"""A page of 200 items has about 5 MB; more than this is no page."""
MAX_REDIRECTS = 5
ATTEMPTS = 4
"""Tries of one request before the poll gives up and comes back later."""
MAX_WAIT_S = 60.0
"""A catalogue that asks for a longer pause than this gets it: the poll ends, the next one comes later."""
MAX_EMPTY_PAGES = 100
"""Pages without items before we take a catalogue for broken."""
OVERLOADED = frozenset({408, 425, 429, 502, 503, 504})
"""Answers after which the same request may work soon."""

log = structlog.get_logger(__name__)


class CatalogueRefused(CatalogueUnavailable):
    """It answered, and will not do this: 4xx, or the 500 of a server that stumbles over the question."""

    def __init__(self, message: str, status: int) -> None:
        """Remember the status.

        Args:
            message: What happened.
            status: HTTP status.
        """
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: 200, or 304 when the validators still hold.
        body: Empty with 304.
        headers: Lower-case names.
        url: Where it came from in the end.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    url: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on with a catalogue that is busy.

    Attributes:
        attempts: Tries of one request.
        sleep: Waits so many seconds; tests replace it, services break off when they are stopped.
    """

    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = field(default=time.sleep)


class CatalogueIO(StacApiIO):
    """pystac-client's way to the network."""

    def __init__(self, allowed_hosts: tuple[str, ...], patience: Patience | None = None) -> None:
        """Remember where requests may go; nothing is asked yet.

        Args:
            allowed_hosts: Hosts of the API; links that lead elsewhere are not followed.
            patience: How long to go on when it is busy.
        """
        super().__init__(max_retries=None, timeout=READ_TIMEOUT_S)
        self.allowed_hosts = allowed_hosts
        self.patience = patience or Patience()
        self.session.headers["User-Agent"] = "tocsin"

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The body as text; what pystac-client calls.

        Raises:
            CatalogueRefused: 4xx or 500.
            CatalogueUnavailable: no answer, overload, too large, not text, or a link to a foreign host.
        """
        answer = self.fetch(href, method=method or "GET", headers=headers, parameters=parameters)
        try:
            return answer.body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CatalogueUnavailable(f"{href} answered something that is no UTF-8 text") from error

    def json_loads(self, txt: str, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        """Decoded JSON object.

        Raises:
            CatalogueUnavailable: it is none.
        """
        try:
            decoded = json.loads(txt)
        except (ValueError, RecursionError) as error:
            raise CatalogueUnavailable(f"the catalogue answered no JSON ({txt[:80]!r}…): is this its API?") from error
        if not isinstance(decoded, dict):
            raise CatalogueUnavailable(f"the catalogue answered JSON that is no object ({txt[:80]!r}…)")
        return decoded

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Every page to the last; pystac-client's own ends early at an empty one that has a successor.

        Raises:
            CatalogueUnavailable: links that lead in a circle, or endless empty pages.
        """
        page = self.json_loads(self.request(url, method=method, parameters=parameters))
        seen, empty = {_fingerprint(url, parameters)}, 0
        while True:
            if page.get("features") or page.get("collections"):
                empty = 0
                yield page
            else:
                empty += 1
            following = _next_request(page, url, parameters)
            if following is None:
                return
            fingerprint = _fingerprint(following[0], following[2])
            if fingerprint in seen or empty > MAX_EMPTY_PAGES:
                raise CatalogueUnavailable(f"paging of {url} leads in a circle: it would never end")
            seen.add(fingerprint)
            href, verb, body, headers = following
            page = self.json_loads(self.request(href, method=verb, headers=headers, parameters=body))

    def fetch(
        self,
        href: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Answer:
        """One request, with patience.

        Raises:
            CatalogueRefused: 4xx or 500.
            CatalogueUnavailable: no answer, overload after all tries, too large, or a foreign host.
        """
        for attempt in range(1, self.patience.attempts + 1):
            try:
                answer, pause_s, trouble = self._once(href, method.upper(), headers, parameters), None, ""
            except requests.RequestException as error:
                answer, pause_s, trouble = None, None, f"{href} does not answer: {_short(error)}"
            if answer is not None and answer.status in OVERLOADED:
                pause_s, trouble = _retry_after(answer.headers), f"{href} answered HTTP {answer.status}"
            if answer is not None and not trouble:
                return self._checked(href, answer)
            wait_s = max(pause_s or 0.0, min(2.0 ** (attempt - 1), MAX_WAIT_S))
            if attempt == self.patience.attempts or wait_s > MAX_WAIT_S:
                raise CatalogueUnavailable(f"{trouble}; tried {attempt} times, the next poll tries again")
            log.info("catalogue is busy", reason=trouble, wait_s=wait_s)
            self.patience.sleep(wait_s)
        raise CatalogueUnavailable(f"{href}: no attempt was allowed")

    def _checked(self, href: str, answer: Answer) -> Answer:
        if answer.status >= 300 and answer.status != 304:
            said = answer.body[:300].decode("utf-8", "replace")
            raise CatalogueRefused(f"{href} answered HTTP {answer.status}: {said}", answer.status)
        return answer

    def _once(
        self, href: str, method: str, headers: Mapping[str, str] | None, parameters: Mapping[str, Any] | None
    ) -> Answer:
        """One request, redirects followed as far as the source may go."""
        sent = deepcopy(dict(parameters or {}))
        how: dict[str, Any] = {"json": sent} if method == "POST" else {"params": sent}
        for _ in range(MAX_REDIRECTS + 1):
            if not host_allowed(href, self.allowed_hosts):
                raise CatalogueUnavailable(
                    f"the catalogue leads to {href[:200]!r}, where its source may not go; "
                    "if you trust that host, add the source again with --allow-host"
                )
            answer = self._send(href, method, headers, how)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            href = urljoin(href, answer.headers.get("location", ""))
            if answer.status == 303:
                method, how = "GET", {}
            elif method == "GET":
                how = {}  # the query stands in the new location
        raise CatalogueUnavailable(f"{href}: more than {MAX_REDIRECTS} redirects")

    def _send(self, href: str, method: str, headers: Mapping[str, str] | None, how: Mapping[str, Any]) -> Answer:
        timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        with self.session.request(
            method, href, headers=dict(headers or {}), timeout=timeout, allow_redirects=False, stream=True, **how
        ) as response:
            body, deadline = bytearray(), time.monotonic() + DEADLINE_S
            for chunk in response.iter_content(1 << 16):
                body += chunk
                if time.monotonic() > deadline:
                    raise CatalogueUnavailable(f"{href} took more than {DEADLINE_S:.0f} s for one answer")
                if len(body) > MAX_BODY_BYTES:
                    raise CatalogueUnavailable(f"{href} answered more than {MAX_BODY_BYTES >> 20} MB: not a page")
            lower = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, bytes(body), lower, href)


def _next_request(
    page: Mapping[str, Any], url: str, parameters: Mapping[str, Any] | None
) -> tuple[str, str, dict[str, Any], dict[str, str]] | None:
    """Where the next page is: href, method, body, headers. Source: STAC API 1.0, item search, paging."""
    links = page.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "next" and isinstance(link.get("href"), str):
            verb = str(link.get("method") or "GET").upper()
            body = link.get("body") if isinstance(link.get("body"), dict) else {}
            if verb == "POST" and link.get("merge"):
                body = {**(parameters or {}), **(body or {})}
            sent = link.get("headers")
            headers = {str(k): str(v) for k, v in sent.items()} if isinstance(sent, dict) else {}
            return (urljoin(url, link["href"]), verb, dict(body or {}) if verb == "POST" else {}, headers)
    return None


def _fingerprint(href: str, body: Mapping[str, Any] | None) -> str:
    return href + json.dumps(body or {}, sort_keys=True, default=str)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date (RFC 9110, section 10.2.3)."""
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max((email.utils.parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"
