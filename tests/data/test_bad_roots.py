"""Bad benchmarks and training sets: roots, ground truth, annotations, lists."""

import json
import shutil
from pathlib import Path

import pytest
from damage import LISTS, LONG, ODD, ROW, TRUTHS, loop, put

from scs_siam.data import benchmarks, training_sets
from scs_siam.data.store import CropStore
from scs_siam.runtime.files import write_text


def read(place, layout):
    """What is read from a root of `layout` below `place`."""
    if layout == "got":
        found = training_sets.read_got10k(place / "got" / "train")
        CropStore.build(found, place / "store")
        return found
    return (
        training_sets.read_imagenet_vid(place / "vid")
        if layout == "vid"
        else benchmarks.READERS[layout](place / layout)
    )


@pytest.fixture
def copy(good, tmp_path):
    """copy(layout): `tmp_path` with a copy of that root to damage."""

    def make(layout):
        shutil.copytree(good / layout, tmp_path / ODD / layout)
        return tmp_path / ODD

    return make


@pytest.mark.parametrize("layout", TRUTHS)
def test_a_sound_root_is_read(copy, layout):
    (found,) = read(copy(layout), layout)
    assert len(found.frames) == 3


ANY = {
    "missing": None,
    "empty": b"",
    "blank": "\n \n",
    "a folder": Path.mkdir,
    "a loop": loop,
    "binary": b"\xff\xfe\x00\x81",
    "cut": "5,6,10",
    "words": "a,b,c,d\n" * 3,
}
VALUES = {
    "short": ROW * 2,
    "long": ROW * 4,
    "NaN first": "NaN,NaN,NaN,NaN\n" + ROW * 2,
    "infinite": ROW + "1,2,inf,4\n" + ROW,
    "negative": ROW + "1,2,-3,4\n" + ROW,
    "zero in the middle": ROW + "0,0,0,0\n" + ROW,
    "huge": ROW * 2 + "1e30,2,3,4\n",
    "overflow": ROW * 2 + "1,2,1e999,4\n",
}


@pytest.mark.parametrize("damage", [*ANY, *VALUES])
@pytest.mark.parametrize("layout", ["otb", "tc128", "uav123", "vot"])
def test_ground_truth(copy, refused, layout, damage):
    place = copy(layout)
    put({**ANY, **VALUES}[damage])(place / TRUTHS[layout])
    refused(lambda: read(place, layout), layout)


@pytest.mark.parametrize("damage", [*ANY, "short", "long"])
@pytest.mark.parametrize("layout", ["got", "vid"])
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_ground_truth_of_training_sets(copy, refused, layout, damage):
    place = copy(layout)
    put({**ANY, **VALUES}[damage])(place / TRUTHS[layout])
    if (layout, damage) == ("vid", "missing"):  # a frame of VID without annotation shows no target
        assert [len(video.frames) for video in read(place, layout)] == [2]
    elif (layout, damage) == ("got", "long"):  # a frame is missing: too many for so few frames
        refused(lambda: read(place, layout), "1 of 4 frames cannot be read")
    else:
        refused(lambda: read(place, layout), Path(TRUTHS[layout]).name)


def shown(entities, track, xmin="1"):
    """A document of VID with a list of entities and one object."""
    corners = f"<xmin>{xmin}</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax>"
    return f"{entities}<annotation><object><trackid>{track}</trackid><bndbox>{corners}</bndbox></object></annotation>"


TEN = "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi")
)  # each ten of the one before
XML = {
    "a bomb": shown(f'<!DOCTYPE a [<!ENTITY a "1111111111">{TEN}]>', "&i;"),
    "a file of the system": shown(
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>', "&x;"
    ),
    "another encoding": '<?xml version="1.0" encoding="klingon"?><annotation/>',
    "deep": "<a>" * 50_000,
    "a number without end": shown("", "1", "9" * 4000),
}


@pytest.mark.parametrize("content", XML.values(), ids=XML)
def test_an_annotation(copy, refused, content):
    place = copy("vid")
    put(content)(place / TRUTHS["vid"])
    refused(lambda: read(place, "vid"), "000001.xml")


@pytest.mark.parametrize(
    "what", ["missing", "a file", "a loop", "empty", "a long name", "a zero byte"]
)
@pytest.mark.parametrize("layout", ["otb", "tc128", "uav123", "vot"])
def test_a_root(tmp_path, refused, layout, what):
    root = tmp_path / {"a long name": LONG, "a zero byte": "a\0b"}.get(what, "root")
    if what in ("a file", "a loop", "empty"):
        put({"a file": b"text", "a loop": loop, "empty": Path.mkdir}[what])(root)
    refused(lambda: benchmarks.READERS[layout](root), tmp_path)


@pytest.mark.parametrize(
    "layout, folder",
    [
        ("otb", "otb/clip/img"),
        ("tc128", "tc128/clip/img"),
        ("uav123", "uav123/data_seq/UAV123/clip"),
        ("vot", "vot/clip/color"),
        ("got", "got/train/clip"),
    ],
)
def test_a_frame_too_few(copy, refused, layout, folder):
    place = copy(layout)
    (place / folder / "0002.jpg").unlink()
    refused(lambda: read(place, layout), "clip")


def test_a_range_without_end(copy, refused):
    place = copy("tc128")
    write_text(place / "tc128" / "clip" / "clip_frames.txt", "1,1e300\n")
    refused(lambda: read(place, "tc128"), "clip", "frame 4 is missing")


NAMES = {
    "empty": "",
    "blank": "\n\n",
    "upwards": "../otb/clip\n",
    "upwards inside": "clip/../../otb\n",
    "absolute": "/etc\n",
    "a drive": "C:\\clip\n",
    "a share": "\\\\host\\clip\n",
    "a zero byte": "clip\0\n",
    "binary": b"\xff\xfe\x00",
    "another": "clip\nother\n",
    "long": LONG,
}


@pytest.mark.parametrize("content", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("layout", LISTS)
def test_a_list(copy, refused, layout, content):
    place = copy(layout)
    put(content)(place / LISTS[layout])
    refused(lambda: read(place, layout), layout)


ENTRY = {"name": "clip", "frames": ["clip/0001.jpg"], "boxes": [[1, 2, 3, 4]], "attributes": []}
ENTRIES = {
    "empty": b"",
    "a number": "5",
    "no entry": "[]",
    "numbers": "[1]",
    "an object": "{}",
    "upwards": [{**ENTRY, "frames": ["../1.jpg"]}],
    "absolute": [{**ENTRY, "frames": ["/etc/hosts"]}],
    "a name upwards": [{**ENTRY, "name": "../clip"}],
    "no frames": [{**ENTRY, "frames": 5}],
    "frames of numbers": [{**ENTRY, "frames": [1]}],
    "boxes too many": [{**ENTRY, "boxes": [[1, 2, 3, 4]] * 2}],
    "words": [{**ENTRY, "boxes": "abc"}],
    "three numbers": [{**ENTRY, "boxes": [[1, 2, 3]]}],
    "a part": [ENTRY, {"name": "clip"}],
    "digits": [{**ENTRY, "boxes": [[1, 2, 3, 10**400]]}],
}


@pytest.mark.parametrize("content", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize(
    "name, read",
    [("videos.json", training_sets.read_videos), ("sequences.json", benchmarks.READERS["listed"])],
    ids=["videos", "sequences"],
)
def test_a_list_of_clips(tmp_path, refused, name, read, content):
    write_text(tmp_path / name, json.dumps([ENTRY]))
    assert [entry.name for entry in read(tmp_path)] == ["clip"]
    put(json.dumps(content) if isinstance(content, list) else content)(tmp_path / name)
    refused(lambda: read(tmp_path), name)


@pytest.mark.parametrize("content", ["clip\tXX\n", b"\xff\xfe"], ids=["an unknown one", "binary"])
def test_a_list_of_attributes(copy, refused, content):
    place = copy("vot")
    put(content)(place / "vot" / "attributes.txt")
    refused(lambda: read(place, "vot"), "attributes.txt")
