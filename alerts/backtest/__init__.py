"""What a sentence would have reported, had it stood since then.

In: a standing query, the archive's history, known events. Out: a report. Nothing is stored; live matching is not
touched.
"""

from alerts.backtest.events import read_events
from alerts.backtest.page import page
from alerts.backtest.report import Report, write
from alerts.backtest.run import backtest

__all__ = ["Report", "backtest", "page", "read_events", "write"]
