"""A notifier without a broker: what is due in a database is told until the process is killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from alerts.settings import NotifierSettings
from alerts.telling import deliveries
from alerts.telling.notifying import Notifier
from schemas.database import connect

if __name__ == "__main__":
    engine = connect(sys.argv[1])
    deliveries.resume(engine)
    notifier = Notifier(engine, Path(sys.argv[2]), NotifierSettings(timeout_s=20))
    while True:
        notifier.deliver_due()
        time.sleep(0.05)
