"""A frame and angles to the same frame with steering wheels drawn under it: the driver's and the network's."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, PANEL = 480, 132  # pixels
BACKGROUND, INK, FAINT = (24, 26, 30), (235, 235, 235), (90, 94, 102)
DRIVER, NETWORK = (120, 190, 255), (255, 170, 70)


@dataclass(frozen=True)
class Wheel:
    """Whose hands, in which colour, at which angle."""

    name: str
    angle: float
    colour: tuple[int, int, int]


def draw_wheels(frame: np.ndarray, driver: float | None, network: float, unit: dict) -> np.ndarray:
    """A raw frame, uint8 (height, width, 3), enlarged, and one wheel, or two where the driver's angle is known.

    `unit` is that of the facts: how far the wheel turns, and which way.
    """
    wheels = [Wheel("network", network, NETWORK)]
    if driver is not None:
        wheels.insert(0, Wheel("driver", driver, DRIVER))
    height = round(frame.shape[0] * WIDTH / frame.shape[1])
    canvas = Image.new("RGB", (WIDTH, (height + PANEL) // 2 * 2), BACKGROUND)
    canvas.paste(Image.fromarray(frame).resize((WIDTH, height), Image.Resampling.BICUBIC))
    for number, wheel in enumerate(wheels):
        middle = (WIDTH * (2 * number + 1) // (2 * len(wheels)), height + 62)
        draw_wheel(ImageDraw.Draw(canvas), middle, 46, wheel, wheel.angle * unit["right"] * unit["degrees"])
    return np.asarray(canvas)


def draw_wheel(draw: ImageDraw.ImageDraw, middle: tuple[int, int], radius: int, wheel: Wheel, degrees: float) -> None:
    """A rim with three spokes and a mark at its top, turned clockwise."""
    x, y = middle
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=FAINT, width=7)
    for spoke in (90, 210, 330):
        draw.line((x, y, *on_rim(middle, radius - 6, spoke + degrees)), fill=FAINT, width=5)
    draw.ellipse((x - 9, y - 9, x + 9, y + 9), fill=FAINT)
    span = (-90 + degrees - 9, -90 + degrees + 9)
    draw.arc((x - radius - 2, y - radius - 2, x + radius + 2, y + radius + 2), *span, fill=wheel.colour, width=12)
    words = f"{wheel.name} {wheel.angle:+.2f}"
    draw.text((x, y + radius + 14), words, fill=wheel.colour, font=ImageFont.load_default(15), anchor="mm")


def on_rim(middle: tuple[int, int], radius: int, degrees: float) -> tuple[float, float]:
    """A point of a circle, from its top clockwise."""
    turn = math.radians(degrees)
    return middle[0] + radius * math.sin(turn), middle[1] - radius * math.cos(turn)
