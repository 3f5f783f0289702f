"""What an operator may tune of the encoder service.

In: `TOCSIN_ENCODER_…` environment variables. Out: one frozen object, built in `main()`. Stops before addresses,
which all services share (`schemas.settings.Stack`).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from schemas.environment import Environment


class EncoderSettings(Environment):
    """Limits of reading and encoding."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_ENCODER_")

    threads: int = Field(default=4, ge=1, le=64)
    """Files that are fetched and decoded at once: they wait for the network and for zlib, both outside Python."""
    block_cells: int = Field(default=40, ge=1, le=128)
    """Chips that are cut and encoded together: 40 of 13 bands are 30 MB, the most that glibc gives from one block to
    the next without asking the kernel for fresh pages. Two more such blocks exist than are read ahead."""
    read_ahead: int = Field(default=2, ge=1, le=16)
    """Blocks that are read while one is encoded: reading waits for zlib, encoding for the multiplier."""
    min_valid_fraction: float = Field(default=0.4, ge=0.0, le=1.0)
    """Below this share of pixels with data a cell counts as not acquired: its vector would describe the gap."""
    max_cloud_fraction: float = Field(default=0.4, ge=0.0, le=1.0)
    """Above this share of cloud and cloud shadow a cell counts as obscured."""
    scratch: Path | None = None
    """Folder for the files of the scene that is being read, about 1 GB for a full tile; none: the system's own."""
    max_asset_bytes: int = Field(default=4 * 2**30, ge=1)
    """A file larger than this is refused: the largest band of either sensor is about 2 GB."""
    timeout_s: float = Field(default=30.0, gt=0)
    """Longest silence of an asset's host, seconds."""
    deadline_s: float = Field(default=900.0, gt=0)
    """Longest time for one file, seconds: a host that drips must not hold a worker."""
    s3_endpoint: str = Field(default="https://eodata.dataspace.copernicus.eu", pattern=r"^https?://[^/?#]+/?$")
    """Where `s3://` hrefs are fetched from; the default is that of the Copernicus Data Space."""
    s3_region: str = "default"
    """As that endpoint calls itself in signatures."""
    s3_key_id: str = ""
    """Key for `s3://` hrefs; empty: ask without signature."""
    s3_secret: SecretStr = SecretStr("")
    """Its secret half."""
