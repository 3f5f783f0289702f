"""Turns of receivers: one thing in hand for each, several receivers at once, none held up by another.

Flows in: names of receivers that something is due to. Flows out: calls, never two at once for one name. Stops before
what is done in a turn (`notifying`).

Places are few and the line is fair: a receiver that has more to take goes to its end after each turn. So threads are
bounded whatever is added, and a receiver that uses up all of its time delays the others only where as many such
receivers as there are places do so at once, and by one turn.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Condition

from schemas.errors import Retryable


class Turns:
    """Safe to call from several threads."""

    def __init__(self, take: Callable[[str], bool], places: int) -> None:
        """Nobody waits yet.

        Args:
            take: A receiver's turn, by its name; says whether there may be more for it.
            places: How many turns are taken at once; each is a thread.
        """
        self._take = take
        self._pool = ThreadPoolExecutor(places, thread_name_prefix="turns")
        self._changed = Condition()
        self._waiting: set[str] = set()
        self._again: set[str] = set()
        self._error: Exception | None = None
        self._closed = False

    def begin(self, name: str) -> None:
        """Something is due to a receiver: it gets a turn, or another one after the one it has."""
        with self._changed:
            if name in self._waiting:
                self._again.add(name)
            elif not self._closed:
                self._waiting.add(name)
                self._pool.submit(self._turn, name)

    def wait(self) -> None:
        """Wait until nobody has a turn any more.

        Raises:
            Exception: as `raise_error`.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting)
        self.raise_error()

    def raise_error(self) -> None:
        """What has escaped from a turn ends nothing there: it is for whoever watches over the service.

        Raises:
            Exception: a bug, if there was one, else the last that is to be tried again.
        """
        with self._changed:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """No further turns; wait for those that have begun."""
        with self._changed:
            self._closed = True
        self._pool.shutdown(cancel_futures=True)
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()

    def _turn(self, name: str) -> None:
        more, error = False, None
        try:
            more = self._take(name)
        except Exception as escaped:  # noqa: BLE001  it is raised again where the service looks (`raise_error`)
            error = escaped
        with self._changed:
            if error is not None and (self._error is None or isinstance(self._error, Retryable)):
                self._error = error
            more = more or name in self._again
            self._again.discard(name)
            if more and error is None and not self._closed:
                self._pool.submit(self._turn, name)
            else:
                self._waiting.discard(name)
                self._changed.notify_all()
