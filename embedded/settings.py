"""What an operator may tune of the embedded broker.

Flows in: `TOCSIN_BROKER_…` environment variables. Flows out: one frozen object, built in `main()`. Stops before
addresses, which all services share (`schemas.settings.Stack`).
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from schemas.environment import Environment


class BrokerSettings(Environment):
    """The embedded broker."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_BROKER_")

    memory_mib: int = Field(default=1024, ge=128, le=1_000_000)
    """It keeps every message in memory for ever: when it holds so much, MiB, an empty one takes its place, and what is
    unfinished is sent again from the ledger. The vectors of a full Sentinel-2 tile are about 50 MiB."""
