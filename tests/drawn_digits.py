"""Draw digits as a visitor of the web page does: with several pens, sizes and positions on a large canvas."""

import math

import numpy as np
from PIL import Image, ImageDraw

CANVAS_SIZE = 560  # side length in pixels of the canvas on the web page
WIDTHS = (22, 32, 42, 54)  # widths of the pen in pixels
SIZES = (0.35, 0.5, 0.65, 0.8, 0.9)  # sizes of the digit as fractions of the canvas

Point = tuple[float, float]  # x and y, from 0 to 1 within the bounding box of the digit
Stroke = list[Point]


def arc(x: float, y: float, width: float, height: float, begin: float, end: float) -> Stroke:
    """Return a part of an ellipse around (x, y). Angles are in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(begin, end, 24))
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


def curve(*points: tuple[float, float], steps: int = 8) -> Stroke:
    """Return a Catmull-Rom spline through the points."""
    first, last = points[0], points[-1]
    corners = np.array([first, *points, last])
    weights = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    powers = np.linspace(0, 1, steps, endpoint=False)[:, None] ** np.arange(4)
    smooth = np.concatenate([powers @ weights @ corners[start : start + 4] for start in range(len(points) - 1)])
    return [(float(x), float(y)) for x, y in [*smooth, last]]


SHAPES: dict[int, list[list[Stroke]]] = {  # the strokes of each digit in two handwritings
    0: [[arc(0.5, 0.5, 0.32, 0.48, -90, 270)], [arc(0.5, 0.5, 0.38, 0.46, -60, 300)]],
    1: [[[(0.5, 0), (0.5, 1)]], [[(0.58, 0), (0.44, 1)]]],
    2: [
        [[*arc(0.5, 0.28, 0.32, 0.27, -170, 40), (0.18, 0.98), (0.84, 0.98)]],
        [[*arc(0.48, 0.27, 0.3, 0.26, -150, 55), (0.36, 0.75), (0.15, 0.95), (0.85, 0.93)]],
    ],
    3: [
        [arc(0.45, 0.26, 0.3, 0.25, -150, 90), arc(0.45, 0.74, 0.34, 0.25, -90, 150)],
        [[(0.18, 0.03), (0.78, 0.03), (0.45, 0.42), *arc(0.45, 0.7, 0.33, 0.28, -80, 150)]],
    ],
    4: [
        [[(0.3, 0), (0.18, 0.55), (0.85, 0.55)], [(0.7, 0.15), (0.66, 1)]],
        [[(0.22, 0.02), (0.2, 0.5), (0.8, 0.48)], [(0.78, 0), (0.76, 1)]],
    ],
    5: [
        [[(0.8, 0.02), (0.28, 0.02), (0.24, 0.45), *arc(0.46, 0.69, 0.33, 0.29, -130, 150)]],
        [[(0.3, 0.03), (0.26, 0.42), *arc(0.45, 0.7, 0.34, 0.28, -120, 140)], [(0.3, 0.03), (0.82, 0.0)]],
    ],
    6: [
        [[(0.68, 0.0), (0.4, 0.3), (0.24, 0.62), *arc(0.5, 0.72, 0.28, 0.27, 180, -180)]],
        [[(0.56, 0.0), (0.32, 0.36), (0.22, 0.68), *arc(0.48, 0.73, 0.26, 0.25, 180, -180)]],
    ],
    7: [[[(0.15, 0.04), (0.85, 0.04), (0.42, 1)]], [[(0.18, 0.08), (0.8, 0.03), (0.6, 0.45), (0.46, 1)]]],
    8: [
        [arc(0.5, 0.26, 0.25, 0.25, 0, 360), arc(0.5, 0.75, 0.31, 0.25, 0, 360)],
        [arc(0.52, 0.25, 0.24, 0.24, 0, 360), arc(0.48, 0.74, 0.28, 0.26, 0, 360)],
    ],
    9: [
        [arc(0.48, 0.28, 0.28, 0.27, 0, 360), [(0.76, 0.28), (0.7, 0.65), (0.6, 1)]],
        [arc(0.48, 0.27, 0.26, 0.26, 0, 360), [(0.74, 0.25), (0.74, 1)]],
    ],
}


def make_strokes(digit: int, number: int) -> list[list[Point]]:
    """Return the strokes of a digit in pixels of the canvas.

    Each value of `number` selects a different combination of handwriting, size, position and slant.
    """
    random = np.random.default_rng([digit, number])
    size = SIZES[number % len(SIZES)] * CANVAS_SIZE
    left, top = random.uniform(0.05, 0.95, 2) * (CANVAS_SIZE - size)
    angle, slant = math.radians(random.uniform(-8, 8)), random.uniform(-0.12, 0.12)
    strokes_in_pixels = []
    for stroke in SHAPES[digit][number % 2]:
        points = np.array(stroke) - 0.5
        points[:, 0] = points[:, 0] * 0.8 - slant * points[:, 1]
        rotated = points @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        # random offsets, because the lines of a real handwriting are not exact
        rotated += random.normal(0, 0.006, rotated.shape)
        strokes_in_pixels.append([(left + size * (x + 0.5), top + size * (y + 0.5)) for x, y in rotated])
    return strokes_in_pixels


def draw_digit(digit: int, number: int, ink: str = "black", background: str = "white") -> Image.Image:
    """Draw a digit as an image of the canvas."""
    width = WIDTHS[number // len(SIZES) % len(WIDTHS)]
    return draw_strokes(make_strokes(digit, number), width, ink, background)


def draw_strokes(strokes: list[Stroke], width: int, ink: str = "black", background: str = "white") -> Image.Image:
    """Draw strokes with a round pen as an image of the canvas. Points are in pixels of the canvas."""
    picture = Image.new("RGB", (CANVAS_SIZE, CANVAS_SIZE), background)
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        pen.line(stroke, fill=ink, width=width, joint="curve")
        for x, y in (stroke[0], stroke[-1]):
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=ink)
    return picture
