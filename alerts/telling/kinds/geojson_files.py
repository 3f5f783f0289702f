"""A folder of GeoJSON files, one for each message.

Flows in: what is told. Flows out: a file that is complete when it appears. Stops before what stands in it (`geojson`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Self

from alerts.telling.folders import write_file
from alerts.telling.geojson import collection, told
from alerts.telling.kinds.kind import Kind, Telling, checked_folder


class GeojsonFiles(Kind):
    """GeoJSON in a folder.

    Attributes:
        folder: Absolute.
    """

    name: ClassVar[str] = "geojson"
    about: ClassVar[str] = "a folder of GeoJSON files, one for each message"
    target: ClassVar[str] = "folder"

    folder: str = ""

    def checked(self) -> Self:
        """With an absolute folder that is there."""
        return self.model_copy(update={"folder": checked_folder(self.folder)})

    def tell(self, telling: Telling) -> None:
        """Write the file; a second attempt overwrites it with the same."""
        content = json.dumps(collection([told(telling)]), indent=1).encode()
        write_file(Path(self.folder) / f"{telling.stem}.geojson", content + b"\n")
