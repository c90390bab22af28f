"""Bad inputs, a table a kind of thing: each case ends in one line that names the thing, or is skipped with the reason."""
import contextlib
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from scs_siam import cli, datasets, evidence, experiments, imagenet_vid, layouts, notebooks, paper, runs, sweeps
from scs_siam.boxes import check_box, parse_box, read_boxes
from scs_siam.config import RANGES, Config, ModelConfig, TrackingConfig, TrainingConfig
from scs_siam.confirm import confirm_training
from scs_siam.files import locked, read_image, read_json, read_names, sha256, write_image, write_json, write_text
from scs_siam.frames import Frames
from scs_siam.model import SiameseNet
from scs_siam.store import CropStore, Video
from scs_siam.supervision import read_record
from scs_siam.weights import load_weights, save_weights

LONG = "x" * 300  # longer than a file system's names
ODD = "bäd ćlip 跟踪 [1]"


def png(width, height):
    """A PNG that claims a size and holds nothing."""
    import zlib
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
                                           for kind, data in parts)


def loop(path):
    """Make `path` a link that leads to itself."""
    path.symlink_to(path.name)


def put(content):
    """A damage: the file holds `content`, is missing (None), or is what a function makes of its path."""
    def damage(path):
        path.unlink(missing_ok=True)
        if callable(content):
            content(path)
        elif content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return damage


# Frames and videos

IMAGES = {"missing": None, "empty": b"", "a folder": Path.mkdir, "a loop": loop, "a dead link": lambda path: path.symlink_to("gone"),
          "text": "no image", "zeros": b"\0" * 999, "cut head": png(9, 9)[:20], "no pixels": png(9, 9), "no width": png(0, 9),
          "more pixels than OpenCV takes": png(100_000, 100_000), "a negative size": png(0xFFFFFFFF, 0xFFFFFFFF),
          "half a JPEG": b"\xff\xd8\xff"}


@pytest.mark.parametrize("content", IMAGES.values(), ids=IMAGES)
def test_a_frame(tmp_path, refused, content):
    for number in range(2):
        write_image(tmp_path / ODD / f"{number}.png", np.zeros((9, 9, 3), np.uint8))
    put(content)(tmp_path / ODD / "1.png")
    frames = Frames([tmp_path / ODD / f"{number}.png" for number in range(2)])
    refused(lambda: list(frames), ODD, "1.png")


SOURCES = {"nothing": None, "a number": 5, "a list of numbers": [1.5], "a long name": LONG, "a zero byte": "a\0b", "no list": [],
           "floats": np.zeros((2, 4, 4, 3)), "grey": np.zeros((2, 4, 4), np.uint8), "objects": np.array([None]),
           "none": np.zeros((0, 4, 4, 3), np.uint8)}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_source_of_frames(refused, source):
    refused(lambda: list(Frames(source)))


VIDEOS = {"missing": None, "empty": b"", "text": "no video", "a loop": loop, "an empty folder": Path.mkdir,
          "half a head": b"RIFF\x10\0\0\0AVI LIST",
          "an image": png(9, 9)}


@pytest.mark.parametrize("content", VIDEOS.values(), ids=VIDEOS)
def test_a_video(tmp_path, refused, content):
    put(content)(tmp_path / "clip 1.mp4")
    refused(lambda: list(Frames(tmp_path / "clip 1.mp4")), "clip 1.mp4")


def test_names_of_frames_may_hold_any_digits(tmp_path):
    names = ["10.png", "9.png", "²1.png", "٣.png", "x" * 240 + ".png", "1" * 240 + ".png"]
    for name in names:
        write_image(tmp_path / name, np.zeros((9, 9, 3), np.uint8))
    found = [path.name for path in Frames(tmp_path)._items]
    assert sorted(found) == sorted(names) and found.index("9.png") < found.index("10.png")


def test_a_line_break_in_a_name_stays_in_one_line(tmp_path, refused):
    refused(lambda: read_json(tmp_path / "a\nb\r.json"), r"a\nb\r.json")


# Boxes

BOXES = [(1, 2, 3, 1e7), (-1e30, 2, 3, 4), (1, 2, 1e308, 1e308), (1, 2, 3, -np.inf), (1, 2, 3, 4j), ("a", 2, 3, 4), {"x": 1}, 5, (), [[]],
         Ellipsis,
         (1, 2, -1e-9, 4), b"abcd", (1, 2, 3, None), np.zeros((2, 4)), 10**400]


@pytest.mark.parametrize("box", BOXES, ids=str)
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_a_box(refused, box):
    refused(lambda: check_box(box, "first box"), "first box")


@pytest.mark.parametrize("text",
                         ["", ",", "1,2,3,4,5", "1;2;3;4", "1,2,3,1e9", "1,2,3,-inf", "0x1,2,3,4", "1,2,3,4\n5", "NaN NaN NaN NaN",
                          "é,2,3,4"])
def test_a_box_as_text(refused, text):
    refused(lambda: parse_box(text), "--box")


FILES = {"missing": None, "empty": b"", "a folder": Path.mkdir, "a loop": loop, "UTF-16": "1,2,3,4".encode("utf-16"), "zeros": b"\0" * 64,
         "a comma too many": "1,,2,3,4\n", "a ragged end": "1,2,3,4\n1,2", "words": "x y w h\n1 2 3 4\n", "hexadecimal": "0x1,2,3,4\n",
         "minus": "-,-,-,-\n"}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
@pytest.mark.parametrize("read", [read_boxes, lambda path: read_record(path, 2)], ids=["boxes", "record"])
def test_a_file_of_boxes(tmp_path, refused, read, content):
    put(content)(tmp_path / "boxes ü.txt")
    refused(lambda: read(tmp_path / "boxes ü.txt"), "boxes ü.txt")


# Roots of benchmarks and of training sets

ROW = "5,6,10,8\n"


@pytest.fixture(scope="module")
def good(tmp_path_factory, texture):
    """A folder with one sound thing of each kind, in a place with blanks and letters of other alphabets."""
    place = tmp_path_factory.mktemp("good") / ODD
    image = texture(24, 32)
    for folder in ("otb/clip/img", "tc128/clip/img", "uav123/data_seq/UAV123/clip", "vot/clip/color", "got/train/clip"):
        for number in (1, 2, 3):
            write_image(place / folder / f"{number:04d}.jpg", image)
    for number in range(3):
        write_image(place / f"vid/Data/VID/val/ILSVRC2015_val_0/{number:06d}.jpg", image)
        corners = "<xmax>20</xmax><xmin>5</xmin><ymax>20</ymax><ymin>5</ymin>"
        write_text(place / f"vid/Annotations/VID/val/ILSVRC2015_val_0/{number:06d}.xml",
                   f"<annotation><object><trackid>0</trackid><bndbox>{corners}</bndbox></object></annotation>")
    for path in TRUTHS.values():
        if not path.endswith("xml"):
            write_text(place / path, ROW * 3)
    for path in LISTS.values():
        write_text(place / path, "clip\n")
    torch.manual_seed(0)
    config = Config.preset(width=1 / 64)
    save_weights(place / "tiny.safetensors", SiameseNet(config.model), config)
    return place


TRUTHS = {"otb": "otb/clip/groundtruth_rect.txt", "tc128": "tc128/clip/clip_gt.txt", "uav123": "uav123/anno/UAV123/clip.txt",
          "vot": "vot/clip/groundtruth.txt", "got": "got/train/clip/groundtruth.txt",
          "vid": "vid/Annotations/VID/val/ILSVRC2015_val_0/000001.xml"}
LISTS = {"vot": "vot/list.txt", "got": "got/train/list.txt"}


def read(place, layout):
    """What is read from a root of `layout` below `place`."""
    if layout == "got":
        return datasets.training_videos(place / "got" / "train")
    return imagenet_vid.read_imagenet_vid(place / "vid") if layout == "vid" else layouts.READERS[layout](place / layout)


@pytest.fixture
def copy(good, tmp_path):
    """copy(layout): `tmp_path` with a copy of that root to damage."""
    def make(layout):
        shutil.copytree(good / layout, tmp_path / ODD / layout)
        return tmp_path / ODD
    return make


@pytest.mark.parametrize("layout", TRUTHS)
def test_a_sound_root_is_read(copy, layout):
    found, = read(copy(layout), layout)
    assert len(found.frames) == 3


ANY = {"missing": None, "empty": b"", "blank": "\n \n", "a folder": Path.mkdir, "a loop": loop, "binary": b"\xff\xfe\x00\x81",
       "cut": "5,6,10", "words": "a,b,c,d\n" * 3}
VALUES = {"short": ROW * 2, "long": ROW * 4, "NaN first": "NaN,NaN,NaN,NaN\n" + ROW * 2, "infinite": ROW + "1,2,inf,4\n" + ROW,
          "negative": ROW + "1,2,-3,4\n" + ROW, "zero in the middle": ROW + "0,0,0,0\n" + ROW, "huge": ROW * 2 + "1e30,2,3,4\n",
          "overflow": ROW * 2 + "1,2,1e999,4\n"}


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
    if layout == "vid" and damage in ("missing", "a loop"):
        pytest.skip("a frame of VID without annotation shows no track")
    place = copy(layout)
    put({**ANY, **VALUES}[damage])(place / TRUTHS[layout])
    refused(lambda: read(place, layout), Path(TRUTHS[layout]).name)


def shown(entities, track, xmin="1"):
    """A document of VID with a list of entities and one object."""
    corners = f"<xmin>{xmin}</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax>"
    return f"{entities}<annotation><object><trackid>{track}</trackid><bndbox>{corners}</bndbox></object></annotation>"


TEN = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi"))  # each ten of the one before
XML = {"a bomb": shown(f'<!DOCTYPE a [<!ENTITY a "1111111111">{TEN}]>', "&i;"),
       "a file of the system": shown('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>', "&x;"),
       "another encoding": '<?xml version="1.0" encoding="klingon"?><annotation/>', "deep": "<a>" * 50_000,
       "a number without end": shown("", "1", "9" * 4000)}


@pytest.mark.parametrize("content", XML.values(), ids=XML)
def test_an_annotation(copy, refused, content):
    place = copy("vid")
    put(content)(place / TRUTHS["vid"])
    refused(lambda: read(place, "vid"), "000001.xml")


@pytest.mark.parametrize("what", ["missing", "a file", "a loop", "empty", "a long name", "a zero byte"])
@pytest.mark.parametrize("layout", ["otb", "tc128", "uav123", "vot"])
def test_a_root(tmp_path, refused, layout, what):
    root = tmp_path / {"a long name": LONG, "a zero byte": "a\0b"}.get(what, "root")
    if what in ("a file", "a loop", "empty"):
        put({"a file": b"text", "a loop": loop, "empty": Path.mkdir}[what])(root)
    refused(lambda: layouts.READERS[layout](root), tmp_path)


@pytest.mark.parametrize("layout, folder", [("otb", "otb/clip/img"), ("tc128", "tc128/clip/img"), ("uav123", "uav123/data_seq/UAV123/clip"),
                                            ("vot", "vot/clip/color"), ("got", "got/train/clip")])
def test_a_frame_too_few(copy, refused, layout, folder):
    place = copy(layout)
    (place / folder / "0002.jpg").unlink()
    refused(lambda: read(place, layout), "clip")


def test_a_range_without_end(copy, refused):
    place = copy("tc128")
    write_text(place / "tc128" / "clip" / "clip_frames.txt", "1,1e300\n")
    refused(lambda: read(place, "tc128"), "clip", "frame 4 is missing")


NAMES = {"empty": "", "blank": "\n\n", "upwards": "../otb/clip\n", "upwards inside": "clip/../../otb\n", "absolute": "/etc\n",
         "a drive": "C:\\clip\n",
         "a share": "\\\\host\\clip\n", "a zero byte": "clip\0\n", "binary": b"\xff\xfe\x00", "another": "clip\nother\n", "long": LONG}


@pytest.mark.parametrize("content", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("layout", LISTS)
def test_a_list(copy, refused, layout, content):
    place = copy(layout)
    put(content)(place / LISTS[layout])
    refused(lambda: read(place, layout), layout)


ENTRY = {"name": "clip", "frames": ["clip/0001.jpg"], "boxes": [[1, 2, 3, 4]], "attributes": []}
ENTRIES = {"empty": b"", "a number": "5", "no entry": "[]", "numbers": "[1]", "an object": "{}",
           "upwards": [{**ENTRY, "frames": ["../1.jpg"]}],
           "absolute": [{**ENTRY, "frames": ["/etc/hosts"]}], "a name upwards": [{**ENTRY, "name": "../clip"}],
           "no frames": [{**ENTRY, "frames": 5}],
           "frames of numbers": [{**ENTRY, "frames": [1]}], "boxes too many": [{**ENTRY, "boxes": [[1, 2, 3, 4]] * 2}],
           "words": [{**ENTRY, "boxes": "abc"}],
           "three numbers": [{**ENTRY, "boxes": [[1, 2, 3]]}], "a part": [ENTRY, {"name": "clip"}],
           "digits": [{**ENTRY, "boxes": [[1, 2, 3, 10**400]]}]}


@pytest.mark.parametrize("content", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize("name, read", [("videos.json", datasets.training_videos), ("sequences.json", layouts.READERS["listed"])],
                         ids=["videos", "sequences"])
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


# Weights

def tensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


NOTES = {"config": json.dumps(Config.preset(width=1 / 64).to_dict())}
TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
WEIGHTS = {"a head without end": struct.pack("<Q", 2**60) + b"{}", "a head of minus one": b"\xff" * 8, "a head of zero": bytes(8),
           "no JSON": tensors(b"{"), "a list": tensors([1]),
           "no tensor": tensors({"__metadata__": NOTES}), "no text": tensors(b"\xff\xfe"),
           "a billion numbers": tensors({"__metadata__": NOTES,
                                         "psi.0.weight": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}),
           "a false size": tensors({"__metadata__": NOTES, "psi.0.weight": {**TENSOR, "shape": [10**12]}}, bytes(4)),
           "a negative size": tensors({"__metadata__": NOTES, "a": {**TENSOR, "shape": [-1]}}, bytes(4)),
           "overflow": tensors({"__metadata__": NOTES, "a": {**TENSOR, "shape": [2**40, 2**40]}}, bytes(4)),
           "a type of its own": tensors({"__metadata__": NOTES, "a": {**TENSOR, "dtype": "F33"}}, bytes(4)),
           "another place": tensors({"__metadata__": NOTES, "a": {**TENSOR, "data_offsets": [4, 8]}}, bytes(4)),
           "a hole": tensors({"__metadata__": NOTES, "a": TENSOR}, bytes(400)),
           "a stranger": tensors({"__metadata__": NOTES, "a": TENSOR}, bytes(4)),
           "a deep configuration": tensors({"__metadata__": {"config": "[" * 100_000}, "a": TENSOR}, bytes(4)),
           "a number for a configuration": tensors({"__metadata__": {"config": "5"}, "a": TENSOR}, bytes(4)),
           "a width of 1e9": tensors({"__metadata__": {"config": '{"model": {"width": 1e9}}'}, "a": TENSOR}, bytes(4)),
           "a pickle": b"\x80\x04\x95", "a loop": loop, "missing": None, "a folder": Path.mkdir}


@pytest.mark.parametrize("content", WEIGHTS.values(), ids=WEIGHTS)
def test_weights(tmp_path, refused, content):
    put(content)(tmp_path / "w é.safetensors")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(lambda: load_weights(tmp_path / "w é.safetensors"), "w é.safetensors")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB: nothing was allocated for what a head claims


# Configurations

NUMBERS = [(part, name) for part, cls in (("model", ModelConfig), ("training", TrainingConfig), ("tracking", TrackingConfig))
           for name in cls.__dataclass_fields__ if name in RANGES]


@pytest.mark.parametrize("part, name", NUMBERS, ids=str)
def test_a_number_of_a_configuration(refused, part, name):
    for value in (float("nan"), -float("inf"), -1, 10**400, "many", None, True, [], [1, 2, 3], {}, 1j):
        refused(lambda value=value: Config.from_dict({part: {name: value}}), f"config.{part}.{name}")


@pytest.mark.parametrize("changes", [{"training.search_size": 159, "training.template_size": 200}, {"tracking.template_size": 1000},
                                     {"tracking.size_limits": [5, 0.2]}, {"training": 5}, {"training.": 5}, {"": 5},
                                     {"model.attention": ["channel", "channel"]},
                                     {"model.backbone": 5}, {"model.fusion": 1}, {"variant": "x"}, {"a.b.c.d": 1}], ids=str)
def test_changes_of_a_configuration(refused, changes):
    refused(lambda: Config().replace(**changes), "config")


# Run folders and other files of JSON

JSONS = {"empty": b"", "cut": '{"a": ', "a list": "[1]", "a number": "5", "null": "null", "another's": '{"a": 1}', "deep": "[" * 100_000,
         "binary": b"\xff\xfe\x00", "a folder": Path.mkdir, "a loop": loop}


@pytest.mark.parametrize("content", JSONS.values(), ids=JSONS)
def test_an_object(tmp_path, refused, content):
    put(content)(tmp_path / "training.json")
    refused(lambda: read_json(tmp_path / "training.json", "seconds"), "training.json")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that is finished by its files."""
    monkeypatch.setattr(runs, "root", lambda: tmp_path)
    of = runs.Profile("tiny", ("SCA-Siam",), width=1 / 64)
    run, = runs.runs(of)
    write_json(run.folder / "training.json", {"training_key": run.training_key, "weights_sha256": "0", "precision": "fp32"})
    write_json(run.folder / "manifest.json", {"evaluation_key": run.evaluation_key(), "results": {}, "config": run.config.to_dict()})
    assert run.state() == "current"
    return run


@pytest.mark.parametrize("file", ["training.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["empty", "cut", "a list", "a number", "null", "deep", "binary"])
def test_a_record_of_a_run(run, refused, file, damage):
    put(JSONS[damage])(run.folder / file)
    refused(run.state, run.id, file)
    if file == "training.json":
        refused(lambda: confirm_training(run, None), run.id, file)


def test_a_record_of_a_run_of_another_program(run, refused):
    write_json(run.folder / "manifest.json", {"a": 1})
    assert run.state() == "stale"
    for call in (lambda: evidence.boxes(run, "SynOTB", []), lambda: evidence.results(run.profile),
                 lambda: evidence.supervised_summary(run.profile)):
        refused(call, "manifest.json", "delete it and run again")
    write_json(run.folder / "training.json", {"training_key": run.training_key})
    refused(run.state, "training.json", "weights_sha256")


@pytest.mark.parametrize("damage", ["missing", "empty", "a folder", "a loop", "UTF-16", "a ragged end"])
def test_scores_of_a_run(run, refused, damage):
    put({**FILES, "a ragged end": "benchmark,auc\n1,2,3,4\n1,2\n1,2,3,4,5\n"}[damage])(run.folder / "scores.csv")
    refused(lambda: evidence.results(run.profile), "scores.csv")


@pytest.mark.parametrize("file", ["claim.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["empty", "cut", "a list", "a number", "another's", "binary"])
def test_a_record_of_a_store(tmp_path, refused, file, damage):
    put(JSONS[damage])(tmp_path / file)
    refused(lambda: CropStore.build([Video("clip", ("1.jpg",), np.ones((1, 4)))], tmp_path), tmp_path)


# Claims and data of the paper

CLAIMS = {"missing": None, "empty": b"", "binary": b"\xff\xfe\x00", "a folder": Path.mkdir, "a loop": loop, "deep": "[" * 10_000,
          "a program": "claims: !!python/object/apply:os.getcwd []",
          "a date": "claims: [{id: 2020-01-01}]", "an impossible date": "claims: [{id: 2020-99-99}]", "a tab": "claims:\n\t- id: C01",
          "two documents": "claims: []\n---\nclaims: []"}


@pytest.mark.parametrize("content", CLAIMS.values(), ids=CLAIMS)
def test_claims(tmp_path, refused, content):
    put(content)(tmp_path / "claims.yaml")
    refused(lambda: paper.claims(tmp_path / "claims.yaml"))


@pytest.mark.parametrize("key, value",
                         [("tolerance", float("nan")), ("tolerance", -1), ("tolerance", 10**400), ("tolerance", "x"), ("rows", "SCS-Siam"),
                          ("rows", [1]),
                                        ("rows", []), ("kind", ["order"]), ("metric", None), ("expected", 5),
                                        ("expected", {"value": float("inf")}), ("sequences", {"a": 1})], ids=str)
def test_a_claim(tmp_path, refused, key, value):
    import yaml
    sound = {"id": "C01", "quote": "q", "where": "w", "kind": "value", "metric": "success", "dataset": "OTB2015", "rows": ["SCS-Siam"],
             "notebook": "06", "expected": {"value": 1}}
    write_text(tmp_path / "claims.yaml", yaml.safe_dump({"claims": [sound]}))
    assert len(paper.claims(tmp_path / "claims.yaml")) == 1
    write_text(tmp_path / "claims.yaml", yaml.safe_dump({"claims": [{**sound, key: value}]}))
    refused(lambda: paper.claims(tmp_path / "claims.yaml"), "C01", key)


@pytest.mark.parametrize("damage", ["missing", "empty", "a folder", "a loop", "UTF-16", "a ragged end"])
def test_data_of_the_paper(tmp_path, refused, monkeypatch, damage):
    (tmp_path / "data" / "paper").mkdir(parents=True)
    monkeypatch.setattr(paper, "root", lambda: tmp_path)
    put({**FILES, "a ragged end": "tracker,success\na,1\nb\n"}[damage])(tmp_path / "data" / "paper" / "table99.csv")
    refused(lambda: paper.table(99), "table99.csv")


# Notebooks and sweeps

NOTEBOOKS = {"missing": None, "empty": b"", "a list": "[]", "a number": "3", "a string": '"cells"', "null": "null", "deep": "[" * 100_000,
             "binary": b"\xff\xfe\x00", "a folder": Path.mkdir, "a loop": loop,
             "no cells": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
             "cells of numbers": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1]}',
             "of the future": '{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}',
             "of no version": '{"nbformat": "x", "cells": []}'}


@pytest.mark.parametrize("content", NOTEBOOKS.values(), ids=NOTEBOOKS)
def test_a_notebook(tmp_path, refused, content):
    put(content)(tmp_path / "n ö.ipynb")
    refused(lambda: notebooks.check_parameters(tmp_path / "n ö.ipynb", {"profile": "read"}), "n ö.ipynb")


@pytest.mark.parametrize("grid, seeds, jobs",
                         [({"sigmas": [1]}, [0], 1), ({"": [1]}, [0], 1), ({"sigma": []}, [0], 1), ({"sigma": [1]}, [], 1),
                          ({"sigma": [1]}, [0], 0), ({"sigma; import os": [1]}, [0], 1)], ids=str)
def test_a_sweep(tmp_path, refused, grid, seeds, jobs):
    cell = nbformat.v4.new_code_cell("sigma: float = 0.5  # weight\nseed: int = 0  # seed", metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    refused(lambda: sweeps.sweep(tmp_path / "a.ipynb", grid, seeds, jobs, tmp_path / "out"), "a.ipynb")
    assert not (tmp_path / "out").exists()


# The command line

TRACK, TRAIN = "track clip --weights tiny.safetensors --box 5,5,9,9", "train --store store --out out --root"
EVALUATE = "evaluate --weights tiny.safetensors --out out --root"
LINES = [TRACK.replace("5,5", "1e7,5"), TRACK.replace("9,9", "1e300,1e300"), TRACK.replace("5,5", "-50,-5").replace("--box ", "--box="),
         TRACK.replace("clip", LONG), TRACK.replace("clip", "loop"), TRACK.replace("clip", "tiny.safetensors"),
         TRACK.replace("tiny", "loop"), TRACK.replace("tiny", LONG),
         TRACK + " --boxes loop/boxes.txt", f"{TRACK} --boxes {LONG}/boxes.txt", f"{TRACK} --output {LONG}.mp4",
         TRACK + " --output loop/a.mp4",
         TRACK + " --boxes clip", TRACK + " --precision", TRACK + " --device cpu0",
         TRAIN + " loop", f"{TRAIN} {LONG}", TRAIN + " otb", TRAIN + " tiny.safetensors", TRAIN + " got/train --seed 1e3",
         TRAIN + " got/train --seed 9999999999999999999999x",
         TRAIN + " got/train --width nan", TRAIN + " got/train --width inf", TRAIN + " got/train --width -1",
         TRAIN + " got/train --width 0",
         TRAIN + " got/train --set training.batch=0", TRAIN + " got/train --set training.batch=NaN",
         TRAIN + " got/train --set training.epochs=1e99", TRAIN + " got/train --set =5",
         TRAIN + " got/train --set training.learning_rate=[1]",
         TRAIN + " got/train --set training.search_size=159 training.template_size=400",
         EVALUATE + " loop", f"{EVALUATE} {LONG}", EVALUATE + " tiny.safetensors", EVALUATE + " vot", EVALUATE + " otb --sequences ,",
         EVALUATE + " otb --sequences ../clip",
         EVALUATE + " otb --layout tc128", EVALUATE + " otb --weights otb", EVALUATE.replace("out out", "out tiny.safetensors") + " otb",
         EVALUATE.replace("out out", f"out {LONG}") + " otb",
         "plan --seeds 1,", "plan --seeds ,", "plan --seeds ٣x", "plan --profile", "plan --profile ../smoke", "plan --rows SCS-Siam@2",
         "plan --rows SCS-Siam@nan", "plan --rows @0.5",
         "reproduce --profile paper", "reproduce --profile paper --train loop --test x=loop", "reproduce --profile smoke --jobs -1",
         "reproduce --profile smoke --device tpu", "data --profile paper --train got/train",
         "bench track --width 99", "bench track --rounds 0", "bench fly", "bench train --store loop", "bench train --store otb",
         f"bench train --store {LONG}", "bench track --variant x", "bench track --device tpu",
         "sweep loop", f"sweep {LONG}", "sweep tiny.safetensors", "sweep 06 sigma", "sweep 06 nothing=1", "sweep 06 sigma=1 --seeds -1",
         "sweep 06 sigma=1 --jobs 0"]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.replace(LONG, "LONG"))
def test_a_command_line(good, tmp_path, monkeypatch, capsys, line):
    for name in ("otb", "vot", "got"):
        (tmp_path / name).symlink_to(good / name)
    (tmp_path / "clip").symlink_to(good / "otb" / "clip" / "img")
    (tmp_path / "tiny.safetensors").symlink_to(good / "tiny.safetensors")
    loop(tmp_path / "loop")
    shutil.copytree(notebooks.root() / "notebooks", tmp_path / "notebooks", ignore=lambda folder,
                    names: [name for name in names if not name.startswith("06")])
    monkeypatch.chdir(tmp_path)
    for module in (experiments, runs, notebooks):
        monkeypatch.setattr(module, "root", lambda: tmp_path)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        cli.main(line.split())
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == "" and err.startswith("scs-siam") and err.endswith("\n") and err.count("\n") == 1, err
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before and path.is_file() and path.suffix != ".lock"] == []


# The file system

@contextlib.contextmanager
def nobody():
    """A folder in which this process, as the user nobody if it is root, may do what its modes allow."""
    folder = Path(tempfile.mkdtemp())
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    try:
        if root:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        for path in folder.rglob("*"):
            path.chmod(0o700)
        shutil.rmtree(folder)


def denied(folder, mode, name="a.json"):
    (folder / "in").mkdir()
    (folder / "in" / name).write_text(ROW)
    (folder / "in" / name).chmod(0o600)
    (folder / "in").chmod(mode) if mode != 0o200 else (folder / "in" / name).chmod(mode)
    return folder / "in" / name


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no modes of files")
@pytest.mark.parametrize("mode", [0o000, 0o200], ids=["a closed folder", "a closed file"])
@pytest.mark.parametrize("call",
                         [read_json, read_image, sha256, read_boxes, read_names, load_weights, lambda path: read_record(path, 1),
                          lambda path: list(Frames(path)), paper.claims,
                                  lambda path: notebooks.check_parameters(path, {})],
                                  ids=["json", "image", "hash", "boxes", "names", "weights", "record", "frames", "claims", "notebook"])
def test_what_may_not_be_read(refused, call, mode):
    with nobody() as folder:
        path = denied(folder, mode, "a.png")
        refused(lambda: call(path), path)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no modes of files")
@pytest.mark.parametrize("write",
                         [lambda path: write_json(path, {}),
                          lambda path: write_image(path.with_suffix(".png"), np.zeros((9, 9, 3), np.uint8)),
                          lambda path: locked(path).__enter__(),
                                   lambda path: write_text(path.parent / "new" / "a.txt", "")],
                                   ids=["json", "image", "lock", "a new folder"])
def test_a_read_only_folder(refused, write):
    with nobody() as folder:
        path = denied(folder, 0o500)
        refused(lambda: write(path), folder / "in", "cannot be written", "Permission denied")
        assert sorted(name.name for name in (folder / "in").iterdir()) == ["a.json"] and path.read_text() == ROW


@pytest.fixture(params=["a small disk", "a limit on files"])
def small(request, tmp_path):
    """A folder that takes 64 kB at most."""
    if request.param == "a small disk":
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)],
                              capture_output=True) if shutil.which("mount") else None
        if done is None or done.returncode:
            pytest.skip("a disk of 64 kB cannot be mounted here")
        yield tmp_path
        subprocess.run(["umount", str(tmp_path)], check=True)
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
        yield tmp_path
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full(small, refused):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    config = Config.preset(width=1 / 16)
    write_text(small / "a.txt", "old")
    for name, write in (("a.txt", lambda: write_text(small / "a.txt", "x" * 10**6)), ("a.png", lambda: write_image(small / "a.png", noise)),
                        ("w.safetensors", lambda: save_weights(small / "w.safetensors", SiameseNet(config.model), config))):
        refused(write, small / name, "cannot be written")
    assert [path.name for path in small.iterdir()] == ["a.txt"] and (small / "a.txt").read_text() == "old"


def test_two_processes_on_one_folder(tmp_path):
    code = f"from scs_siam.files import locked\nwith locked({str(tmp_path / 'run')!r}):\n    print('in', flush=True)\n    input()"
    first = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"in\n"
    import fcntl
    with open(tmp_path / ".run.lock", "w") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first.kill()
        first.wait()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a process that was killed holds nothing
    with locked(tmp_path / "run"):
        pass
