"""All settings as one page: `python -m commands.configuration` writes docs/configuration.md.

Flows in: the settings classes with their docstrings. Flows out: Markdown. Stops before reading any environment.
"""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings

from schemas.settings import Stack

HEAD = """# Configuration

Every setting is an environment variable; there is no configuration file. Made from the settings classes by
`python -m commands.configuration`: change the classes, not this page.
"""


def settings_classes() -> list[type[BaseSettings]]:
    """Every settings class, in the order in which data flows."""
    from alerts.settings import CoverageSettings, EvidenceSettings, MatcherSettings, NotifierSettings
    from embedded.settings import BrokerSettings
    from encoders.cache import CacheSettings
    from encoders.settings import EncoderSettings
    from ingest.settings import IngestSettings
    from schemas.bus import BusSettings

    return [
        Stack,
        IngestSettings,
        BrokerSettings,
        BusSettings,
        EncoderSettings,
        CacheSettings,
        MatcherSettings,
        CoverageSettings,
        NotifierSettings,
        EvidenceSettings,
    ]


def render(classes: list[type[BaseSettings]]) -> str:
    """Markdown: a table for each class."""
    parts = [HEAD]
    for settings in classes:
        summary = (settings.__doc__ or "").strip().splitlines()[0]
        parts.append(f"\n## {settings.__name__}\n\n{summary}\n\n| variable | default | what it is |\n|---|---|---|\n")
        prefix = settings.model_config.get("env_prefix", "")
        for name, field in settings.model_fields.items():
            text = " ".join((field.description or "").split())
            default = "" if field.default in ("", None) else f"`{field.default}`"
            parts.append(f"| `{prefix}{name.upper()}` | {default} | {text} |\n")
    return "".join(parts)


if __name__ == "__main__":
    Path("docs/configuration.md").write_text(render(settings_classes()))
