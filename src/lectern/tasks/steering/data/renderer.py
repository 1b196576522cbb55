"""Where a car is on a road to what its camera sees: uint8 frames, a ray a pixel, all of a chunk at once."""

import numpy as np

from lectern.tasks.steering.data.road import HALF_WIDTH, Drive

HEIGHT, WIDTH = 80, 160
HORIZON, FOCAL = 28, 114.0  # row, and pixels: a view of 70 degrees
CAMERA = 1.4  # metres above the road

ASPHALT, GRASS, WHITE, YELLOW = (
    np.array(c, np.float32) for c in ((95, 95, 98), (92, 128, 62), (230,) * 3, (225, 190, 60))
)
SKY = np.array([[110, 160, 225], [205, 222, 240]], np.float32)  # above, and at the horizon
HILLS = np.array([96, 116, 108], np.float32)


def render(drive: Drive, rows: slice, random: np.random.Generator) -> np.ndarray:
    """Frames uint8 (n, 80, 160, 3) of these rows of a drive."""
    picture = np.concatenate([sky(drive, rows), ground(drive, rows)], 1)
    picture *= light(drive, rows)[:, None, None, None]
    grain = random.normal(0, 4, (HEIGHT * 2, WIDTH * 2)).astype(np.float32)  # one sheet, laid anew on each frame
    for frame, (down, right) in zip(picture, random.integers(0, (HEIGHT, WIDTH), (len(picture), 2)), strict=True):
        frame += grain[down : down + HEIGHT, right : right + WIDTH, None]
    return picture.clip(0, 255).astype(np.uint8)


def ground(drive: Drive, rows: slice) -> np.ndarray:
    """Everything below the horizon, float32 (n, rows, columns, 3)."""
    ahead = FOCAL * CAMERA / (np.arange(HORIZON + 1, HEIGHT + 1) - HORIZON)  # metres, a row
    aside = (np.arange(WIDTH) + 0.5 - WIDTH / 2) * ahead[:, None] / FOCAL  # metres right of the camera, a pixel
    along = drive.distance[rows, None] + ahead  # (n, rows)
    across = (aside - middle(drive, rows, ahead)[..., None]).astype(np.float32)  # metres right of the road's middle
    along = along[..., None].astype(np.float32)
    width = (0.5 * ahead / FOCAL).astype(np.float32)[:, None]  # of a pixel: lines thinner than it fade
    picture = np.where((abs(across) < HALF_WIDTH)[..., None], asphalt(along, across), grass(along, across))
    paint(picture, cover(abs(across) - (HALF_WIDTH - 0.3), 0.1, width), WHITE)
    paint(picture, cover(across, 0.1, width) * (along % 6 < 3), YELLOW)
    return picture


def middle(drive: Drive, rows: slice, ahead: np.ndarray) -> np.ndarray:
    """How far right of straight ahead the road's middle is, in metres, at each distance: (n, rows)."""
    road, distance = drive.road, drive.distance[rows, None]
    bend = road.at(road.sideways, distance + ahead) - road.at(road.sideways, distance)
    straight = ahead * (road.at(road.heading, distance) + drive.heading[rows, None])
    return bend - straight - drive.offset[rows, None]


def asphalt(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return ASPHALT * (1 + 0.06 * patches(along * 2, across * 2))[..., None]


def grass(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    return GRASS * (1 + 0.18 * patches(along / 1.5, across / 1.5))[..., None]


def patches(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """-1 to 1 for each square of the ground: the same whenever the car comes by, so that the ground moves."""
    mixed = np.floor(along).astype(np.int32) * 7919 + np.floor(across).astype(np.int32) * 104729
    mixed = (mixed ^ (mixed >> 7)) * 1274126177
    return ((mixed >> 9) & 255).astype(np.float32) / 127.5 - 1


def cover(distance: np.ndarray, half: float, width: np.ndarray) -> np.ndarray:
    """How much of a pixel, 0 to 1, a line of that half width covers, `distance` metres away from its middle."""
    return ((half + width - abs(distance)) / (2 * width)).clip(0, np.minimum(1, half / width))


def paint(picture: np.ndarray, share: np.ndarray, colour: np.ndarray) -> None:
    picture += share[..., None] * (colour - picture)


def sky(drive: Drive, rows: slice) -> np.ndarray:
    """Everything above the horizon: a brightening sky, and hills that turn as the car does."""
    down = np.linspace(0, 1, HORIZON, dtype=np.float32)[:, None]
    above = (SKY[0] + (SKY[1] - SKY[0]) * down)[:, None]  # (rows, 1, 3)
    facing = drive.road.at(drive.road.heading, drive.distance[rows]) + drive.heading[rows]
    azimuth = facing[:, None] + np.arctan((np.arange(WIDTH) - WIDTH / 2) / FOCAL)  # (n, columns)
    tops = 5 + 3 * np.sin(3 * azimuth + 1) + 2 * np.sin(11 * azimuth)
    is_hill = (HORIZON - np.arange(HORIZON))[:, None] < tops[:, None]  # (n, rows, columns)
    return np.where(is_hill[..., None], HILLS, above).astype(np.float32)


def light(drive: Drive, rows: slice) -> np.ndarray:
    """Clouds: how bright it is along the road, 0.6 to 1.15."""
    where = drive.distance[rows]
    return (0.875 + 0.275 * np.sin(where / 37) * np.sin(where / 101 + 1)).astype(np.float32)
