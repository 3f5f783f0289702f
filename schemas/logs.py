"""How services log: one JSON object a line on stderr, an event phrase plus fields.

Flows in: a level and a service's name. Flows out: structlog, configured. Stops before shipping logs anywhere.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure(level: str, service: str) -> None:
    """Set up structlog and the standard library's logging (Kafka clients use it) for one process.

    Args:
        level: debug, info, warning or error.
        service: Said in every line.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, format="%(message)s", force=True)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )
    structlog.contextvars.bind_contextvars(service=service)
