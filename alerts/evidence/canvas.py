"""White paper with words, frames, scale bars and arrows on it.

Flows in: pictures and words. Flows out: PNG bytes, the same for the same input. Stops before what they mean
(`plates`, `score_map`).
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from alerts.evidence.colours import Picture8

Colour = tuple[int, int, int]
INK: Final[Colour] = (25, 30, 38)
GREY: Final[Colour] = (110, 116, 125)
PALE: Final[Colour] = (222, 225, 230)
WHITE: Final[Colour] = (255, 255, 255)
WARNING: Final[Colour] = (178, 24, 43)
SMALLEST: Final = 8
"""Points: words are made no smaller to fit."""


class Canvas:
    """A sheet of paper that is drawn on.

    Args:
        width: Pixels.
        height: Pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), WHITE)
        self.draw = ImageDraw.Draw(self.image)

    def words(
        self,
        at: tuple[float, float],
        text: str,
        size: int = 13,
        colour: Colour = INK,
        *,
        anchor: str = "la",
        width: int | None = None,
        halo: bool = False,
    ) -> None:
        """Write a line; smaller, and then cut, where it would be wider than `width` pixels.

        Args:
            at: Where its anchor lies.
            text: Control characters become blanks.
            size: Points.
            colour: Of the letters.
            anchor: As Pillow names it: "la" is left and top, "mm" the middle.
            width: Most pixels.
            halo: With a white edge, for words on pictures.
        """
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        while width is not None and size > SMALLEST and self.draw.textlength(text, font=_font(size)) > width:
            size -= 1
        while width is not None and len(text) > 1 and self.draw.textlength(text, font=_font(size)) > width:
            text = text[:-2] + "…"
        edge, rim = (2, WHITE) if halo else (0, None)
        self.draw.text(at, text, fill=colour, font=_font(size), anchor=anchor, stroke_width=edge, stroke_fill=rim)

    def upright(self, at: tuple[int, int], text: str, size: int = 12, colour: Colour = GREY) -> None:
        """Write a line from below upwards, `at` its middle."""
        length, height = round(self.draw.textlength(text, font=_font(size))) + 4, size + 8
        strip = Image.new("RGB", (length, height), WHITE)
        ImageDraw.Draw(strip).text((length / 2, height / 2), text, fill=colour, font=_font(size), anchor="mm")
        turned = strip.rotate(90, expand=True)
        self.image.paste(turned, (at[0] - turned.width // 2, at[1] - turned.height // 2))

    def paste(self, at: tuple[int, int], picture: Picture8, scale: int) -> None:
        """A picture, so many times as large, each pixel a square: nothing is drawn that was not measured."""
        large = np.repeat(np.repeat(picture, scale, axis=0), scale, axis=1)
        self.image.paste(Image.fromarray(np.ascontiguousarray(large)), at)

    def scale_bar(self, left: float, bottom: float, pixels: float, label: str) -> None:
        """A bar with its length above it, white edged."""
        self.draw.rectangle((left - 2, bottom - 6, left + pixels + 2, bottom + 2), fill=WHITE)
        self.draw.rectangle((left, bottom - 4, left + pixels, bottom), fill=INK)
        self.draw.rectangle((left + pixels / 2, bottom - 3, left + pixels - 1, bottom - 1), fill=WHITE)
        self.words((left + pixels / 2, bottom - 8), label, 11, anchor="mb", halo=True)

    def north(self, x: float, y: float, size: float = 20) -> None:
        """An arrow to grid north, its tip at the top of a box `size` high."""
        half = size * 0.32
        self.draw.polygon(
            [(x, y), (x + half, y + size), (x, y + size * 0.75), (x - half, y + size)], fill=INK, outline=WHITE
        )
        self.words((x, y + size + 1), "N", 11, anchor="ma", halo=True)

    def dashes(self, box: tuple[float, float, float, float], colour: Colour = WHITE, dash: int = 6) -> None:
        """A dashed rectangle: left, top, right, bottom."""
        left, top, right, bottom = (round(edge) for edge in box)
        for x in range(left, right, 2 * dash):
            for y in (top, bottom):
                self.draw.line((x, y, min(x + dash, right), y), fill=colour, width=1)
        for y in range(top, bottom, 2 * dash):
            for x in (left, right):
                self.draw.line((x, y, x, min(y + dash, bottom)), fill=colour, width=1)

    def png(self) -> bytes:
        """The sheet as a file."""
        out = BytesIO()
        self.image.save(out, format="PNG", optimize=True)
        return out.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: the same on every machine."""
    return ImageFont.load_default(size)
