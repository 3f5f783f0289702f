"""A folder of CAP 1.2 messages, one file for each.

Flows in: what is told. Flows out: a file that is complete when it appears. Stops before what stands in it (`cap`).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from alerts.telling.folders import write_file
from alerts.telling.kinds.kind import Kind, Telling, checked_folder
from schemas.messages import Alert


class CapFiles(Kind):
    """CAP 1.2 in a folder.

    Attributes:
        folder: Absolute.
    """

    name: ClassVar[str] = "cap"
    about: ClassVar[str] = "a folder of CAP 1.2 messages, one file each"
    tells_notices: ClassVar[bool] = False
    target: ClassVar[str] = "folder"

    folder: str = ""

    def checked(self) -> Self:
        """With an absolute folder that is there."""
        return self.model_copy(update={"folder": checked_folder(self.folder)})

    def tell(self, telling: Telling) -> None:
        """Write the file; a second attempt overwrites it with the same. Notices pass by."""
        if isinstance(telling.message, Alert):
            write_file(Path(self.folder) / f"{telling.stem}.cap.xml", telling.cap(telling.message))
