"""What runs here and why: the fastest that can, the one that was asked for, or a reason."""

from dataclasses import replace

import pytest

from encoders import backends
from encoders.backends import ENTRIES, choose
from schemas.errors import SettingsError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has ONNX Runtime and torch only."""
    reasons = {entry.name: None if entry.name in {"onnxruntime", "torch"} else f"no {entry.name}" for entry in ENTRIES}
    entries = tuple(replace(entry, unavailable=lambda name=entry.name: reasons[name]) for entry in ENTRIES)
    monkeypatch.setattr(backends, "ENTRIES", entries)


@pytest.mark.usefixtures("machine")
def test_the_fastest_that_can_is_first_and_the_others_say_why() -> None:
    choice = choose()
    assert [each.entry.name for each in choice.candidates] == ["onnxruntime", "torch"]
    assert choice.candidates[0].arithmetic == "fp32"
    assert choice.passed_over["openvino"] == "no openvino"
    assert "not openvino: no openvino" in choice.reason


@pytest.mark.usefixtures("machine")
def test_precision_narrows_the_choice() -> None:
    assert [each.entry.name for each in choose(precision="int8").candidates] == ["onnxruntime"]


@pytest.mark.usefixtures("machine")
def test_what_nothing_computes_in_is_refused() -> None:
    with pytest.raises(SettingsError, match="nothing here computes in bf16"):
        choose(precision="bf16")


@pytest.mark.usefixtures("machine")
def test_what_was_asked_for_is_not_replaced() -> None:
    choice = choose("torch")
    assert [each.entry.name for each in choice.candidates] == ["torch"]
    with pytest.raises(SettingsError, match="backend openvino cannot be used: no openvino"):
        choose("openvino")
    with pytest.raises(SettingsError, match="computes in fp32, not in int8"):
        choose("torch", "int8")


def test_unknown_backend() -> None:
    with pytest.raises(SettingsError, match="no backend 'cuda': use auto, "):
        choose("cuda")  # type: ignore[arg-type]


def test_every_entry_says_why_or_works_here() -> None:
    for entry in ENTRIES:
        reason = entry.unavailable()
        assert reason is None or len(reason) > 10, entry.name
        assert set(entry.automatic) <= set(entry.arithmetics)
        assert "int8" not in entry.automatic


def test_a_gpu_computes_in_half_of_fp32_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "ENTRIES", tuple(replace(entry, unavailable=lambda: None) for entry in ENTRIES))
    first, second = choose().candidates[:2]
    assert (first.entry.name, first.arithmetic) == ("tensorrt", "fp16")
    assert (second.entry.name, second.arithmetic) == ("tensorrt", "bf16")
    assert [each.arithmetic for each in choose("torch-cuda", "fp32").candidates] == ["fp32"]
    assert choose(precision="int8").candidates[0].entry.name == "openvino"
