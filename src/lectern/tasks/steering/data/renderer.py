"""Render the camera images of a simulated car. The renderer computes one ray per pixel, for many frames at a time."""

import numpy as np

from lectern.tasks.steering.data.road import HALF_WIDTH, SimulatedDrive

HEIGHT, WIDTH = 80, 160  # pixels
HORIZON = 28  # row of the horizon
FOCAL = 114.0  # focal length in pixels, for a horizontal field of view of 70 degrees
CAMERA_HEIGHT = 1.4  # height of the camera above the road in metres

ASPHALT, GRASS, WHITE, YELLOW = (
    np.array(c, np.float32) for c in ((95, 95, 98), (92, 128, 62), (230,) * 3, (225, 190, 60))
)
# colours of the sky at the top of the image and at the horizon
SKY = np.array([[110, 160, 225], [205, 222, 240]], np.float32)
HILLS = np.array([96, 116, 108], np.float32)


def render(drive: SimulatedDrive, rows: slice, random: np.random.Generator) -> np.ndarray:
    """Return the rendered frames of the selected rows of a drive, uint8 (n, 80, 160, 3)."""
    frames = np.concatenate([render_sky(drive, rows), render_ground(drive, rows)], 1)
    frames *= brightness(drive, rows)[:, None, None, None]
    # large image of noise, of which each frame uses a random part
    noise = random.normal(0, 4, (HEIGHT * 2, WIDTH * 2)).astype(np.float32)
    for frame, (down, right) in zip(frames, random.integers(0, (HEIGHT, WIDTH), (len(frames), 2)), strict=True):
        frame += noise[down : down + HEIGHT, right : right + WIDTH, None]
    return frames.clip(0, 255).astype(np.uint8)


def render_ground(drive: SimulatedDrive, rows: slice) -> np.ndarray:
    """Return the part of the frames below the horizon, float32 (n, rows, columns, 3)."""
    # distance in metres from the camera to the ground, one value per image row
    ahead = FOCAL * CAMERA_HEIGHT / (np.arange(HORIZON + 1, HEIGHT + 1) - HORIZON)
    # distance to the right of the camera in metres, one value per pixel
    right_of_camera = (np.arange(WIDTH) + 0.5 - WIDTH / 2) * ahead[:, None] / FOCAL
    along = drive.distance[rows, None] + ahead  # (n, rows)
    # distance to the right of the middle of the road in metres, one value per pixel
    across = (right_of_camera - road_middle(drive, rows, ahead)[..., None]).astype(np.float32)
    along = along[..., None].astype(np.float32)
    half_pixel = (0.5 * ahead / FOCAL).astype(np.float32)[:, None]  # half the width of a pixel in metres
    image = np.where((abs(across) < HALF_WIDTH)[..., None], asphalt(along, across), grass(along, across))
    paint(image, line_coverage(abs(across) - (HALF_WIDTH - 0.3), 0.1, half_pixel), WHITE)
    paint(image, line_coverage(across, 0.1, half_pixel) * (along % 6 < 3), YELLOW)
    return image


def road_middle(drive: SimulatedDrive, rows: slice, ahead: np.ndarray) -> np.ndarray:
    """Return positions (n, rows) of the middle of the road, in metres to the right of the camera axis.

    `ahead` contains the distances from the car, in metres, at which the positions are computed.
    """
    road, distance = drive.road, drive.distance[rows, None]
    bend = road.at(road.sideways, distance + ahead) - road.at(road.sideways, distance)
    straight = ahead * (road.at(road.heading, distance) + drive.heading[rows, None])
    middle: np.ndarray = bend - straight - drive.offset[rows, None]
    return middle


def asphalt(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    texture: np.ndarray = ASPHALT * (1 + 0.06 * ground_texture(along * 2, across * 2))[..., None]
    return texture


def grass(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    texture: np.ndarray = GRASS * (1 + 0.18 * ground_texture(along / 1.5, across / 1.5))[..., None]
    return texture


def ground_texture(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return a pseudo-random value from -1 to 1 for each square of the ground.

    The value is a hash of the square's position, so a square has an equal value in all frames, and the texture does not
    move relative to the ground.
    """
    mixed = np.floor(along).astype(np.int32) * 7919 + np.floor(across).astype(np.int32) * 104729
    mixed = (mixed ^ (mixed >> 7)) * 1274126177
    values: np.ndarray = ((mixed >> 9) & 255).astype(np.float32) / 127.5 - 1
    return values


def line_coverage(distance: np.ndarray, half_line: float, half_pixel: np.ndarray) -> np.ndarray:
    """Return the fraction of each pixel that a painted line covers.

    `distance` is the distance of each pixel from the middle of the line. All arguments are in metres.
    """
    coverage: np.ndarray = (half_line + half_pixel - abs(distance)) / (2 * half_pixel)
    return coverage.clip(0, np.minimum(1, half_line / half_pixel))


def paint(image: np.ndarray, opacity: np.ndarray, color: np.ndarray) -> None:
    """Blend a colour into an image in place. An opacity of 1 replaces the old colour."""
    image += opacity[..., None] * (color - image)


def render_sky(drive: SimulatedDrive, rows: slice) -> np.ndarray:
    """Return the part of the frames above the horizon.

    The sky has a colour gradient, and the hills move in the image when the car turns.
    """
    down = np.linspace(0, 1, HORIZON, dtype=np.float32)[:, None]
    gradient = (SKY[0] + (SKY[1] - SKY[0]) * down)[:, None]  # (rows, 1, 3)
    facing = drive.road.at(drive.road.heading, drive.distance[rows]) + drive.heading[rows]
    azimuth = facing[:, None] + np.arctan((np.arange(WIDTH) - WIDTH / 2) / FOCAL)  # (n, columns)
    hill_tops = 5 + 3 * np.sin(3 * azimuth + 1) + 2 * np.sin(11 * azimuth)
    is_hill = (HORIZON - np.arange(HORIZON))[:, None] < hill_tops[:, None]  # (n, rows, columns)
    return np.where(is_hill[..., None], HILLS, gradient).astype(np.float32)


def brightness(drive: SimulatedDrive, rows: slice) -> np.ndarray:
    """Return a brightness factor from 0.6 to 1.15 that varies along the road, like the shadows of clouds."""
    distance = drive.distance[rows]
    factors: np.ndarray = (0.875 + 0.275 * np.sin(distance / 37) * np.sin(distance / 101 + 1)).astype(np.float32)
    return factors
