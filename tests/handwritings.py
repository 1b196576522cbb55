"""Draw digits in several handwritings, with random slants, sizes, pens and uneven lines."""

from typing import Literal

import numpy as np
from PIL import Image

from development_forms import DEVELOPMENT
from drawn_digits import CANVAS_SIZE, Stroke, draw_strokes
from held_out_forms import HELD_OUT

Group = Literal["development", "held-out"]

GROUPS: dict[Group, dict[int, list[list[Stroke]]]] = {"development": DEVELOPMENT, "held-out": HELD_OUT}


def draw_form(group: Group, digit: int, number: int) -> Image.Image:
    """Draw a digit as an image of the canvas. `number` selects the form and the random numbers."""
    random = np.random.default_rng([list(GROUPS).index(group), digit, number])
    forms = GROUPS[group][digit]
    size = random.uniform(0.35, 0.9) * CANVAS_SIZE
    width = int(random.choice([38, 38, random.uniform(20, 56)]))  # the pen of the web page has a width of 38 pixels
    left, top = random.uniform(0.05, 0.95, 2) * (CANVAS_SIZE - size)
    hand = Handwriting(random)
    strokes = [hand.bend(np.array(stroke)) * size + (left, top) for stroke in forms[number % len(forms)]]
    return draw_strokes([[(float(x), float(y)) for x, y in stroke] for stroke in strokes], width)


class Handwriting:
    """A random slant, rotation and width, and waves that bend each stroke."""

    def __init__(self, random: np.random.Generator):
        angle, slant, wide = random.uniform(-0.17, 0.17), random.uniform(-0.25, 0.3), random.uniform(0.6, 1.0)
        rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self.matrix = np.array([[wide, 0], [-slant, 1]]) @ rotation
        self.waves = random.normal(0, 1, (4, 2)) * [5, 5], random.uniform(0, 6.3, 4), random.normal(0, 0.012, (4, 2))
        self.random = random

    def bend(self, points: np.ndarray) -> np.ndarray:
        """Return the points of a stroke as this hand draws the stroke."""
        frequencies, phases, heights = self.waves
        bent = points + np.sin(points @ frequencies.T + phases) @ heights
        bent += self.random.normal(0, 0.004, points.shape)
        return (bent - 0.5) @ self.matrix + 0.5
