"""The page of settings is what the classes say, and every setting is explained."""

from __future__ import annotations

from pathlib import Path

from commands.configuration import render, settings_classes


def test_the_page_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert page.read_text() == render(settings_classes()), "run: python -m commands.configuration"


def test_every_setting_is_explained_and_has_a_name_of_its_own() -> None:
    classes = settings_classes()
    names = [f"{each.model_config.get('env_prefix')}{name}" for each in classes for name in each.model_fields]
    assert len(set(names)) == len(names)
    for settings in classes:
        for name, field in settings.model_fields.items():
            assert field.description, f"{settings.__name__}.{name} has no docstring"
