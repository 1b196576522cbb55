"""Read images and labels from IDX files. The MNIST page of LeCun, Cortes and Burges describes the IDX format."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from lectern.errors import UserError
from lectern.tasks.digits.data.format.images import IMAGE_SIZE, NUM_CLASSES
from lectern.user_files.system_files import is_system_file

GZIP = b"\x1f\x8b"  # the first bytes of every gzip file

LabeledImages = tuple[np.ndarray, np.ndarray]


def read_labeled_images(raw: Path, images_name: str, labels_name: str) -> LabeledImages:
    """Read images (n, 28, 28) and their labels (n,).

    Raises UserError if the images do not have this shape, if the numbers of images and labels differ, or if a label is
    not from 0 to 9.
    """
    images = read_idx(find_idx(raw, images_name), dimensions=3)
    labels = read_idx(find_idx(raw, labels_name), dimensions=1)
    if images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
        raise UserError(
            f"{raw / images_name} contains images of shape {images.shape[1:]}; expected ({IMAGE_SIZE}, {IMAGE_SIZE})."
        )
    if len(images) != len(labels):
        raise UserError(
            f"{raw / images_name} contains {len(images)} images, but {labels_name} contains {len(labels)} labels."
        )
    if labels.size and labels.max() >= NUM_CLASSES:
        index = int((labels >= NUM_CLASSES).argmax())
        raise UserError(f"{raw / labels_name}: label {labels[index]} at position {index}; labels must be 0 to 9.")
    return images, labels


def find_idx(raw: Path, name: str) -> Path:
    """Return the path of an IDX file.

    If the file `name` does not exist, return the path with the ending `.gz` added or removed.
    """
    path = raw / name
    other = path.with_suffix("") if path.suffix == ".gz" else path.with_name(f"{name}.gz")
    return other if other.is_file() and not path.is_file() else path


def check_files_exist(raw: Path, names: list[str]) -> None:
    """Raise UserError with the names of all missing files."""
    missing = [name for name in names if not find_idx(raw, name).is_file()]
    if missing:
        found = sorted(path.name for path in raw.glob("*") if not is_system_file(path.relative_to(raw)))
        raise UserError(
            f"{raw} has no file {', '.join(missing)}. Available files: {', '.join(found) or 'none'}. "
            f"Run `dvc repro download@{raw.name}`, or set preprocess.train and preprocess.test to the names of the "
            "files."
        )


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an IDX file of uint8 values with the given number of dimensions. The file may be compressed with gzip.

    Raises UserError if the file is damaged, or if the size of the file does not match its header.
    """
    try:
        content = path.read_bytes()
        data = gzip.decompress(content) if content.startswith(GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} is not a complete gzip file ({error}). Delete the file and download it again."
        ) from error
    magic, start = (0x800 + dimensions).to_bytes(4), 4 + 4 * dimensions
    if len(data) < start or data[:4] != magic:
        raise UserError(
            f"{path} is not an IDX file with {dimensions} dimensions. "
            f"An IDX file must start with {magic!r}, followed by {dimensions} sizes of 4 bytes each; "
            f"found {data[:start]!r}."
        )
    shape, body = tuple(map(int, np.frombuffer(data[4:start], ">u4"))), data[start:]
    if len(body) != math.prod(shape):
        raise UserError(
            f"{path}: the header declares the shape {shape}, which needs {math.prod(shape)} bytes, "
            f"but {len(body)} bytes follow."
        )
    return np.frombuffer(body, np.uint8).reshape(shape)
