"""Pictures of every kind as squares, boxes that stay with them, and the cache of decoded ones."""

import io
import json
import os
import signal
import subprocess
import sys
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageDraw
from torchvision.transforms import CenterCrop, Compose, Resize

from fmcam._pictures import read_picture
from fmcam.datasets import Placement, load_image
from fmcam.datasets._decode import decode_pictures

pytestmark = pytest.mark.usefixtures("cache")


def noise(width, height, seed=0):
    return Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )


def pixels(image):
    """Of a PIL image, as (3, h, w)."""
    return np.asarray(image).transpose(2, 0, 1)


def bright_box(image):
    """Box around the bright pixels of an image of shape (3, h, w)."""
    return Image.fromarray((image[0] > 127).astype(np.uint8)).getbbox()


# ----------------------------------------------------------------------------------- the square


@pytest.mark.parametrize("shape", [(37, 23), (23, 37), (40, 40), (301, 100), (14, 11), (11, 14)])
@pytest.mark.parametrize("size", [11, 23, 40])
def test_both_rules_equal_torchvision(tmp_path, shape, size):
    image = noise(*shape)
    image.save(tmp_path / "image.png")
    crop = pixels(Compose([Resize(size), CenterCrop(size)])(image))
    np.testing.assert_array_equal(load_image(tmp_path / "image.png", size=size), crop)
    stretch = pixels(Resize((size, size))(image))
    np.testing.assert_array_equal(
        load_image(tmp_path / "image.png", size=size, fit="stretch"), stretch
    )


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((803, 401), (250, 61, 555, 340)),
        ((401, 803), (61, 250, 340, 555)),
        ((90, 60), (20, 5, 70, 50)),
    ],
)
def test_box_and_mask_stay_with_the_picture(tmp_path, suffix, fit, shape, box):
    image = Image.new("RGB", shape)
    x0, y0, x1, y1 = box
    ImageDraw.Draw(image).rectangle((x0, y0, x1 - 1, y1 - 1), fill="white")
    image.save(tmp_path / f"image.{suffix}", quality=95)
    place = Placement(*shape, 50, fit)
    moved = place.boxes([box])[0]
    seen = bright_box(load_image(tmp_path / f"image.{suffix}", size=50, fit=fit))
    # A pixel is bright where the box covers more than half of it.
    assert seen == tuple(np.ceil(moved - 0.5))
    mask = place.mask((np.asarray(image)[..., 0] > 0).astype(np.uint8))
    assert Image.fromarray(mask).getbbox() == pytest.approx(moved, abs=0.51)


def test_boxes_by_hand():
    # 60 x 30 -> 20 x 10 -> columns 5 to 15: x / 3 - 5, y / 3
    place = Placement(width=60, height=30, size=10, fit="crop")
    boxes = [[15, 0, 30, 30], [0, 6, 60, 9], [0, 0, 15, 30], [np.nan] * 4]
    np.testing.assert_allclose(
        place.boxes(boxes), [[0, 0, 5, 10], [0, 2, 10, 3], [np.nan] * 4, [np.nan] * 4]
    )
    # 60 x 30 -> 10 x 10: x / 6, y / 3
    stretched = Placement(width=60, height=30, size=10, fit="stretch").boxes([[15, 3, 30, 30]])
    np.testing.assert_allclose(stretched, [[2.5, 1, 5, 10]])


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_boxes_come_back_to_the_picture(fit):
    place = Placement(width=45, height=31, size=20, fit=fit)
    boxes = np.array([[12, 3, 30.5, 20], [7, 0, 37, 31], [np.nan] * 4])  # inside of the square
    np.testing.assert_allclose(place.boxes_in_original(place.boxes(boxes)), boxes, atol=1e-12)
    assert place.boxes([]).shape == place.boxes_in_original(np.empty((0, 4))).shape == (0, 4)


def test_placements_that_cannot_be():
    place = Placement(width=12, height=6, size=2, fit="crop")
    with pytest.raises(ValueError, match=r"`boxes` must have shape \(n, 4\), got \(4,\)"):
        place.boxes([1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"`boxes` must have shape \(n, 4\), got \(2, 2\)"):
        place.boxes_in_original([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match=r"shape \(6, 12\) of the picture, got \(12, 6\)"):
        place.mask(np.zeros((12, 6), dtype=np.uint8))
    with pytest.raises(ValueError, match="width == 0, must be >= 1"):
        Placement(width=0, height=6, size=2, fit="crop")
    with pytest.raises(TypeError, match="height must be an instance of"):
        Placement(width=6, height=6.5, size=2, fit="crop")
    with pytest.raises(ValueError, match="`fit` must be 'crop' or 'stretch'"):
        Placement(width=6, height=6, size=2, fit="pad")


def test_masks_take_the_nearest_value():
    mask = np.array([[0, 1, 255, 7]] * 2, dtype=np.uint8).repeat(3, axis=0).repeat(3, axis=1)
    place = Placement(width=12, height=6, size=2, fit="crop")  # 12 x 6 -> 4 x 2 -> columns 1 and 2
    np.testing.assert_array_equal(place.mask(mask), [[1, 255]] * 2)


# ------------------------------------------------------------------------------ kinds of pictures


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize(
    ("suffix", "mode"), [("png", "RGB"), ("png", "RGBA"), ("tif", "RGB"), ("webp", "RGB")]
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path, suffix, mode, orientation, fit):
    upright = noise(13, 8) if fit == "crop" else noise(8, 8)
    stored_as = {  # how a camera held that way stores what is upright
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright if orientation == 1 else upright.transpose(stored_as[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.convert(mode).save(tmp_path / f"image.{suffix}", exif=exif, lossless=True)
    image, size = read_picture(tmp_path / f"image.{suffix}", 8, fit)
    left = round((upright.width - 8) / 2)
    np.testing.assert_array_equal(image, pixels(upright)[:, :, left : left + 8])
    assert size == upright.size


@pytest.mark.parametrize(
    "exif",
    [b"\xff" * 40, b"no TIFF", b"MM\0*\0\0\0\x08\0", b"MM\0*\xff\xff\xff\xff", b""],
    ids=["garbage", "another format", "cut off", "beyond its end", "empty"],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_good_pixels_with_damaged_exif_data_are_read(tmp_path, suffix, exif):
    picture = noise(13, 8)
    picture.save(tmp_path / f"plain.{suffix}")
    picture.save(tmp_path / f"damaged.{suffix}", exif=b"Exif\0\0" + exif)
    plain, size = read_picture(tmp_path / f"plain.{suffix}", 8, "crop")
    image, found_size = read_picture(tmp_path / f"damaged.{suffix}", 8, "crop")
    np.testing.assert_array_equal(image, plain)
    assert found_size == size == (13, 8)


def test_large_jpeg_is_turned_and_stays_in_place(tmp_path):
    # 1201 x 803 is decoded to a quarter, where its last pixels are only partly there.
    upright = Image.new("RGB", (803, 1201))
    ImageDraw.Draw(upright).rectangle((120, 300, 599, 899), fill="white")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.jpg", exif=exif)
    image, size = read_picture(tmp_path / "phone.jpg", 100, "crop")
    assert size == (803, 1201)
    moved = Placement(*size, 100, "crop").boxes([[120, 300, 600, 900]])[0]
    assert bright_box(image) == tuple(np.ceil(moved - 0.5))


def test_faster_decoding_of_jpeg_hardly_shows(tmp_path):
    detailed = noise(160, 120).resize((1600, 1200), Image.Resampling.BICUBIC)
    detailed.save(tmp_path / "image.jpg", quality=95)
    slow = Image.open(tmp_path / "image.jpg").resize((100, 100), Image.Resampling.BILINEAR)
    difference = load_image(tmp_path / "image.jpg", size=100, fit="stretch") - pixels(slow).astype(
        int
    )
    assert np.abs(difference).max() <= 6
    assert np.abs(difference).mean() < 1


def stripes(*columns, dtype=np.uint8):
    """Four rows, all of these columns."""
    return np.array([columns] * 4, dtype=dtype)


def palette_image(**info):
    image = Image.fromarray(stripes(0, 1, 2, 2)).convert("P")
    image.putpalette([*SEEN, *GREEN, *BROWN])
    image.info.update(info)
    return image


BLACK, WHITE, GREEN, BROWN = (0, 0, 0), (255, 255, 255), (0, 255, 0), (90, 60, 30)
SEEN, HIDDEN = (10, 20, 30), (1, 2, 3)
GREY = [BLACK, (1, 1, 1), (128, 128, 128), WHITE]
BILEVEL = [BLACK, BLACK, WHITE, WHITE]
GREY16 = stripes(0, 257, 128 * 257 + 100, 65535, dtype=np.uint16)
GREY_ALPHA = stripes((1, 255), (128, 255), (9, 0), (9, 0))
RGBA = stripes((*SEEN, 255), (*SEEN, 255), (*SEEN, 255), (*HIDDEN, 0))
CMYK = stripes((0, 255, 255, 0), (0, 0, 0, 0), (0, 0, 0, 255), (255, 0, 0, 0))


@pytest.mark.parametrize(
    ("name", "image", "columns"),
    [
        ("grey.png", Image.fromarray(stripes(0, 1, 128, 255)), GREY),
        ("grey16.png", Image.fromarray(GREY16), GREY),
        ("grey16.tif", Image.fromarray(GREY16), GREY),
        ("grey16.pgm", Image.fromarray(GREY16.astype(np.int32)), GREY),
        ("bilevel.png", Image.fromarray(stripes(0, 0, 255, 255)).convert("1"), BILEVEL),
        ("alpha.png", Image.fromarray(RGBA), [SEEN] * 3 + [WHITE]),
        ("alpha.webp", Image.fromarray(RGBA), [SEEN] * 3 + [WHITE]),
        ("grey_alpha.png", Image.fromarray(GREY_ALPHA), [*GREY[1:3], WHITE, WHITE]),
        ("palette.png", palette_image(), [SEEN, GREEN, BROWN, BROWN]),
        ("palette.gif", palette_image(transparency=1), [SEEN, WHITE, BROWN, BROWN]),
        (
            "palette_alpha.png",
            palette_image(transparency=bytes([255, 255, 0])),
            [SEEN, GREEN, WHITE, WHITE],
        ),
        ("cmyk.tif", Image.fromarray(CMYK, "CMYK"), [(255, 0, 0), WHITE, BLACK, (0, 255, 255)]),
    ],
)
def test_colours_are_right_in_every_mode(tmp_path, name, image, columns):
    image.save(tmp_path / name, lossless=True)
    expected = np.repeat(np.array(columns).T[:, None], 4, axis=1)
    np.testing.assert_array_equal(load_image(tmp_path / name, size=4), expected)


def test_cmyk_jpeg(tmp_path):
    red = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    red.save(tmp_path / "red.jpg", quality=95)
    np.testing.assert_allclose(
        load_image(tmp_path / "red.jpg", size=8)[:, 4, 4], (255, 0, 0), atol=3
    )


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert load_image(tmp_path / "moving.gif", size=8)[:, 0, 0].tolist() == [255, 0, 0]


# -------------------------------------------------------------------------------- bad pictures


def jpeg_bytes():
    buffer = io.BytesIO()
    noise(64, 64).save(buffer, "JPEG")
    return buffer.getvalue()


def png_chunk(kind, data):
    crc = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + crc


def huge_png():
    """A small file that says it has 20,000 x 20,000 pixels."""
    header = png_chunk(b"IHDR", (20_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"")


def float_tiff():
    buffer = io.BytesIO()
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(buffer, "TIFF")
    return buffer.getvalue()


def narrow_png():
    buffer = io.BytesIO()
    Image.new("L", (1, 30_000)).save(buffer, "PNG")
    return buffer.getvalue()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
BAD = {
    "truncated": (jpeg_bytes()[:-500], "cannot be decoded: image file is truncated"),
    "no bytes": (b"", "is empty: it has no bytes"),
    "text": (b"<html>404</html>", "is not a picture in one of the formats JPEG, PNG"),
    "program": (POSTSCRIPT, "is not a picture in one of the formats JPEG, PNG"),
    "huge": (huge_png(), r"is too large: Image size \(400000000 pixels\) exceeds limit"),
    "float": (float_tiff(), "cannot be decoded: its pixels are floating point"),
    "narrow": (
        narrow_png(),
        "cannot be decoded: its 1 x 30000 pixels are too narrow to cut a square out of",
    ),
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_bad_picture_is_named_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"holiday.jpg {reason}"):
        load_image(path)


def test_narrow_picture_may_be_stretched(tmp_path):
    (tmp_path / "narrow.png").write_bytes(narrow_png())
    assert not load_image(tmp_path / "narrow.png", size=4, fit="stretch").any()


def test_missing_picture(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file"):
        load_image(tmp_path / "nowhere.jpg")


def test_arguments_are_checked_first(tmp_path):
    with pytest.raises(ValueError, match="`fit` must be 'crop' or 'stretch', got 'pad'"):
        load_image(tmp_path / "nowhere.jpg", fit="pad")
    with pytest.raises(ValueError, match="size == 0, must be >= 1"):
        load_image(tmp_path / "nowhere.jpg", size=0)
    with pytest.raises(TypeError, match="size must be an instance of int"):
        load_image(tmp_path / "nowhere.jpg", size=22.4)


# ----------------------------------------------------------------------------------- the cache

N_FILES = 600  # two chunks and a part of a third


class Reader:
    """Decodes pictures of a folder to squares, and lists the paths that it reads for it."""

    def __init__(self):
        self.paths = []

    def __call__(self, folder, names, size=1):
        def read(path, size):
            self.paths.append(path)
            return read_picture(path, size, "crop")

        return decode_pictures(folder, names, partial(read, size=size), (3, size, size))


@pytest.fixture
def folder(tmp_path):
    """Files of 1 x 1 pixel: in picture i red is i % 256 and green i // 256."""
    folder = tmp_path / "files"
    folder.mkdir()
    for i in range(N_FILES):
        (folder / f"{i:03}.ppm").write_bytes(b"P6 1 1 255\n" + bytes([i % 256, i // 256, 7]))
    return folder


NAMES = [f"{i:03}.ppm" for i in range(N_FILES)]
COLOURS = np.array([[i % 256, i // 256, 7] for i in range(N_FILES)])


def test_pictures_are_decoded_once_and_then_mapped(folder, cache, capsys):
    reader = Reader()
    first = reader(folder, NAMES)
    np.testing.assert_array_equal(first.images[:, :, 0, 0], COLOURS)
    assert len(reader.paths) == N_FILES
    again = reader(folder, NAMES)
    np.testing.assert_array_equal(again.images, first.images)
    assert len(reader.paths) == N_FILES
    assert isinstance(again.images, np.memmap)
    assert not again.images.flags.writeable
    assert again.sizes.tolist() == [[1, 1]] * N_FILES
    assert len(list(cache.iterdir())) == 2
    assert capsys.readouterr() == ("", "")  # no terminal: no progress bar


def test_bad_pictures_are_left_out_and_named(folder):
    (folder / "001.ppm").write_bytes(b"")
    (folder / "599.ppm").unlink()
    (folder / "300.ppm").unlink()
    (folder / "300.ppm").symlink_to("nowhere")
    good = [i for i in range(N_FILES) if i not in (1, 300, 599)]
    for _ in range(2):
        decoded = Reader()(folder, NAMES)
        assert decoded.rows.tolist() == good
        np.testing.assert_array_equal(decoded.images[:, :, 0, 0], COLOURS[good])
        files, reasons = zip(*decoded.unreadable, strict=True)
        assert files == ("001.ppm", "300.ppm", "599.ppm")
        assert reasons[0] == "is empty: it has no bytes"
        assert "No such file" in reasons[1]


def test_file_replaced_by_one_of_the_same_length_and_date(folder):
    Reader()(folder, NAMES[:5])
    stat = (folder / "003.ppm").stat()
    (folder / "003.ppm").write_bytes(b"P6 1 1 255\n" + bytes([9, 9, 9]))
    os.utime(folder / "003.ppm", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    decoded = Reader()(folder, NAMES[:5])
    assert decoded.images[:, :, 0, 0].tolist() == [*COLOURS[:3].tolist(), [9] * 3, [4, 0, 7]]


def test_other_files_and_other_sizes_are_kept_apart(folder):
    Reader()(folder, NAMES[:5])
    assert Reader()(folder, NAMES[5:10]).images[0, :, 0, 0].tolist() == [5, 0, 7]
    assert Reader()(folder, NAMES[:5], size=2).images.shape == (5, 3, 2, 2)
    np.testing.assert_array_equal(Reader()(folder, NAMES[:5]).images[:, :, 0, 0], COLOURS[:5])
    assert Reader()(folder, NAMES[:5][::-1]).images[0, :, 0, 0].tolist() == [4, 0, 7]


@pytest.mark.parametrize("kind", ["u8", "json"])
def test_damaged_cache_is_made_again(folder, cache, kind):
    Reader()(folder, NAMES)
    (file,) = cache.glob(f"*.{kind}")
    file.write_bytes(file.read_bytes()[:-1])
    reader = Reader()
    np.testing.assert_array_equal(reader(folder, NAMES).images[:, :, 0, 0], COLOURS)
    assert len(reader.paths) == N_FILES


KILLED = """
import os, signal, sys
from functools import partial
from pathlib import Path

from fmcam.datasets._decode import decode_pictures
from fmcam._pictures import read_picture

def read(path, size):
    if path.name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
    return read_picture(path, size, "crop")

folder = Path(sys.argv[1])
names = sorted(path.name for path in folder.iterdir())
decode_pictures(folder, names, partial(read, size=1), (3, 1, 1))
"""


def test_killed_in_the_middle_goes_on_where_it_was(folder, cache):
    killed = subprocess.run([sys.executable, "-c", KILLED, folder, "400.ppm"], check=False)
    assert killed.returncode == -signal.SIGKILL
    (journal,) = cache.glob("*.json")
    assert len(json.loads(journal.read_text())) == 256
    reader = Reader()
    np.testing.assert_array_equal(reader(folder, NAMES).images[:, :, 0, 0], COLOURS)
    assert min(reader.paths).name == "256.ppm"
    assert len(reader.paths) == N_FILES - 256


def test_two_processes_at_once(folder):
    command = [sys.executable, "-c", KILLED, folder, "nobody is killed"]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    reader = Reader()
    np.testing.assert_array_equal(reader(folder, NAMES).images[:, :, 0, 0], COLOURS)
    assert reader.paths == []


def test_nothing_readable(folder):
    (folder / "000.ppm").write_bytes(b"")
    with pytest.raises(ValueError, match=r"No picture in .* can be read: 000.ppm is empty"):
        Reader()(folder, NAMES[:1])


def test_cache_that_cannot_be_made(folder, tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))
    with pytest.raises(OSError, match=r"cannot be made: .* Set the environment variable XDG_CACHE"):
        Reader()(folder, NAMES)
