"""Pictures.

1  A pixel means the same in 8 bits, in 16 and as a real number; what has no such meaning is refused.
2  The orientation that a camera writes is heeded.
3  Hidden files and folders are no data; links are; a loop of links ends.
4  A file that is damaged in any way is a ValueError that names it, and never another error.
"""

import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mgnet.vision.pictures import list_images, read_image

GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]
    return path


def test_sixteen_bits_and_reals_mean_what_eight_bits_do(tmp_path: Path) -> None:
    want = torch.from_numpy(GREY)[None]
    for name, pixels in (
        ("8.png", GREY),
        ("16.png", GREY.astype(np.uint16) * 257),
        ("16.tif", GREY.astype(np.uint16) * 257),
        ("32.tif", GREY.astype(np.int32) * 257),
        ("real.tif", (GREY / 255).astype(np.float32)),
    ):
        path = save(tmp_path / name, pixels)
        assert torch.equal(read_image(path), want), name
        assert torch.equal(read_image(path, 3), want.expand(3, 16, 16)), name


@pytest.mark.parametrize("pixels", [GREY.astype(np.float32), GREY.astype(np.int32) * 1000, -GREY.astype(np.int32)])
def test_pixels_of_no_known_range_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"x\.tif must be an image; .*span .*, not .*Scale them"):
        read_image(save(tmp_path / "x.tif", pixels))


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("orientation", "turned"), [(1, lambda v: v), (3, lambda v: v[::-1, ::-1]), (6, lambda v: np.rot90(v, -1))]
)
def test_the_orientation_is_heeded(tmp_path: Path, orientation: int, turned, depth: type) -> None:  # type: ignore[no-untyped-def]
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = GREY[:8].astype(depth) * (257 if depth is np.uint16 else 1)
    path = save(tmp_path / "x.png", pixels, exif=exif)
    assert np.array_equal(read_image(path)[0].numpy(), turned(GREY[:8]))


@pytest.mark.parametrize("mode", ["1", "P", "LA", "CMYK", "RGBA", "L", "RGB"])
def test_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    Image.new(mode, (5, 4)).save(path)
    assert read_image(path).shape == ({"RGBA": 4, "L": 1, "LA": 1, "1": 1}.get(mode, 3), 4, 5)
    for channels in (1, 3, 4):
        assert read_image(path, channels).shape == (channels, 4, 5)


def test_what_systems_leave_behind_is_no_data(tmp_path: Path) -> None:
    kept = [save(tmp_path / name, GREY) for name in ("a.png", "b.JPG", "c.gif")]
    for name in (".ipynb_checkpoints/a-checkpoint.png", "._a.png", "__MACOSX/a.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not a picture")
    assert list_images(tmp_path) == kept


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    save(tmp_path / "elsewhere" / "a.png", GREY)
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "data", target_is_directory=True)
    assert list_images(tmp_path / "data") == [tmp_path / "data" / "linked" / "a.png"]


def test_a_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "bomb.png", GREY)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"bomb\.png must be an image; .*decompression bomb"):
        read_image(path)


FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "WEBP")


def originals() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 13, 3), dtype=np.uint8)
    files = {}
    for kind in FORMATS:
        for number, options in enumerate([{}, {"compression": "tiff_lzw"}] if kind == "TIFF" else [{}]):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, kind, **options)  # type: ignore[arg-type]
            files[f"{kind}{number}"] = buffer.getvalue()
    return files


def damaged(content: bytes, luck: random.Random) -> bytes:
    """Cut, overwritten, filled in, taken out: at one place or several, most often near the head."""
    result = bytearray(content)
    for _ in range(luck.randint(1, 8)):
        place = luck.randrange(len(result)) if luck.random() < 0.5 else luck.randrange(min(64, len(result)))
        kind = luck.randrange(5)
        if kind == 0:
            result[place] = luck.randrange(256)
        elif kind == 1:
            result[place : place + 4] = luck.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
        elif kind == 2:
            result[place:place] = luck.randbytes(luck.randint(1, 9))
        elif kind == 3:
            del result[place : place + luck.randint(1, 9)]
        else:
            del result[max(1, place) :]
        if not result:
            return b""
    return bytes(result)


def read_damaged(path: Path, count: int, seed: int) -> int:
    """How many of so many damaged files are refused; any other error goes through."""
    luck, files, refused = random.Random(seed), originals(), 0
    for i in range(count):
        path.write_bytes(damaged(files[luck.choice(sorted(files))], luck))
        try:
            assert read_image(path, (None, 1, 3)[i % 3]).dtype == torch.uint8
        except ValueError as error:
            assert str(error).startswith(f"{path} must be an image; it cannot be read: ")  # noqa: PT017
            refused += 1
    return refused


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_said_to_be(tmp_path: Path) -> None:
    assert read_damaged(tmp_path / "x.png", 300, seed=0) > 100


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_three_thousand_damaged_files(tmp_path: Path) -> None:
    assert read_damaged(tmp_path / "x.png", 3000, seed=1) > 1000
