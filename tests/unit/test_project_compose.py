"""The compose file is one, names real modules, and sets only variables that our settings know."""

from __future__ import annotations

import importlib.util
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from schemas.settings import Stack

ROOT = Path(__file__).parents[2]
OURS = ("poller", "encoder", "matcher", "notifier")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(compose)


@pytest.mark.parametrize("name", OURS)
def test_each_service_runs_a_module_that_exists_and_checks_its_own_heartbeat(
    compose: dict[str, Any], name: str
) -> None:
    service = compose["services"][name]
    assert service["command"][:2] == ["python", "-m"]
    assert importlib.util.find_spec(service["command"][2])
    assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "schemas.heartbeat", name]
    assert set(service["depends_on"]) == {"kafka", "qdrant", "postgresql"}


def test_every_service_has_a_health_check(compose: dict[str, Any]) -> None:
    assert all("healthcheck" in service for service in compose["services"].values())


def test_every_variable_is_one_of_ours_and_makes_valid_settings(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = compose["services"]["encoder"]["environment"]
    known = {f"TOCSIN_{name.upper()}" for name in Stack.model_fields}
    assert {name for name in environment if name.startswith("TOCSIN_")} == known
    for name, value in environment.items():
        monkeypatch.setenv(name, _interpolated(str(value)))
    stack = Stack()
    assert stack.kafka == "kafka:9092"
    assert stack.database == "postgresql://tocsin:secret@postgresql:5432/tocsin"
    assert stack.partitions == 12


def test_the_example_environment_has_every_variable_that_compose_asks_for() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text))
    example = {line.split("=")[0] for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line}
    assert asked == example


def test_the_image_has_what_the_services_need() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert ".[chat,postgresql]" in dockerfile
    assert "USER tocsin" in dockerfile


def _interpolated(text: str) -> str:
    """Compose's own interpolation, for `${NAME:?…}` (a secret) and `${NAME:-default}`."""
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "secret", text)
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
