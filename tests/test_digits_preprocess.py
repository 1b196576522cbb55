"""Test the preprocessing of digits: the splits, the facts and the errors for invalid archives."""

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.digits.data import preprocess as preprocess_module
from lectern.tasks.digits.data import samples
from lectern.tasks.digits.data.centering import DIGIT_SIZE
from lectern.tasks.digits.data.format.images import validate_images
from lectern.tasks.digits.data.idx_files import read_idx
from lectern.tasks.digits.data.preprocess import TEST_FILES, TRAIN_FILES, preprocess
from lectern.tasks.digits.data.samples import write_idx

SPLITS = ("train", "validation", "test")


def make_images(count: int, first: int = 0) -> np.ndarray:
    """Return images that contain their own number in the first two pixels, so that all images differ."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(first, first + count), 256)
    images[:, 9:19, 9:19] = np.random.default_rng(first).integers(0, 256, (count, 10, 10))
    return images


def make_labels(images: np.ndarray) -> np.ndarray:
    return (images[:, 0, 1] % 10).astype(np.uint8)


def write_raw(folder: Path, train: np.ndarray, test: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for (images_name, labels_name), images in ((TRAIN_FILES, train), (TEST_FILES, test)):
        write_idx(folder / images_name, images)
        write_idx(folder / labels_name, make_labels(images))
    return folder


@pytest.fixture
def raw(tmp_path) -> Path:
    return write_raw(tmp_path / "raw" / "tiny", make_images(60), make_images(30, first=1000))


def load_images(out: Path) -> dict[str, np.ndarray]:
    return {split: np.load(out / f"{split}_images.npy") for split in SPLITS}


def to_set(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_each_image_is_in_exactly_one_split_with_its_label(raw, tmp_path):
    preprocess(raw, tmp_path / "out", validation=12)
    splits = load_images(tmp_path / "out")
    assert {split: len(images) for split, images in splits.items()} == {"train": 48, "validation": 12, "test": 30}
    all_images = np.concatenate(list(splits.values()))
    assert to_set(all_images) == to_set(np.concatenate([make_images(60), make_images(30, first=1000)]))
    assert len(to_set(all_images)) == len(all_images) == 90
    for split, images in splits.items():
        assert np.array_equal(np.load(tmp_path / "out" / f"{split}_labels.npy"), make_labels(images))


def test_test_split_has_all_test_images_in_order(raw, tmp_path):
    preprocess(raw, tmp_path / "out", validation=12)
    assert np.array_equal(load_images(tmp_path / "out")["test"], make_images(30, first=1000))


def test_no_image_of_the_sample_is_in_two_splits(digits):
    splits = [to_set(images) for images in load_images(digits).values()]
    assert sum(map(len, splits)) == len(set.union(*splits)) > 1700


def select_learned_facts(facts: dict) -> dict:
    """Return the facts that are learned from data. Counts, digests and file names are left out."""
    return {key: value for key, value in facts.items() if key not in ("items", "files", "test_digest")}


def test_facts_depend_only_on_the_training_split(tmp_path):
    train, other = make_images(60), make_images(60)
    other[48:, 9:] = 255  # The last twelve images belong to the validation split. The labels stay unchanged.
    test, other_test = make_images(30, first=1000), make_images(30, first=1000)
    other_test[:, 9:] = 7
    facts = []
    for name, images, test_images in (("a", train, test), ("b", other, other_test)):
        preprocess(write_raw(tmp_path / name, images, test_images), tmp_path / f"{name}_out", validation=12)
        facts.append(read_facts(tmp_path / f"{name}_out"))
    assert select_learned_facts(facts[0]) == select_learned_facts(facts[1])
    assert set(select_learned_facts(facts[0])) == {"prepare", "mean", "deviation", "most_frequent"}
    other[0, 9:] = 255
    preprocess(write_raw(tmp_path / "c", other, test), tmp_path / "c_out", validation=12)
    assert select_learned_facts(read_facts(tmp_path / "c_out")) != select_learned_facts(facts[0])


def test_facts_are_the_mean_deviation_and_most_frequent_label(raw, tmp_path):
    preprocess(raw, tmp_path / "out", validation=12)
    facts, pixels = read_facts(tmp_path / "out"), make_images(60)[:48] / 255
    assert facts["mean"] == pytest.approx(pixels.mean(), abs=1e-6)
    assert facts["deviation"] == pytest.approx(pixels.std(), abs=1e-6)
    counts = np.bincount(make_labels(make_images(60)[:48]))
    assert counts[facts["most_frequent"]] == counts.max()


def test_test_digest_depends_only_on_the_raw_test_data(tmp_path):
    train, test = make_images(60), make_images(30, first=1000)
    other_train, other_test = train[::-1], test.copy()
    other_test[3, 20, 20] ^= 1
    digests = []
    for name, (images, test_images) in enumerate([(train, test), (other_train, test), (train, other_test)]):
        preprocess(write_raw(tmp_path / f"{name}", images, test_images), tmp_path / f"{name}_out", validation=12)
        digests.append(read_facts(tmp_path / f"{name}_out")["test_digest"])
    assert digests[0] == digests[1] != digests[2]


def test_preprocessing_twice_gives_the_same_bytes(raw, tmp_path):
    for out in ("one", "two"):
        preprocess(raw, tmp_path / out, validation=12)
    files = [{path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("one", "two")]
    assert len(files[0]) == 7 and files[0] == files[1]


def test_facts_are_written_last(raw, tmp_path, monkeypatch):
    """If `facts.json` exists, preprocessing has therefore finished."""
    files_before = []
    write_facts = preprocess_module.write_facts
    monkeypatch.setattr(
        preprocess_module,
        "write_facts",
        lambda out, facts: (files_before.extend(out.iterdir()), write_facts(out, facts)),
    )
    preprocess(raw, tmp_path / "out", validation=12)
    assert len(files_before) == 6
    assert {*files_before, tmp_path / "out" / "facts.json"} == set((tmp_path / "out").iterdir())


def test_error_for_a_dataset_without_facts_names_the_command_to_run(tmp_path):
    with pytest.raises(UserError, match="dvc repro preprocess@mnist"):
        read_facts(tmp_path / "mnist")


def test_facts_contain_a_digest_per_file(raw, tmp_path):
    preprocess(raw, tmp_path / "out", validation=12)
    before = read_facts(tmp_path / "out")["files"]
    assert set(before) == {f"{split}_{kind}.npy" for split in SPLITS for kind in ("images", "labels")}
    changed = make_images(60)
    changed[0, 5, 5] ^= 1
    preprocess(write_raw(tmp_path / "raw", changed, make_images(30, first=1000)), tmp_path / "other", validation=12)
    after = read_facts(tmp_path / "other")["files"]
    assert {name for name in before if before[name] != after[name]} == {"train_images.npy"}


# Validation of images


def test_valid_images_are_returned_unchanged():
    images = make_images(3)
    assert np.array_equal(validate_images(images), images)
    assert validate_images(images[:0]).shape == (0, 28, 28)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((3, 28, 28), np.float32),
        np.zeros((3, 28, 28), np.int64),
        np.zeros((28, 28), np.uint8),
        np.zeros((3, 28, 27), np.uint8),
        np.zeros((3, 1, 28, 28), np.uint8),
    ],
    ids=lambda images: f"{images.dtype}{images.shape}",
)
def test_error_for_images_of_another_type_or_shape_names_the_found_and_the_expected_one(images):
    with pytest.raises(UserError) as error:
        validate_images(images)
    assert f"{images.dtype} of shape {images.shape}" in str(error.value)
    assert "uint8 of shape (n, 28, 28)" in str(error.value)


# Invalid archives


def make_archive(magic: int, *shape: int, body: bytes) -> bytes:
    return gzip.compress(np.array([magic, *shape], ">u4").tobytes() + body)


def flip_middle_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


IMAGES, LABELS = TRAIN_FILES
PIXELS = make_images(60).tobytes()
VALID_ARCHIVE = make_archive(0x803, 60, 28, 28, body=PIXELS)
INVALID_ARCHIVES = {
    "header declares too many images": (IMAGES, make_archive(0x803, 61, 28, 28, body=PIXELS)),
    "header declares too few images": (IMAGES, make_archive(0x803, 59, 28, 28, body=PIXELS)),
    "header declares more images than fit into memory": (IMAGES, make_archive(0x803, *[2**32 - 1] * 3, body=PIXELS)),
    "wrong image shape with the right number of bytes": (IMAGES, make_archive(0x803, 60, 14, 56, body=PIXELS)),
    "labels instead of images": (IMAGES, make_archive(0x801, 60, body=bytes(60))),
    "signed bytes": (IMAGES, make_archive(0x903, 60, 28, 28, body=PIXELS)),
    "truncated header": (IMAGES, gzip.compress(np.array([0x803, 60], ">u4").tobytes()[:7])),
    "empty file": (IMAGES, b""),
    "gzip of nothing": (IMAGES, gzip.compress(b"")),
    "not gzip": (IMAGES, b"<html>please log in</html>"),
    "truncated gzip": (IMAGES, VALID_ARCHIVE[:-900]),
    "gzip without its checksum": (IMAGES, VALID_ARCHIVE[:-8]),
    "gzip with a flipped bit": (IMAGES, flip_middle_bit(VALID_ARCHIVE)),
    "fewer labels than images": (LABELS, make_archive(0x801, 59, body=bytes(59))),
    "label 10": (LABELS, make_archive(0x801, 60, body=bytes(59) + b"\x0a")),
    "label 255": (LABELS, make_archive(0x801, 60, body=b"\xff" + bytes(59))),
}


@pytest.mark.parametrize(("name", "content"), INVALID_ARCHIVES.values(), ids=INVALID_ARCHIVES)
def test_error_names_the_invalid_archive_and_nothing_is_written(raw, tmp_path, name, content):
    (raw / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        preprocess(raw, tmp_path / "out", validation=12)
    assert not (tmp_path / "out").exists()


def test_error_for_a_wrong_header_names_both_sizes(raw):
    (raw / IMAGES).write_bytes(make_archive(0x803, 61, 28, 28, body=PIXELS))
    with pytest.raises(UserError, match=r"the shape \(61, 28, 28\), which needs 47824 bytes, but 47040 bytes follow"):
        read_idx(raw / IMAGES, dimensions=3)


def test_error_for_a_label_above_nine_names_its_position(raw, tmp_path):
    (raw / LABELS).write_bytes(make_archive(0x801, 60, body=bytes(41) + b"\x0b" + bytes(18)))
    with pytest.raises(UserError, match="label 11 at position 41; labels must be 0 to 9"):
        preprocess(raw, tmp_path / "out", validation=12)


def test_error_for_a_missing_archive_names_the_command_to_run(raw, tmp_path):
    (raw / TEST_FILES[0]).unlink()
    (raw / TEST_FILES[1]).unlink()
    expected = (
        f"has no file {TEST_FILES[0]}, {TEST_FILES[1]}. Available files: {', '.join(TRAIN_FILES)}. Run `dvc repro"
    )
    with pytest.raises(UserError, match=f"{expected} download@tiny`"):
        preprocess(raw, tmp_path / "out", validation=12)


@pytest.mark.parametrize(("validation", "count"), [(60, 60), (1000, 1000), (0.001, 0), (0.999, 60)])
def test_validation_split_without_training_images_is_an_error(raw, tmp_path, validation, count):
    expected = f"preprocess.validation is {validation:,}, which selects {count:,} of 60 images"
    with pytest.raises(UserError, match=expected):
        preprocess(raw, tmp_path / "out", validation=validation)
    assert not (tmp_path / "out").exists()


# Sample


def shrink(image: np.ndarray) -> list[np.ndarray]:
    """Return 8x8 images, one for each position that the digit of 20x20 pixels can have in the image."""
    corners = itertools.product(range(28 - DIGIT_SIZE + 1), repeat=2)
    boxes = [image[row : row + DIGIT_SIZE, column : column + DIGIT_SIZE] for row, column in corners]
    return [np.asarray(Image.fromarray(box).resize((8, 8), Image.Resampling.BOX)) for box in boxes]


def test_sample_is_the_bundled_digits_in_the_style_of_mnist(raw_digits):
    from sklearn.datasets import load_digits

    images = np.concatenate([read_idx(raw_digits / name, 3) for name in (TRAIN_FILES[0], TEST_FILES[0])])
    labels = np.concatenate([read_idx(raw_digits / name, 1) for name in (TRAIN_FILES[1], TEST_FILES[1])])
    bundled = load_digits()
    assert images.shape == (1797, 28, 28) and np.array_equal(labels, bundled.target)
    assert (images.max((1, 2)) == 255).all()
    for image, small in zip(images[::60], bundled.images[::60], strict=True):
        assert max(np.corrcoef(box.ravel(), small.ravel())[0, 1] for box in shrink(image)) > 0.95


def test_digits_of_the_sample_fit_into_20_pixels_and_are_centered_by_mass(raw_digits):
    for image in read_idx(raw_digits / TRAIN_FILES[0], 3)[:100].astype(float):
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert max(rows[-1] - rows[0], columns[-1] - columns[0]) < DIGIT_SIZE
        for axis in (0, 1):
            center = (image.sum(1 - axis) * (np.arange(28) + 0.5)).sum() / image.sum()
            assert abs(center - 14) < 0.51


def test_sample_has_the_same_bytes_again_and_returns_the_versions_of_its_libraries(raw_digits, tmp_path):
    versions = samples.make(tmp_path)
    assert list(versions) == ["scikit-learn", "pillow"] and json.dumps(versions)
    assert {path.name for path in tmp_path.iterdir()} == {*TRAIN_FILES, *TEST_FILES}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (raw_digits / path.name).read_bytes()
