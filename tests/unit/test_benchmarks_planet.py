"""Planet arithmetic: the page is what the script computes, and the script computes what a pencil would."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import planet
from benchmarks.planet import FIGURES, PAGE, committed, main, with_prices, with_rates
from benchmarks.planet_page import BEGIN, END, render, written
from benchmarks.planet_volumes import EXPECTED, LOAD, MACHINES, REGIONS, TILE_MPX, Machine, Region
from benchmarks.planet_work import Figure, Measured, cells, lines, read_figures, work

RATES = {
    "decode_cog_mpx_per_s": Figure(100, 1, "made up"),
    "decode_jp2_mpx_per_s": Figure(10, 1, "made up"),
    "nano_s2_chips_per_s": Figure(1000, 2, "made up"),
    "nano_s1_chips_per_s": Figure(2000, 2, "made up"),
    "closp_rn_s2_chips_per_s": Figure(100, 2, "made up"),
    "closp_rn_s1_chips_per_s": Figure(100, 2, "made up"),
    "archive_record_points_per_s": Figure(2500, 1, "made up"),
}
CPU = Measured("bench", "2026-11", "cpu", RATES)
TWO, SIXTEEN, GPU = MACHINES
TILE = Region("one tile", 1, 0, "")


def test_the_page_is_what_the_script_computes() -> None:
    page = PAGE.read_text("utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert page == written(page, render(committed(), MACHINES)), "run: python -m benchmarks.planet --write"


def test_a_tile_has_700_million_pixels() -> None:
    tens, twenties, sixties = 4 * 10980**2, 7 * 5490**2, 2 * 1830**2
    assert pytest.approx((tens + twenties + sixties) / 1e6) == TILE_MPX


@pytest.mark.parametrize(("machine", "cores"), [(TWO, 2), (SIXTEEN, 16)])
def test_stages_of_one_tile(machine: Machine, cores: int) -> None:
    took = work(TILE, "nano", "COG", CPU, machine, EXPECTED)
    assert took.decode == pytest.approx(TILE_MPX / (100 * cores))
    assert took.encode == pytest.approx(8250 / (500 * cores))
    assert took.archive == pytest.approx(8250 / (2500 * cores))
    assert took.machines == pytest.approx((took.decode + took.encode + took.archive) / 86_400 / LOAD)
    jp2 = work(TILE, "nano", "JP2", CPU, machine, EXPECTED)
    assert jp2.decode == pytest.approx(10 * took.decode)
    assert jp2.dominant.startswith("decoding")


def test_sentinel_1_is_no_jpeg() -> None:
    scene = Region("one scene", 0, 1, "")
    assert work(scene, "nano", "JP2", CPU, TWO, EXPECTED) == work(scene, "nano", "COG", CPU, TWO, EXPECTED)


def test_a_figure_of_the_whole_path_goes_before_its_stages() -> None:
    measured = replace(CPU, figures={**RATES, "nano_cog_path_cells_per_s": Figure(250, 2, "made up")})
    took = work(TILE, "nano", "COG", measured, TWO, EXPECTED)
    assert took.decode + took.encode == pytest.approx(8250 / 250)
    assert work(TILE, "nano", "JP2", measured, TWO, EXPECTED) == work(TILE, "nano", "JP2", CPU, TWO, EXPECTED)


def test_bounds_enclose_and_machines_are_whole() -> None:
    for line in lines([CPU], MACHINES):
        assert line.least_eur_per_day <= line.eur_per_day <= line.most_eur_per_day
        assert line.machines <= line.rented and line.rented >= 1
        assert line.machine != "GPU"


def test_volumes_of_the_planet_and_order_of_the_rest() -> None:
    greece, europe, planet_ = REGIONS
    assert cells(planet_) == pytest.approx(134e6)
    assert cells(greece) < cells(europe) < cells(planet_)
    assert greece.tiles == pytest.approx(7.0, abs=0.1)


def test_a_gpu_has_rows_only_where_one_was_measured(tmp_path: Path) -> None:
    assert "GPU |" not in render([CPU], MACHINES).partition("## What was measured")[0]
    assert "No machine with a GPU" in render([CPU], MACHINES)
    figures = {
        name: {"value": 1e6, "cores": 0, "by": "made up"}
        for name in ("nano_s2_chips_per_s", "nano_s1_chips_per_s", "closp_rn_s2_chips_per_s", "closp_rn_s1_chips_per_s")
    }
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps({"machine": "a GPU", "measured": "2026-12", "kind": "gpu", "figures": figures}))
    known = with_rates([CPU], [str(file)])
    assert render(known, MACHINES).count("`decode_jp2_mpx_per_s`") == 1
    line = next(each for each in lines(known, MACHINES) if each.machine == "GPU")
    assert line.busy_s.on_gpu
    cpu = line.busy_s.decode + line.busy_s.archive
    assert line.machines == pytest.approx(max(cpu, line.busy_s.encode) / 86_400 / LOAD)
    assert "No machine with a GPU" not in render(known, MACHINES)


def test_single_figures_and_prices_can_be_replaced() -> None:
    (changed,) = with_rates([CPU], ["nano_s2_chips_per_s=4000"])
    assert changed.figures["nano_s2_chips_per_s"] == Figure(4000, 2, "given")
    assert [machine.eur_per_hour for machine in with_prices(["16 cores=0.3"])] == [0.05, 0.3, 2.5]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--rates", "nowhere.json"], "holds no figures"),
        (["--rates", "nano=3"], "no figure is called 'nano'"),
        (["--rates", "nano_s2_chips_per_s=fast"], "no number above 0"),
        (["--rates", "nano_s2_chips_per_s=0"], "no number above 0"),
        (["--rates", "nano_s2_chips_per_s=inf"], "no number above 0"),
        (["--price", "8 cores=1"], "'16 cores'"),
        (["--price", "16 cores"], "MACHINE=EUROS_PER_HOUR"),
        (["--price", "16 cores=-1"], "no number above 0"),
        (["--write", "--price", "16 cores=1"], "docs/planet-figures*.json"),
        (["--write", "--json"], "not allowed"),
    ],
)
def test_wrong_usage_is_said(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["{", "[]", "{}", "figure", "kind", "zero"])
def test_a_damaged_file_of_figures(damage: str, tmp_path: Path) -> None:
    document = json.loads(FIGURES.read_text())
    if damage == "figure":
        document["figures"]["nano_s2_chips_per_s"] = 1248
    elif damage == "kind":
        document["kind"] = "tpu"
    elif damage == "zero":
        document["figures"]["nano_s2_chips_per_s"]["value"] = 0
    file = tmp_path / "figures.json"
    file.write_text(json.dumps(document) if damage.isalpha() else damage)
    with pytest.raises(planet.UsageError, match=r"figures\.json"):
        read_figures(file)


def test_a_cpu_needs_a_figure_for_every_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(FIGURES.read_text())
    del document["figures"]["nano_s1_chips_per_s"]
    file = tmp_path / "figures.json"
    file.write_text(json.dumps(document))
    with pytest.raises(SystemExit):
        main(["--rates", str(file)])
    assert "lacks nano_s1_chips_per_s" in capsys.readouterr().err


def test_it_prints_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--json"])
    document = json.loads(capsys.readouterr().out)
    assert {line["region"] for line in document["lines"]} == {region.name for region in REGIONS}
    assert set(document) == {"lines", "regions", "machines", "measured"}


def test_it_prints_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert "| the planet | nano | COG |" in capsys.readouterr().out
