"""Test that images and videos are read as a viewer shows them: upright, with 8 bits, opaque and in sRGB."""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from lectern.errors import UserError
from lectern.tasks.digits.serving.request import read_picture
from lectern.tasks.steering.data.readers.images import decode_image
from lectern.tasks.steering.data.readers.videos import read_video
from lectern.tasks.steering.serving import request
from lectern.user_files.displayed_image import displayed_image
from lectern.user_files.images import read_image

COLORS = {"red": (220, 40, 30), "green": (30, 200, 60), "blue": (20, 40, 210), "gray": (200, 200, 200)}
ORIENTATION = 0x0112  # tag of the EXIF data


def draw_quarters(height: int = 48, width: int = 64) -> np.ndarray:
    """Return an image with another color in each quarter."""
    pixels = np.zeros((height, width, 3), np.uint8)
    rows, columns = slice(0, height // 2), slice(0, width // 2)
    red, green, blue, gray = COLORS.values()
    pixels[:] = gray
    pixels[rows, columns], pixels[rows, width // 2 :], pixels[height // 2 :, columns] = red, green, blue
    return pixels


def read(data: bytes) -> np.ndarray:
    return np.asarray(read_image(io.BytesIO(data), 1.0))


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# Orientation

HOW_TO_STORE = {  # how a camera stores upright pixels for each value of the EXIF orientation
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels, -1),
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", HOW_TO_STORE)
def test_the_exif_orientation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(HOW_TO_STORE[orientation](draw_quarters())))
    data = encode(stored, kind, exif=exif, quality=95)
    for pixels in (read(data), decode_image(data)):
        np.testing.assert_allclose(pixels[12::24, 16::32].astype(int), draw_quarters()[12::24, 16::32], atol=12)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damaged tags
def test_damaged_exif_data_is_ignored():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    good = exif.tobytes()
    for number in range(6, len(good)):
        damaged = good[:number] + b"\xff" + good[number + 1 :]
        assert sorted(read(encode(Image.fromarray(draw_quarters()), "PNG", exif=damaged)).shape) == [3, 48, 64]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_digit_on_a_rotated_photograph_is_read_upright(orientation, tmp_path):
    drawing = np.full((120, 120, 3), 255, np.uint8)
    drawing[20:30, 30:90] = drawing[20:100, 80:90] = 0  # a seven
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(HOW_TO_STORE[orientation](drawing)))
    (tmp_path / "photo.jpg").write_bytes(encode(stored, "JPEG", exif=exif, quality=95))
    (tmp_path / "upright.png").write_bytes(encode(Image.fromarray(drawing), "PNG"))
    rotated, upright = (next(read_picture(tmp_path / name, None, 1.0)) for name in ("photo.jpg", "upright.png"))
    assert np.abs(rotated.astype(int) - upright).max() < 30


# Bit depth, transparency and colors


def test_16_bit_grayscale_is_scaled():
    gray = np.linspace(0, 255, 64, dtype=np.uint8).reshape(8, 8)
    data = encode(Image.fromarray(gray.astype(np.uint16) * 257), "PNG")
    np.testing.assert_array_equal(read(data), gray)
    np.testing.assert_array_equal(decode_image(data)[..., 0], gray)


@pytest.mark.parametrize("pixels", [np.full((4, 4), 0.5, np.float32), np.full((4, 4), 70_000, np.int32)])
def test_pixels_of_unknown_range_are_refused(pixels):
    with pytest.raises(UserError, match="Save the image with 8 bits"):
        displayed_image(Image.fromarray(pixels))
    assert "Save the image with 8 bits" in decode_image(encode(Image.fromarray(pixels), "TIFF"))


def make_png(depth: int, color_type: int, row: bytes, chunks: bytes = b"") -> bytes:
    """Return a PNG of 4 x 4 pixels, whose chunks Pillow cannot write."""
    header = struct.pack(">IIBBBBB", 4, 4, depth, color_type, 0, 0, 0)
    body = make_chunk(b"IHDR", header) + chunks + make_chunk(b"IDAT", zlib.compress((b"\0" + row) * 4))
    return b"\x89PNG\r\n\x1a\n" + body + make_chunk(b"IEND", b"")


def make_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


TRANSPARENT = {
    "grayscale": make_png(8, 0, b"\x00\x80\x80\x80", make_chunk(b"tRNS", b"\x00\x00")),
    "16-bit grayscale": make_png(16, 0, b"\x00\x00" + b"\x80\x80" * 3, make_chunk(b"tRNS", b"\x00\x00")),
    "RGB": make_png(8, 2, b"\x00\x00\x00" + b"\x80\x80\x80" * 3, make_chunk(b"tRNS", b"\x00\x00" * 3)),
    "alpha": make_png(8, 4, b"\x00\x00" + b"\x80\xff" * 3),
    "16-bit alpha": make_png(16, 4, b"\x00\x00\x00\x00" + b"\x80\x80\xff\xff" * 3),
    "palette": make_png(
        8, 3, b"\x00\x01\x01\x01", make_chunk(b"PLTE", b"\x00" * 3 + b"\x80" * 3) + make_chunk(b"tRNS", b"\0")
    ),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparent_pixels_become_white(kind):
    for pixels in (read(TRANSPARENT[kind]), decode_image(TRANSPARENT[kind])):
        row = pixels[0].reshape(4, -1)[:, 0]
        assert row.tolist() == [255, 128, 128, 128]


def test_a_color_profile_is_applied():
    """The profile exchanges red and blue, so a viewer shows blue for the stored red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    data = encode(Image.new("RGB", (4, 4), (255, 0, 0)), "PNG", icc_profile=bytes(profile))
    assert read(data)[0, 0, 2] > 250 and read(data)[0, 0, 0] < 5
    damaged = encode(Image.new("RGB", (4, 4), (255, 0, 0)), "PNG", icc_profile=b"damaged")
    assert read(damaged)[0, 0].tolist() == [255, 0, 0]


def test_the_gamma_of_a_png_is_applied():
    linear = make_chunk(b"gAMA", struct.pack(">I", 100_000))
    usual = make_chunk(b"gAMA", struct.pack(">I", 45_455))
    assert read(make_png(8, 0, b"\x40" * 4, linear))[0, 0] == round(255 * (64 / 255) ** (1 / 2.2))
    assert read(make_png(8, 0, b"\x40" * 4, usual))[0, 0] == 64


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_an_image_without_further_information_keeps_its_pixels(mode):
    image = Image.fromarray(draw_quarters()).convert(mode)
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(displayed_image(image).convert("RGB")), expected)


# Videos


def write_clip(path: Path, rotation: tuple = (), aspect: Fraction | None = None, transfer: int | None = None) -> Path:
    """Write a video of five frames whose header says that the frames are rotated, stretched or have HDR colors."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if rotation:
            stream.set_display_rotation(*rotation)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if transfer:
            stream.codec_context.color_trc = transfer
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw_quarters(), format="rgb24")))
        container.mux(stream.encode())
    return path


SHOWN = {  # what a player shows: a counterclockwise rotation, and then reflections
    (0, False, False): lambda pixels: pixels,
    (90, False, False): lambda pixels: np.rot90(pixels),
    (180, False, False): lambda pixels: np.rot90(pixels, 2),
    (270, False, False): lambda pixels: np.rot90(pixels, 3),
    (0, True, False): lambda pixels: pixels[:, ::-1],
    (0, False, True): lambda pixels: pixels[::-1],
    (90, True, False): lambda pixels: np.rot90(pixels)[:, ::-1],
    (270, False, True): lambda pixels: np.rot90(pixels, 3)[::-1],
}


@pytest.mark.parametrize("rotation", SHOWN)
def test_the_display_matrix_of_a_video_is_applied(rotation, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", rotation)
    expected = SHOWN[rotation](draw_quarters())
    for frames in (list(read_video(path)), list(request.read_limited_video(path, 1.0))):
        assert len(frames) == 5 and frames[0].shape == expected.shape
        np.testing.assert_allclose(frames[0][6::12, 6::12].astype(int), expected[6::12, 6::12], atol=12)


def test_a_rotation_by_45_degrees_is_refused(tmp_path):
    with pytest.raises(UserError, match="rotated by an angle that is not a multiple of 90 degrees"):
        list(read_video(write_clip(tmp_path / "clip.mp4", (45,))))


def test_pixels_that_are_not_square_are_stretched(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", aspect=Fraction(2, 1))
    assert next(read_video(path)).shape == (48, 128, 3)
    with pytest.raises(UserError, match="the frames have 128 x 48 pixels"):
        list(request.read_limited_video(path, 0.005))


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_a_video_with_a_high_dynamic_range_is_refused(tmp_path, transfer, name):
    with pytest.raises(UserError, match=rf"high dynamic range \({name}\)"):
        list(read_video(write_clip(tmp_path / "clip.mp4", transfer=transfer)))
