"""A training corpus from somebody's own catalogue: scenes are found, cut, labelled and written.

In: a catalogue, an area, a span of time, a land-cover map, perimeters of events. Out: a folder in CrisisLandMark's
layout, and a report. Stops at files; pixels are read by `encoders.reading`, as the product reads them when it watches.

The rule for a chip: land cover tells the nine classes, and events tell the crisis. Before an event its chips are known
not to show it; while it is sure to be seen they do, from a share of the chip on; what a perimeter half covers, and what
lies under one whose trace may be gone, is never called a negative. A chip about which nothing is known is not written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from encoders.assets import Fetcher
from encoders.chips import ChipBlock
from encoders.reading import read_scene
from encoders.settings import EncoderSettings
from schemas.cells import CHIP_PX, GSD_M, Cell, centres_lon_lat
from schemas.errors import Rejected, Retryable, UsageError
from training.corpus_cover import LandCover, open_land_cover
from training.corpus_events import Finding, Trace
from training.corpus_scenes import Plan, find_scenes
from training.corpus_write import LabelledCell, Scene, begun, is_done, renew_table, write_corpus


@dataclass
class BuildReport:
    """What happened.

    Attributes:
        scenes: Found; of them `resumed` were finished before.
        written: Chips in the folder now.
        left_out: Chips that were not written, by reason.
        problems: What could not be used, in one line each; a scene among them is tried again by the same command.
    """

    scenes: int = 0
    resumed: int = 0
    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "scenes": self.scenes,
            "resumed": self.resumed,
            "chips": self.written,
            "left_out": dict(sorted(self.left_out.items())),
            "problems": self.problems,
        }


def build_corpus(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> BuildReport:
    """Build, or go on where an earlier build of the same plan stopped.

    Args:
        plan: What.
        tell: Called with a line per scene.

    Raises:
        UsageError: nothing to label by, nothing found, a licence that nobody knows, or the folder is another's.
        CatalogueUnavailable: the catalogue does not answer.
        SettingsError: h5py or pyarrow is not installed.
    """
    if not plan.land_cover and plan.events is None:
        raise UsageError("nothing says what the chips show: give --land-cover, --events or both")
    report = BuildReport(problems=list(plan.events.problems) if plan.events else [])
    found = find_scenes(plan, report.problems)
    report.scenes = len(found)
    settings = EncoderSettings(max_cloud_fraction=min(plan.max_cloud_percent / 100.0, 1.0))
    with ExitStack() as stack:
        stack.enter_context(begun(plan.folder, plan.described))
        fetcher = Fetcher(settings)
        stack.callback(fetcher.close)
        cover = None
        if plan.land_cover:
            cover = open_land_cover(plan.land_cover, plan.catalogue, plan.area, stack, settings, plan.allow_hosts)
        labeller = Labeller(plan, cover, report)
        for number, (acquisition, terms) in enumerate(found, 1):
            scene = Scene(acquisition.item_id, acquisition.sensor, acquisition.sensing_at, *terms)
            done = is_done(plan.folder, scene)
            room = None if plan.limit is None else plan.limit - report.written
            if done is not None:
                report.resumed += 1
                report.written += done
            elif room is None or room > 0:
                with closing(read_scene(acquisition, settings, fetcher)) as blocks:  # or its files stay until collected
                    report.written += _write(plan, scene, labeller.chips(blocks, scene, room), report)
            tell(f"{number}/{len(found)} {acquisition.item_id}: {report.written} chips so far")
    renew_table(plan.folder)
    return report


def _write(plan: Plan, scene: Scene, chips: Iterator[LabelledCell], report: BuildReport) -> int:
    before = Counter(report.left_out)
    try:
        return write_corpus(plan.folder, scene, chips)
    except (Rejected, Retryable) as error:
        report.left_out = before
        report.problems.append(str(error))
        (plan.folder / f"{scene.name}.h5.partial").unlink(missing_ok=True)
        return 0


@dataclass
class Labeller:
    """Gives each chip of a scene its labels.

    Attributes:
        plan: What is built.
        cover: The map, or none.
        report: Counts what is left out.
    """

    plan: Plan
    cover: LandCover | None
    report: BuildReport

    def chips(self, blocks: Iterator[ChipBlock], scene: Scene, room: int | None) -> Iterator[LabelledCell]:
        """The chips of a scene about which something is known, at most `room`."""
        given = 0
        for block in blocks:
            rows = self._rows(block)
            if not rows:
                continue
            cells = [block.cells[row] for row in rows]
            maps = self.cover.cut(cells) if self.cover else None
            for index, (row, cell) in enumerate(zip(rows, cells, strict=True)):
                if room is not None and given >= room:
                    return
                labelled = self._label(cell, block.pixels[row], scene.sensed, None if maps is None else maps[index])
                if labelled is not None:
                    given += 1
                    yield labelled

    def _rows(self, block: ChipBlock) -> list[int]:
        """Cells that were seen and whose centre lies in the area."""
        lon_lat = centres_lon_lat(list(block.cells))
        inside = shapely.contains_xy(self.plan.area, lon_lat[:, 0], lon_lat[:, 1])
        seen = set(block.seen)
        for row in np.flatnonzero(inside):
            if int(row) not in seen:
                self.report.left_out[str(block.chips[int(row)].state)] += 1
        return [int(row) for row in np.flatnonzero(inside) if int(row) in seen]

    def _label(
        self, cell: Cell, pixels: NDArray[np.float32], sensed: datetime, classes: NDArray[np.float32] | None
    ) -> LabelledCell | None:
        events = self.plan.events
        finding = events.find(cell, sensed) if events else Finding(Trace.UNTOUCHED)
        if finding.trace is Trace.AFTERMATH:
            self.report.left_out["event too old"] += 1
            return None
        hidden = _mask(finding.under, cell) if finding.under is not None else None
        ground = self.cover.labels(classes, hidden) if self.cover is not None and classes is not None else None
        present, absent, unknown = set[str](), set[str](), set[str]()
        if ground is not None:
            present, absent, unknown = set(ground.present), set(ground.absent), set(ground.unknown)
        if events is not None:
            _add(finding.trace, events.label, ground is not None, present, absent, unknown)
        if not present and not absent:
            reason = "half under an event" if finding.trace is Trace.AMBIGUOUS else "nothing known"
            self.report.left_out[reason] += 1
            return None
        state = {Trace.BEFORE: "pre", Trace.SHOWN: "post", Trace.AMBIGUOUS: "ambiguous"}.get(finding.trace, "")
        return LabelledCell(
            cell, pixels, frozenset(present), frozenset(absent), frozenset(unknown), state, finding.share
        )


def _add(trace: Trace, label: str, grounded: bool, present: set[str], absent: set[str], unknown: set[str]) -> None:
    """The event's own label. A chip that no perimeter touches is a negative only where land cover makes it a chip."""
    if trace is Trace.SHOWN:
        present.add(label)
    elif trace is Trace.BEFORE or (trace is Trace.UNTOUCHED and grounded):
        absent.add(label)
    else:
        unknown.add(label)


def _mask(under: BaseGeometry, cell: Cell) -> NDArray[np.bool_]:
    """Pixels of a chip under a geometry of its zone, bool, (120, 120)."""
    if under.is_empty:
        return np.zeros((CHIP_PX, CHIP_PX), bool)
    west, _, _, north = cell.window
    grid = Affine(GSD_M, 0, west, 0, -GSD_M, north)
    burnt = rasterize([(under, 1)], out_shape=(CHIP_PX, CHIP_PX), transform=grid, fill=0, dtype="uint8")
    return np.asarray(burnt == 1)
