"""The JSON Schema of every message, for whoever reads our topics in another language.

Flows in: the messages' classes. Flows out: one file each in `docs/schemas/`. Stops before validation of live traffic.
"""

from __future__ import annotations

import json
from pathlib import Path

from schemas.messages import ALL as MESSAGES
from schemas.messages import Message
from schemas.notices import Notice
from schemas.verdicts import Verdict

ALL: tuple[type[Message], ...] = (*MESSAGES, Notice, Verdict)


def exported() -> dict[str, str]:
    """File name → JSON text of each message's schema."""
    return {
        f"{message.__name__}.v1.json": json.dumps(message.model_json_schema(mode="serialization"), indent=1) + "\n"
        for message in ALL
    }


def export(folder: Path) -> list[Path]:
    """Write them all into `folder`; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in exported().items():
        (folder / name).write_text(text)
        paths.append(folder / name)
    return paths


if __name__ == "__main__":
    export(Path("docs/schemas"))
