"""ImageNet VID's layout: tracks as got10k's reader reads them, and files that are missing or damaged by name."""

import shutil

import numpy as np
import pytest

from scs_siam.data.training_sets import read_imagenet_vid

OBJECT = (
    "<object><trackid>{}</trackid><name>n1</name>"
    "<bndbox><xmax>{}</xmax><xmin>{}</xmin><ymax>{}</ymax><ymin>{}</ymin></bndbox></object>"
)


def make(root, place, frames):
    """A sequence whose frames show the objects {track: (left, top, right, bottom)}."""
    for number, objects in enumerate(frames):
        for kind, suffix in (("Data", "JPEG"), ("Annotations", "xml")):
            (root / kind / "VID" / place).mkdir(parents=True, exist_ok=True)
            shown = "".join(
                OBJECT.format(track, right, left, bottom, top)
                for track, (left, top, right, bottom) in objects.items()
            )
            (root / kind / "VID" / place / f"{number:06d}.{suffix}").write_text(
                f"<annotation>{shown}</annotation>"
            )


@pytest.fixture
def vid(tmp_path):
    root = tmp_path / "ILSVRC [2015]"
    make(
        root,
        "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00001000",
        [
            {0: (5, 6, 14, 25), 1: (0, 0, 3, 3)},
            {0: (6, 6, 15, 25)},
            {1: (1, 0, 4, 3)},
            {0: (8, 6, 17, 25), 2: (9, 9, 20, 20)},
        ],
    )
    make(root, "train/ILSVRC2015_VID_train_0003/ILSVRC2015_train_00002000", [{}, {}])
    make(root, "val/ILSVRC2015_val_00000000", [{3: (0, 0, 99, 49)}, {3: (1, 0, 100, 49)}])
    return root


def test_tracks(vid, tmp_path):
    datasets = pytest.importorskip("got10k.datasets")
    first, second, third = read_imagenet_vid(vid)
    assert [first.name, second.name] == [
        "ILSVRC2015_train_00001000.0",
        "ILSVRC2015_train_00001000.1",
    ]
    assert third.name == "ILSVRC2015_val_00000000.3"
    assert first.boxes.tolist() == [
        [5, 6, 10, 20],
        [6, 6, 10, 20],
        [8, 6, 10, 20],
    ]  # corners of the first and last pixel
    assert [frame[-11:] for frame in first.frames] == ["000000.JPEG", "000001.JPEG", "000003.JPEG"]
    (tmp_path / "plain").symlink_to(vid)  # got10k takes brackets for patterns
    theirs = datasets.ImageNetVID(str(tmp_path / "plain"), cache_dir=str(tmp_path / "cache"))
    assert theirs.seq_names == [first.name, second.name, third.name]
    for video in (first, second, third):
        files, rows = theirs[video.name]
        assert [file.split("Data")[1] for file in files] == [
            file.split("Data")[1] for file in video.frames
        ]
        np.testing.assert_array_equal(rows, video.boxes)


def test_nothing_is_written(vid):
    before = sorted(vid.parent.rglob("*"))
    read_imagenet_vid(vid)
    assert sorted(vid.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<annotation>",
        "<annotation><object/></annotation>",
        f"<annotation>{OBJECT.format('x', 1, 2, 3, 4)}</annotation>",
        f"<annotation>{OBJECT.format(0, 1.5, 2, 3, 4)}</annotation>",
        "\xff\x00",
    ],
)
def test_a_damaged_annotation_is_named(vid, refused, text):
    (vid / "Annotations" / "VID" / "val" / "ILSVRC2015_val_00000000" / "000001.xml").write_text(
        text, encoding="latin-1"
    )
    refused(
        lambda: read_imagenet_vid(vid),
        "ILSVRC2015_val_00000000",
        "000001.xml",
        "not an annotation of ImageNet VID",
    )


def test_roots_that_hold_nothing(vid, refused, tmp_path):
    refused(lambda: read_imagenet_vid(tmp_path / "gone"), "gone", "Data/VID/train")
    refused(lambda: read_imagenet_vid(vid / "Data"), "Data/VID/train")
    shutil.rmtree(vid / "Annotations" / "VID" / "val")
    refused(lambda: read_imagenet_vid(vid), "ILSVRC2015_val_00000000", "holds no annotations")
    shutil.rmtree(vid / "Data" / "VID" / "val")
    shutil.rmtree(vid / "Data" / "VID" / "train" / "ILSVRC2015_VID_train_0000")
    refused(lambda: read_imagenet_vid(vid), "no object is annotated in two frames")
