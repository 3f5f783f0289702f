"""One thread that draws pictures and packs evidence, and an end to the patience of whoever asked for them.

Flows in: an alert, what makes something of it, a moment. Flows out: what was made, if it was by then. Stops before
drawing (`evidence`) and before what is told without (`pictures`).

Drawing reads old files of others, with large libraries, from hosts that may hang. It takes memory, so one thing is made
at a time, whoever asks. What nobody waits for any more is still finished: the next who asks for it finds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Lock, Thread
from typing import TypeVar

from schemas.messages import Alert

Made = TypeVar("Made")


class OutOfTime(Exception):
    """It was not made in time."""


class Workshop:
    """Safe to call from several threads. Its thread holds no process up that wants to end."""

    def __init__(self) -> None:
        """Nothing is made yet."""
        self._free = Lock()

    def made(self, make: Callable[[Alert], Made], until: float, alert: Alert) -> Made:
        """What belongs to an alert.

        Args:
            make: Makes it.
            until: Monotonic time, seconds; others who are served first count.
            alert: Of what.

        Raises:
            OutOfTime: it is not there yet.
            Exception: as `make`.
        """
        if _left(until) <= 0 or not self._free.acquire(timeout=_left(until)):
            raise OutOfTime
        job: Future[Made] = Future()
        try:
            Thread(target=self._work, args=(job, make, alert), name="workshop", daemon=True).start()
        except RuntimeError:  # the machine has no thread for it
            self._free.release()
            raise
        if not wait([job], _left(until)).done:
            raise OutOfTime
        return job.result()

    def _work(self, job: Future[Made], make: Callable[[Alert], Made], alert: Alert) -> None:
        try:
            job.set_result(make(alert))
        except BaseException as error:  # noqa: BLE001  whoever asked gets it, if still there
            job.set_exception(error)
        finally:
            self._free.release()


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.0)
