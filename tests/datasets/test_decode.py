"""Images of every kind become upright RGB, and what is no image says why."""

import contextlib
import errno
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from hashnet.datasets import decode_image, load_image
from hashnet.datasets.decode import MAX_PIXELS
from hashnet.errors import UnreadableImageError


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(height=24, width=16):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_pixel(kind):
    pixels = noise()
    image = decode_image(encoded(Image.fromarray(pixels), kind), key="a")
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), pixels)


def test_grey_becomes_three_equal_channels():
    grey = noise()[..., 0]
    rgb = np.asarray(decode_image(encoded(Image.fromarray(grey), "PNG"), key="a"))
    assert np.array_equal(rgb, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind):
    deep = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    rgb = np.asarray(decode_image(encoded(Image.fromarray(deep), kind), key="a"))
    assert rgb[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_16_bit_pgm_is_scaled_and_not_clipped():
    data = b"P5 3 1 65535\n" + struct.pack(">3H", 0, 32768, 65535)
    assert np.asarray(decode_image(data, key="a"))[0, :, 0].tolist() == [0, 128, 255]


def test_palette_colours_are_looked_up():
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    assert np.asarray(decode_image(encoded(image, "PNG"), key="a")).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def test_transparent_pixels_show_white_whatever_colour_they_hide():
    rgba = np.array([[[200, 0, 0, 0], [200, 0, 0, 255]]], dtype=np.uint8)
    rgb = np.asarray(decode_image(encoded(Image.fromarray(rgba), "PNG"), key="a"))
    assert rgb.tolist() == [[[255, 255, 255], [200, 0, 0]]]


def test_cmyk_jpeg_has_the_colours_that_were_saved():
    image = Image.new("RGB", (16, 16), (200, 30, 60)).convert("CMYK")
    rgb = np.asarray(decode_image(encoded(image, "JPEG", quality=95), key="a")).astype(int)
    assert np.abs(rgb - [200, 30, 60]).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation):
    upright = noise()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    assert np.array_equal(np.asarray(decode_image(data, key="a")), upright)


def test_a_truncated_jpeg_is_unreadable():
    data = encoded(Image.fromarray(noise(64, 64)), "JPEG")
    with pytest.raises(UnreadableImageError, match=r"image a cannot be read: .*truncated"):
        decode_image(data[: len(data) // 2], key="a")
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_text_named_jpg_is_no_image(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(UnreadableImageError, match="not an image in a known format"):
        load_image(tmp_path / "a.jpg")


def test_an_empty_file_is_no_image(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UnreadableImageError, match="not an image in a known format"):
        load_image(tmp_path / "a.jpg")


def test_a_missing_file_says_so_without_the_machine_s_path(tmp_path):
    with pytest.raises(UnreadableImageError) as caught:
        load_image(tmp_path / "a.jpg", key="pets/a.jpg")
    assert (caught.value.key, caught.value.reason) == ("pets/a.jpg", "file is missing")


def test_a_fifo_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        load_image(tmp_path / "a.jpg")


def test_a_folder_is_not_a_regular_file(tmp_path):
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        load_image(tmp_path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_000, 50_000])
def test_a_decompression_bomb_is_refused_before_it_unfolds(side):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    assert side * side > MAX_PIXELS
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    with pytest.raises(UnreadableImageError, match="limit"):
        decode_image(data + chunk(b"IEND", b""), key="a")


def test_float_pixels_are_refused_because_their_range_is_unknown():
    image = Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32))
    with pytest.raises(UnreadableImageError, match="float pixels"):
        decode_image(encoded(image, "TIFF"), key="a")


def test_reasons_hold_no_addresses_so_that_reject_lists_are_reproducible():
    data = encoded(Image.fromarray(noise(64, 64)), "PNG")
    rng = np.random.default_rng(1)
    reasons = set()
    for _ in range(200):
        broken = bytearray(data)
        broken[int(rng.integers(8, len(data)))] ^= int(rng.integers(1, 256))
        with contextlib.suppress(UnreadableImageError):
            decode_image(bytes(broken), key="a")
            continue
        with pytest.raises(UnreadableImageError) as caught:
            decode_image(bytes(broken), key="a")
        reasons.add(caught.value.reason)
    assert reasons
    assert not any("0x" in reason for reason in reasons)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_machine_in_need_is_no_verdict_on_the_image(tmp_path, monkeypatch, number):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def fails(*arguments, **settings):
        raise OSError(number, "not now")

    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", fails)
        with pytest.raises(OSError, match="not now"):
            load_image(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").size == (4, 4)


def test_a_lack_of_memory_is_no_verdict_on_the_image(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def fails(*arguments, **settings):
        raise MemoryError

    monkeypatch.setattr(Image, "open", fails)
    with pytest.raises(MemoryError):
        load_image(tmp_path / "a.png")
