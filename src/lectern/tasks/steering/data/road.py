"""Generate a random winding road and simulate a drive along it.

A controller computes the steering angle by a formula, so the true angle at each frame is known. Simulated wind pushes
the car away from the middle of the road. The controller steers the car back to the middle of the road, and follows the
bend of the road a few metres ahead. The frames show everything that the controller uses as input.
"""

from dataclasses import dataclass

import numpy as np

STEP_SECONDS = 0.1
WHEELBASE = 2.5  # metres
HALF_WIDTH = 3.5  # distance from the middle of the road to its edge in metres
LOCK = np.radians(25)  # largest steering angle of the front wheels in radians, as in Udacity's simulator
MILES_PER_HOUR = 2.23694  # factor that converts metres per second to miles per hour
PREVIEW = 4.0  # distance ahead of the car, in metres, at which the controller uses the curvature of the road


@dataclass(frozen=True)
class Road:
    """The curvature of a road at every metre (1/m, positive to the right), and its first and second integral."""

    curvature: np.ndarray
    heading: np.ndarray
    sideways: np.ndarray

    def at(self, values: np.ndarray, distance: float | np.ndarray) -> float | np.ndarray:
        """Interpolate values, given for every metre of the road, at a distance in metres."""
        interpolated: float | np.ndarray = np.interp(distance, np.arange(len(values)), values)
        return interpolated


@dataclass(frozen=True)
class SimulatedDrive:
    """The state of the car and the commands of the controller, with one value per frame."""

    road: Road
    distance: np.ndarray  # metres along the road
    offset: np.ndarray  # distance of the car to the right of the middle of the road in metres
    heading: np.ndarray  # angle between the direction of the car and the road in radians
    speed: np.ndarray  # metres per second
    steering: np.ndarray  # steering angle as a fraction of the full lock, positive to the right
    throttle: np.ndarray  # 0 to 1


def generate_road(meters: int, random: np.random.Generator) -> Road:
    """Return a road with bends that are 30 to 200 metres long and have radii of at least about 30 metres."""
    position = np.arange(meters)
    lengths, phases = random.uniform(60, 400, 8), random.uniform(0, 2 * np.pi, 8)
    waves = np.sin(2 * np.pi * position[:, None] / lengths + phases).sum(1)
    curvature = 0.03 * np.tanh(waves / 2)
    return Road(curvature, np.cumsum(curvature), np.cumsum(np.cumsum(curvature)))


def simulate_drive(frames: int, random: np.random.Generator) -> SimulatedDrive:
    """Simulate the drive of a car on a random road with the kinematic bicycle model. The car starts at rest."""
    road = generate_road(frames * 2 + 400, random)
    wind = wind_turn_rate(frames, random)
    rows, distance, offset, heading, speed = [], 0.0, 0.0, 0.0, 0.0
    for frame in range(frames):
        steering, throttle = choose_steering(road, distance, offset, heading), choose_throttle(road, distance, speed)
        rows.append((distance, offset, heading, speed, steering, throttle))
        turn_rate = speed * np.tan(steering * LOCK) / WHEELBASE - speed * road.at(road.curvature, distance)
        distance += speed * STEP_SECONDS
        offset += speed * np.sin(heading) * STEP_SECONDS
        heading += (turn_rate + wind[frame]) * STEP_SECONDS
        speed += (4.0 * throttle - 0.15 * speed) * STEP_SECONDS
    return SimulatedDrive(road, *np.array(rows).T)


def wind_turn_rate(frames: int, random: np.random.Generator) -> np.ndarray:
    """Return the turn rate that the wind causes at each frame, in radians per second.

    The wind can push the car one or two metres away from the middle of the road.
    """
    time = np.arange(frames) * STEP_SECONDS
    periods, phases = random.uniform(4, 25, 4), random.uniform(0, 2 * np.pi, 4)
    turn_rate: np.ndarray = 0.08 * np.sin(2 * np.pi * time[:, None] / periods + phases).sum(1)
    return turn_rate


def choose_steering(road: Road, distance: float, offset: float, heading: float) -> float:
    """Return the steering command as a fraction of the full lock.

    The steering command follows the bend of the road ahead, and reduces the offset and the heading to zero.
    """
    bend = road.at(road.curvature, distance + PREVIEW) - 0.02 * offset - 0.25 * heading
    return float(np.clip(np.arctan(WHEELBASE * bend) / LOCK, -1, 1))


def choose_throttle(road: Road, distance: float, speed: float) -> float:
    """Return the throttle that reaches the safe speed for the sharpest bend of the next 30 metres."""
    sharpest = np.abs(road.at(road.curvature, distance + np.arange(0, 30, 5.0))).max()
    safe_speed = min(15.0, np.sqrt(3.0 / max(sharpest, 1e-3)))
    return float(np.clip(0.15 * speed / 4.0 + 0.3 * (safe_speed - speed), 0, 1))
