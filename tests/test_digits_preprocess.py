"""Digits, from archives to packed splits: nothing leaks, and archives that lie are refused."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from lectern.artifacts.dataset import read_facts
from lectern.errors import UserError
from lectern.tasks.digits.data import preprocess as leg
from lectern.tasks.digits.data import samples
from lectern.tasks.digits.data.format.images import prepare
from lectern.tasks.digits.data.preprocess import TEST, TRAIN, preprocess, read_idx
from lectern.tasks.digits.data.samples import write_idx

SPLITS = ("train", "validation", "test")


def numbered(count: int, first: int = 0) -> np.ndarray:
    """Images that each tell their own number."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.divmod(np.arange(first, first + count), 256)
    images[:, 9:19, 9:19] = np.random.default_rng(first).integers(0, 256, (count, 10, 10))
    return images


def labels_of(images: np.ndarray) -> np.ndarray:
    return (images[:, 0, 1] % 10).astype(np.uint8)


def write_raw(folder: Path, train: np.ndarray, test: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for (images_name, labels_name), images in ((TRAIN, train), (TEST, test)):
        write_idx(folder / images_name, images)
        write_idx(folder / labels_name, labels_of(images))
    return folder


@pytest.fixture
def raw(tmp_path) -> Path:
    return write_raw(tmp_path / "raw" / "tiny", numbered(60), numbered(30, first=1000))


def load(out: Path) -> dict[str, np.ndarray]:
    return {split: np.load(out / f"{split}_images.npy") for split in SPLITS}


def contents(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_every_image_is_in_exactly_one_split_with_its_label(raw, tmp_path):
    preprocess(raw, tmp_path / "out", validation=12)
    splits = load(tmp_path / "out")
    assert {split: len(images) for split, images in splits.items()} == {"train": 48, "validation": 12, "test": 30}
    everything = np.concatenate(list(splits.values()))
    assert contents(everything) == contents(np.concatenate([numbered(60), numbered(30, first=1000)]))
    assert len(contents(everything)) == len(everything) == 90
    for split, images in splits.items():
        assert np.array_equal(np.load(tmp_path / "out" / f"{split}_labels.npy"), labels_of(images))


def test_the_test_images_stay_whole_and_in_order(raw, tmp_path):
    preprocess(raw, tmp_path / "out", validation=12)
    assert np.array_equal(load(tmp_path / "out")["test"], numbered(30, first=1000))


def test_no_image_of_the_sample_is_in_two_splits(digits):
    splits = [contents(images) for images in load(digits).values()]
    assert sum(map(len, splits)) == len(set.union(*splits)) > 1700


def learned(facts: dict) -> dict:
    """What the network and the baseline get to know; beside it the facts count, digest and name what there is."""
    return {key: value for key, value in facts.items() if key not in ("items", "files", "test_digest")}


def test_facts_are_learned_from_the_training_split_alone(tmp_path):
    train, other = numbered(60), numbered(60)
    other[48:] = 255  # the validation split is its last twelve
    test, other_test = numbered(30, first=1000), np.full((30, 28, 28), 7, np.uint8)
    facts = []
    for name, images, test_images in (("a", train, test), ("b", other, other_test)):
        preprocess(write_raw(tmp_path / name, images, test_images), tmp_path / f"{name}_out", validation=12)
        facts.append(read_facts(tmp_path / f"{name}_out"))
    assert learned(facts[0]) == learned(facts[1])
    assert set(learned(facts[0])) == {"prepare", "mean", "deviation", "most_frequent"}
    other[0] = 255
    preprocess(write_raw(tmp_path / "c", other, test), tmp_path / "c_out", validation=12)
    assert learned(read_facts(tmp_path / "c_out")) != learned(facts[0])


def test_facts_are_what_they_are_called(raw, tmp_path):
    preprocess(raw, tmp_path / "out", validation=12)
    facts, pixels = read_facts(tmp_path / "out"), numbered(60)[:48] / 255
    assert facts["mean"] == pytest.approx(pixels.mean(), abs=1e-6)
    assert facts["deviation"] == pytest.approx(pixels.std(), abs=1e-6)
    counts = np.bincount(labels_of(numbered(60)[:48]))
    assert counts[facts["most_frequent"]] == counts.max()


def test_the_test_digest_tells_of_the_raw_test_data_alone(tmp_path):
    train, test = numbered(60), numbered(30, first=1000)
    other_train, other_test = train[::-1], test.copy()
    other_test[3, 20, 20] ^= 1
    digests = []
    for name, (images, test_images) in enumerate([(train, test), (other_train, test), (train, other_test)]):
        preprocess(write_raw(tmp_path / f"{name}", images, test_images), tmp_path / f"{name}_out", validation=12)
        digests.append(read_facts(tmp_path / f"{name}_out")["test_digest"])
    assert digests[0] == digests[1] != digests[2]


def test_the_same_archives_give_the_same_bytes(raw, tmp_path):
    for out in ("one", "two"):
        preprocess(raw, tmp_path / out, validation=12)
    files = [{path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("one", "two")]
    assert len(files[0]) == 7 and files[0] == files[1]


def test_facts_are_written_last(raw, tmp_path, monkeypatch):
    """Finding them means that preprocessing finished."""
    there = []
    write_facts = leg.write_facts
    monkeypatch.setattr(leg, "write_facts", lambda out, facts: (there.extend(out.iterdir()), write_facts(out, facts)))
    preprocess(raw, tmp_path / "out", validation=12)
    assert len(there) == 6 and set(there) | {tmp_path / "out" / "facts.json"} == set((tmp_path / "out").iterdir())


def test_a_data_set_without_facts_is_answered_with_what_to_run(tmp_path):
    with pytest.raises(UserError, match="has not been preprocessed. Run: dvc repro preprocess@mnist"):
        read_facts(tmp_path / "mnist")


def test_packed_files_are_known_by_digest(raw, tmp_path):
    preprocess(raw, tmp_path / "out", validation=12)
    before = read_facts(tmp_path / "out")["files"]
    assert set(before) == {f"{split}_{what}.npy" for split in SPLITS for what in ("images", "labels")}
    changed = numbered(60)
    changed[0, 5, 5] ^= 1
    preprocess(write_raw(tmp_path / "raw", changed, numbered(30, first=1000)), tmp_path / "other", validation=12)
    after = read_facts(tmp_path / "other")["files"]
    assert {name for name in before if before[name] != after[name]} == {"train_images.npy"}


# What the room's `prepare` takes


def test_prepared_images_are_the_raw_ones():
    images = numbered(3)
    assert np.array_equal(prepare(images, {}), images)
    assert prepare(images[:0], {}).shape == (0, 28, 28)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((3, 28, 28), np.float32),
        np.zeros((3, 28, 28), np.int64),
        np.zeros((28, 28), np.uint8),
        np.zeros((3, 28, 27), np.uint8),
        np.zeros((3, 1, 28, 28), np.uint8),
    ],
    ids=lambda wrong: f"{np.asarray(wrong).dtype}{np.asarray(wrong).shape}",
)
def test_inputs_of_another_type_or_shape_are_refused_with_both(wrong):
    found = np.asarray(wrong)
    with pytest.raises(UserError) as error:
        prepare(wrong, {})
    assert f"{found.dtype} of shape {found.shape}" in str(error.value)
    assert "uint8 of shape (n, 28, 28)" in str(error.value)


# Archives that lie


def idx(magic: int, *shape: int, body: bytes) -> bytes:
    return np.array([magic, *shape], ">u4").tobytes() + body


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


IMAGES, LABELS = TRAIN
LIES = {
    "more images than bytes": (IMAGES, gzip.compress(idx(0x803, 61, 28, 28, body=numbered(60).tobytes()))),
    "fewer images than bytes": (IMAGES, gzip.compress(idx(0x803, 59, 28, 28, body=numbered(60).tobytes()))),
    "more images than memory": (IMAGES, gzip.compress(idx(0x803, *[2**32 - 1] * 3, body=b"\0" * 784))),
    "other sides of as many bytes": (IMAGES, gzip.compress(idx(0x803, 60, 14, 56, body=numbered(60).tobytes()))),
    "labels for images": (IMAGES, gzip.compress(idx(0x801, 60, body=bytes(60)))),
    "of signed bytes": (IMAGES, gzip.compress(idx(0x903, 60, 28, 28, body=numbered(60).tobytes()))),
    "a header cut short": (IMAGES, gzip.compress(idx(0x803, 60, body=b"")[:7])),
    "empty": (IMAGES, b""),
    "nothing packed": (IMAGES, gzip.compress(b"")),
    "no gzip": (IMAGES, b"<html>please log in</html>"),
    "a gzip cut short": (IMAGES, gzip.compress(idx(0x803, 60, 28, 28, body=numbered(60).tobytes()))[:-900]),
    "a gzip without its checksum": (IMAGES, gzip.compress(idx(0x803, 60, 28, 28, body=numbered(60).tobytes()))[:-8]),
    "a gzip with a flipped byte": (IMAGES, flipped(gzip.compress(idx(0x803, 60, 28, 28, body=numbered(60).tobytes())))),
    "fewer labels than images": (LABELS, gzip.compress(idx(0x801, 59, body=bytes(59)))),
    "a label of ten": (LABELS, gzip.compress(idx(0x801, 60, body=bytes(59) + b"\x0a"))),
    "a label of 255": (LABELS, gzip.compress(idx(0x801, 60, body=b"\xff" + bytes(59)))),
}


@pytest.mark.parametrize(("name", "content"), LIES.values(), ids=LIES)
def test_an_archive_that_lies_is_named_and_nothing_is_written(raw, tmp_path, name, content):
    (raw / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        preprocess(raw, tmp_path / "out", validation=12)
    assert not (tmp_path / "out").exists()


def test_a_header_that_lies_is_answered_with_both_sizes(raw):
    (raw / IMAGES).write_bytes(gzip.compress(idx(0x803, 61, 28, 28, body=numbered(60).tobytes())))
    with pytest.raises(UserError, match=r"header says \(61, 28, 28\), which is 47824 bytes, but 47040 follow"):
        read_idx(raw / IMAGES, dimensions=3)


def test_a_label_beyond_nine_is_answered_with_its_place(raw, tmp_path):
    (raw / LABELS).write_bytes(gzip.compress(idx(0x801, 60, body=bytes(41) + b"\x0b" + bytes(18))))
    with pytest.raises(UserError, match="label 11 at position 41; labels are 0 to 9"):
        preprocess(raw, tmp_path / "out", validation=12)


def test_a_missing_archive_is_answered_with_what_to_run(raw, tmp_path):
    (raw / TEST[0]).unlink()
    with pytest.raises(UserError, match=f"{TEST[0]} is missing. Download it: dvc repro download@tiny"):
        preprocess(raw, tmp_path / "out", validation=12)


@pytest.mark.parametrize("validation", [0, -1, 60, 1000])
def test_a_validation_split_that_leaves_nothing_is_refused(raw, tmp_path, validation):
    with pytest.raises(UserError, match=f"preprocess.validation is {validation}; .* 60 images"):
        preprocess(raw, tmp_path / "out", validation=validation)
    assert not (tmp_path / "out").exists()


# The sample


def test_the_sample_is_the_bundled_digits_enlarged_and_padded(raw_digits):
    from sklearn.datasets import load_digits

    images = np.concatenate([read_idx(raw_digits / name, 3) for name in (TRAIN[0], TEST[0])])
    labels = np.concatenate([read_idx(raw_digits / name, 1) for name in (TRAIN[1], TEST[1])])
    bundled = load_digits()
    assert images.shape == (1797, 28, 28) and np.array_equal(labels, bundled.target)
    assert np.array_equal(images[:, 3:26:3, 3:26:3], (bundled.images * (255 / 16)).round())
    assert images[:, :2].max() == images[:, -2:].max() == images[:, :, :2].max() == images[:, :, -2:].max() == 0


def test_the_sample_is_made_of_the_same_bytes_again_and_says_of_what(raw_digits, tmp_path):
    found = samples.make(tmp_path)
    assert list(found) == ["scikit-learn"] and json.dumps(found)
    assert {path.name for path in tmp_path.iterdir()} == {*TRAIN, *TEST}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (raw_digits / path.name).read_bytes()
