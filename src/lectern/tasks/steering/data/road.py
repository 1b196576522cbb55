"""A seed to a winding road and a drive along it: where the car is at each frame, and what its controller does.

The controller is known, so the true angle is too: it steers as the road bends a little way ahead, and back to the
middle of the road, from which gusts of wind push the car. All that it goes by can be seen.
"""

from dataclasses import dataclass

import numpy as np

STEP_SECONDS = 0.1
WHEELBASE = 2.5  # metres
HALF_WIDTH = 3.5  # metres from the middle of the road to its edge
LOCK = np.radians(25)  # of the front wheels, as in the simulator
MILES_PER_HOUR = 2.23694  # in metres per second
PREVIEW = 4.0  # metres ahead that the controller looks


@dataclass(frozen=True)
class Road:
    """Where the road bends: curvature (1/m, + to the right) every metre, and its first and second integral."""

    curvature: np.ndarray
    heading: np.ndarray
    sideways: np.ndarray

    def at(self, line: np.ndarray, distance: float | np.ndarray) -> float | np.ndarray:
        return np.interp(distance, np.arange(len(line)), line)


@dataclass(frozen=True)
class Drive:
    """A row a frame: metres along the road, metres right of its middle, heading against it, and what was done."""

    road: Road
    distance: np.ndarray
    offset: np.ndarray
    heading: np.ndarray
    speed: np.ndarray  # metres per second
    steering: np.ndarray  # share of the full lock, + to the right
    throttle: np.ndarray  # share


def lay_road(metres: int, random: np.random.Generator) -> Road:
    """Bends that come and go over 30 to 200 metres, with radii down to about 30 metres."""
    where = np.arange(metres)
    lengths, phases = random.uniform(60, 400, 8), random.uniform(0, 2 * np.pi, 8)
    waves = np.sin(2 * np.pi * where[:, None] / lengths + phases).sum(1)
    curvature = 0.03 * np.tanh(waves / 2)
    return Road(curvature, np.cumsum(curvature), np.cumsum(np.cumsum(curvature)))


def drive(frames: int, random: np.random.Generator) -> Drive:
    """A car on a bicycle's model of steering, from a standing start."""
    road = lay_road(frames * 2 + 400, random)
    wind = gusts(frames, random)
    rows, distance, offset, heading, speed = [], 0.0, 0.0, 0.0, 0.0
    for frame in range(frames):
        steering, throttle = steer(road, distance, offset, heading), press(road, distance, speed)
        rows.append((distance, offset, heading, speed, steering, throttle))
        turned = speed * np.tan(steering * LOCK) / WHEELBASE - speed * road.at(road.curvature, distance)
        distance += speed * STEP_SECONDS
        offset += speed * np.sin(heading) * STEP_SECONDS
        heading += (turned + wind[frame]) * STEP_SECONDS
        speed += (4.0 * throttle - 0.15 * speed) * STEP_SECONDS
    return Drive(road, *np.array(rows).T)


def gusts(frames: int, random: np.random.Generator) -> np.ndarray:
    """How fast the wind turns the car, in radians a second: enough to push it up to a metre or two aside."""
    when = np.arange(frames) * STEP_SECONDS
    periods, phases = random.uniform(4, 25, 4), random.uniform(0, 2 * np.pi, 4)
    return 0.08 * np.sin(2 * np.pi * when[:, None] / periods + phases).sum(1)


def steer(road: Road, distance: float, offset: float, heading: float) -> float:
    """The share of the lock that follows the bend ahead and takes offset and heading back to nothing."""
    bend = road.at(road.curvature, distance + PREVIEW) - 0.02 * offset - 0.25 * heading
    return float(np.clip(np.arctan(WHEELBASE * bend) / LOCK, -1, 1))


def press(road: Road, distance: float, speed: float) -> float:
    """The share of the throttle that holds the speed which the sharpest bend of the next 30 metres allows."""
    sharpest = np.abs(road.at(road.curvature, distance + np.arange(0, 30, 5.0))).max()
    wanted = min(15.0, np.sqrt(3.0 / max(sharpest, 1e-3)))
    return float(np.clip(0.15 * speed / 4.0 + 0.3 * (wanted - speed), 0, 1))
