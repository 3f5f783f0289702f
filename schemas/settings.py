"""Where everything is: the addresses that all services share.

Flows in: `TOCSIN_…` environment variables. Flows out: one frozen object, built in `main()`. Stops before each
service's own settings, which stand beside its `run.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import SettingsConfigDict

from schemas.backends import Backend, Precision
from schemas.environment import Environment

LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(str.lower)]


class Stack(Environment):
    """Addresses of data, database, broker and archive; every default is the embedded one."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_")

    data: Path = Path("tocsin-data")
    """Folder of everything embedded: database, archive, previews, run files. Made where it is missing."""
    database_url: str = ""
    """SQLAlchemy URL; empty: SQLite in the data folder. Production: postgresql://…"""
    kafka: str = ""
    """Bootstrap servers, host:port separated by commas; empty: the embedded broker of the data folder."""
    qdrant_url: str = ""
    """Address of a Qdrant server; empty: the in-process engine in the data folder."""
    qdrant_api_key: str = Field(default="", repr=False)
    """Key of the Qdrant server, where it asks for one."""
    encoder: str = "nano"
    """Release that encodes: a name of `tocsin encoder list`, or a folder."""
    encoder_backend: Backend = "auto"
    """What runs a CLOSP release; auto: the fastest that this machine has. `tocsin encoder backends` shows which."""
    encoder_precision: Precision = "auto"
    """What a CLOSP release computes in; auto: fp32 on processors, half of it on GPUs. int8 vectors are a release of
    their own, and are built first: `tocsin encoder build`."""
    partitions: int = Field(default=4, ge=1, le=1000)
    """Partitions of each topic that we create: 4 embedded, 12 in production."""
    replication: int = Field(default=1, ge=1, le=9)
    """Copies of each topic: 1 on one broker, 3 on three."""
    log_level: LogLevel = "info"
    """debug, info, warning or error."""

    @property
    def database(self) -> str:
        """The SQLAlchemy URL to use."""
        return self.database_url or f"sqlite:///{self.data.resolve() / 'tocsin.sqlite'}"

    @property
    def run_folder(self) -> Path:
        """Addresses and locks of what is running now."""
        return self.data / "run"

    @property
    def archive_folder(self) -> Path:
        """Shards of the in-process archive."""
        return self.data / "archive"
