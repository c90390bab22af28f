"""Bad frames, videos and boxes: each ends in one line that names the thing."""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from damage import FILES, LONG, ODD, loop, put
from PIL import Image

from scs_siam.data.boxes import check_box, parse_box, read_boxes
from scs_siam.data.images import write_image
from scs_siam.data.video import ClipWriter, Frames
from scs_siam.evaluation.vot import read_record
from scs_siam.runtime.files import read_json


def png(width, height):
    """A PNG that claims a size and holds nothing."""
    import zlib

    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


# Frames and videos

IMAGES = {
    "missing": None,
    "empty": b"",
    "a folder": Path.mkdir,
    "a loop": loop,
    "a dead link": lambda path: path.symlink_to("gone"),
    "text": "no image",
    "zeros": b"\0" * 999,
    "cut head": png(9, 9)[:20],
    "no pixels": png(9, 9),
    "no width": png(0, 9),
    "more pixels than OpenCV takes": png(100_000, 100_000),
    "a negative size": png(0xFFFFFFFF, 0xFFFFFFFF),
    "half a JPEG": b"\xff\xd8\xff",
}


@pytest.mark.parametrize("content", IMAGES.values(), ids=IMAGES)
def test_a_frame(tmp_path, refused, content):
    for number in range(2):
        write_image(tmp_path / ODD / f"{number}.png", np.zeros((9, 9, 3), np.uint8))
    put(content)(tmp_path / ODD / "1.png")
    frames = Frames([tmp_path / ODD / f"{number}.png" for number in range(2)])
    refused(lambda: list(frames), ODD, "1.png")


SOURCES = {
    "nothing": None,
    "a number": 5,
    "a list of numbers": [1.5],
    "a long name": LONG,
    "a zero byte": "a\0b",
    "no list": [],
    "floats": np.zeros((2, 4, 4, 3)),
    "grey": np.zeros((2, 4, 4), np.uint8),
    "objects": np.array([None]),
    "none": np.zeros((0, 4, 4, 3), np.uint8),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_source_of_frames(refused, source):
    refused(lambda: list(Frames(source)))


VIDEOS = {
    "missing": None,
    "empty": b"",
    "text": "no video",
    "a loop": loop,
    "an empty folder": Path.mkdir,
    "half a head": b"RIFF\x10\0\0\0AVI LIST",
    "an image": png(9, 9),
}


@pytest.mark.parametrize("content", VIDEOS.values(), ids=VIDEOS)
def test_a_video(tmp_path, refused, content):
    put(content)(tmp_path / "clip 1.mp4")
    refused(lambda: list(Frames(tmp_path / "clip 1.mp4")), "clip 1.mp4")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["tif", "gif", "png", "webp"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # Pillow's, of what is damaged
def test_no_page_of_a_cut_image_is_lost(tmp_path, refused, kind, share):
    noise = np.random.default_rng(0).integers(0, 255, (5, 40, 60, 3)).astype(np.uint8)
    pages, path = [Image.fromarray(page) for page in noise], tmp_path / f"pages.{kind}"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    assert len(list(Frames(path))) == 5
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(lambda: list(Frames(path)), path.name)


def test_an_image_file_that_claims_many_pixels(tmp_path, refused):
    (tmp_path / "large.png").write_bytes(png(60_000, 60_000))
    refused(lambda: list(Frames(tmp_path / "large.png")), "large.png")


def test_a_clip_that_cannot_be_encoded(tmp_path, refused):
    def write():
        with ClipWriter(tmp_path / "wide.mp4") as clip:
            clip.write(np.zeros((16, 17_000, 3), np.uint8), (1, 1, 5, 5))

    refused(write, "wide.mp4", "17000 x 16")
    assert not (tmp_path / "wide.mp4").exists()


def test_the_folder_of_a_clip_disappears(tmp_path, refused):
    def write():
        with ClipWriter(tmp_path / "gone" / "clip.mp4") as clip:
            shutil.rmtree(tmp_path / "gone")
            clip.write(np.zeros((16, 16, 3), np.uint8), (1, 1, 5, 5))

    refused(write, "clip.mp4")


def test_names_of_frames_may_hold_any_digits(tmp_path):
    names = ["10.png", "9.png", "٣.png", "1" * 240 + ".png"]
    for name in names:
        write_image(tmp_path / name, np.zeros((9, 9, 3), np.uint8))
    found = [path.name for path in Frames(tmp_path)._items]
    assert sorted(found) == sorted(names) and found.index("9.png") < found.index("10.png")


def test_a_line_break_in_a_name_stays_in_one_line(tmp_path, refused):
    refused(lambda: read_json(tmp_path / "a\nb\r.json"), r"a\nb\r.json")


# Boxes

BOXES = [
    (1, 2, 3, 1e7),
    (-1e30, 2, 3, 4),
    (1, 2, 1e308, 1e308),
    (1, 2, 3, -np.inf),
    (1, 2, 3, 4j),
    ("a", 2, 3, 4),
    {"x": 1},
    5,
    (),
    [[]],
    Ellipsis,
    (1, 2, -1e-9, 4),
    b"abcd",
    (1, 2, 3, None),
    np.zeros((2, 4)),
    10**400,
]


@pytest.mark.parametrize("box", BOXES, ids=str)
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_a_box(refused, box):
    refused(lambda: check_box(box, "first box"), "first box")


TEXTS = [
    "",
    ",",
    "1,2,3,4,5",
    "1;2;3;4",
    "1,2,3,1e9",
    "1,2,3,-inf",
    "0x1,2,3,4",
    "1,2,3,4\n5",
    "NaN NaN NaN NaN",
    "é,2,3,4",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_box_as_text(refused, text):
    refused(lambda: parse_box(text), "--box")


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
@pytest.mark.parametrize(
    "read", [read_boxes, lambda path: read_record(path, 2)], ids=["boxes", "record"]
)
def test_a_file_of_boxes(tmp_path, refused, read, content):
    put(content)(tmp_path / "boxes ü.txt")
    refused(lambda: read(tmp_path / "boxes ü.txt"), "boxes ü.txt")
