"""Draw steering wheels with the angles of the driver and of the network below a frame."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, PANEL = 480, 132  # width of the image and height of the panel with the wheels, in pixels
RADIUS = 46
BACKGROUND, GRAY = (24, 26, 30), (90, 94, 102)
DRIVER, NETWORK = (120, 190, 255), (255, 170, 70)


@dataclass(frozen=True)
class Wheel:
    """The label, the angle and the colour of a drawn steering wheel."""

    name: str
    angle: float
    color: tuple[int, int, int]


def draw_wheels(frame: np.ndarray, driver: float | None, network: float, unit: dict[str, Any]) -> np.ndarray:
    """Return an enlarged raw frame, uint8 (height, width, 3), with the network's steering wheel below the frame.

    If `driver` is given, the driver's steering wheel is also drawn. `unit` is `facts["unit"]`. It states the direction
    and the number of degrees by which an angle turns the steering wheel.
    """
    wheels = [Wheel("network", network, NETWORK)]
    if driver is not None:
        wheels.insert(0, Wheel("driver", driver, DRIVER))
    height = round(frame.shape[0] * WIDTH / frame.shape[1])
    canvas = Image.new("RGB", (WIDTH, (height + PANEL) // 2 * 2), BACKGROUND)
    canvas.paste(Image.fromarray(frame).resize((WIDTH, height), Image.Resampling.BICUBIC))
    for number, wheel in enumerate(wheels):
        center = (WIDTH * (2 * number + 1) // (2 * len(wheels)), height + 62)
        draw_wheel(ImageDraw.Draw(canvas), center, wheel, wheel.angle * unit["right"] * unit["degrees"])
    return np.asarray(canvas)


def draw_wheel(draw: ImageDraw.ImageDraw, center: tuple[int, int], wheel: Wheel, degrees: float) -> None:
    """Draw a steering wheel with three spokes and a coloured mark at its top, turned clockwise by `degrees`."""
    x, y = center
    draw.ellipse((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), outline=GRAY, width=7)
    for spoke in (90, 210, 330):
        draw.line((x, y, *point_on_circle(center, RADIUS - 6, spoke + degrees)), fill=GRAY, width=5)
    draw.ellipse((x - 9, y - 9, x + 9, y + 9), fill=GRAY)
    outer = RADIUS + 2
    span = (-90 + degrees - 9, -90 + degrees + 9)
    draw.arc((x - outer, y - outer, x + outer, y + outer), *span, fill=wheel.color, width=12)
    label = f"{wheel.name} {wheel.angle:+.2f}"
    draw.text((x, y + RADIUS + 14), label, fill=wheel.color, font=ImageFont.load_default(15), anchor="mm")


def point_on_circle(center: tuple[int, int], radius: int, degrees: float) -> tuple[float, float]:
    """Return the point of a circle at an angle in degrees, measured clockwise from the top of the circle."""
    radians = math.radians(degrees)
    return center[0] + radius * math.sin(radians), center[1] - radius * math.cos(radians)
