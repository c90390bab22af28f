"""A folder of a data set is described and checked, and left as it is."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

from scs_siam.data import datasets, synthetic
from scs_siam.data.images import write_image
from scs_siam.data.training_sets import read_got10k

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """What a project's data/ would say of a small OTB2015: three targets of two clips."""
    place = tmp_path_factory.mktemp("project")
    (place / "data").mkdir()
    (place / "data" / "datasets.yaml").write_text((ROOT / "data" / "datasets.yaml").read_text())
    rows = [
        "target,frames,also,x,y,w,h",
        "One,3,5,10,11,20,21",
        "Two.1,2,,1,2,8,9",
        "Two.2,2,,30,31,8,9",
    ]
    (place / "data" / "otb2015_targets.csv").write_text("\n".join(rows) + "\n")
    return place


def write(root, one="10,11,20,21", frames=3):
    for folder, count in (("One", frames), ("Two", 2)):
        for number in range(1, count + 1):
            write_image(
                root / folder / "img" / f"{number:04d}.jpg", np.zeros((60, 60, 3), np.uint8)
            )
    (root / "One" / "groundtruth_rect.txt").write_text(f"{one}\n" * frames)
    (root / "Two" / "groundtruth_rect.1.txt").write_text("1,2,8,9\n" * 2)
    (root / "Two" / "groundtruth_rect.2.txt").write_text("30,31,8,9\n" * 2)
    return root


def test_a_whole_root_and_what_can_be_wrong_with_it(small, tmp_path, monkeypatch, refused):
    monkeypatch.setattr(datasets, "project", lambda: small)
    whole = write(tmp_path / "whole")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert datasets.check("otb2015", whole) == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert datasets.check("otb2015", write(tmp_path / "shorter", frames=2)) == [
        "One: has 2 frames with boxes, the set has 3; get the sequence again"
    ]
    assert datasets.check("otb2015", write(tmp_path / "moved", "12,11,20,21")) == [
        "One: starts from the box [11.0, 10.0, 20.0, 21.0] (0-based) instead of [9.0, 10.0, 20.0, 21.0]"
    ]
    (whole / "Two" / "groundtruth_rect.2.txt").unlink()
    (whole / "One" / "img" / "0002.jpg").unlink()
    broken, *missing = datasets.check("otb2015", whole)
    assert broken.startswith("One: ") and "3 boxes for 2 frames" in broken
    assert missing == [
        f"Two.{number}: is missing; Two lacks one of groundtruth_rect.1.txt and .2.txt"
        for number in (1, 2)
    ]
    refused(lambda: datasets.check("otb2015", small), small, "holds no sequence of otb2015")
    refused(lambda: datasets.check("otb2015", tmp_path / "gone"), "gone: no such folder")


def test_other_sets_are_counted_with_a_line_for_each_sequence_that_cannot_be_read(tmp_path, videos):
    for name in ("bag", "ball"):
        write_image(tmp_path / "vot" / name / "00000001.jpg", np.zeros((40, 40, 3), np.uint8))
        (tmp_path / "vot" / name / "groundtruth.txt").write_text("1,1,9,1,9,9,1,9\n")
    assert datasets.check("vot2016", tmp_path / "vot") == [
        f"{tmp_path / 'vot'}: holds 2 sequences; vot2016 has 60"
    ]
    for name in ("bag", "ball"):
        (tmp_path / "vot" / name / "groundtruth.txt").write_text("1,1,9,1,9,9,1,9\n" * 2)
    problems = datasets.check("vot2017", tmp_path / "vot")
    assert [line.split(":")[0] for line in problems] == ["bag", "ball"] and all(
        "2 boxes for 1 frames" in line for line in problems
    )
    root = Path(videos[0].frames[0]).parent.parent
    assert datasets.check("got10k", root) == [
        f"{root}: holds {len(read_got10k(root))} sequences; got10k has 9335"
    ]


def test_the_targets_of_otb2015_are_what_their_owners_publish(real_data):
    """The 20 targets at hand; 80 others are missing, and nothing else is said."""
    problems = datasets.check("otb2015", real_data / "OTB2015")
    assert len(problems) == 80 and all(line.endswith(": is missing") for line in problems)


def test_the_facts_fit_the_paper():
    with open(ROOT / "data" / "otb2015_targets.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (
        len(rows)
        == len({row["target"] for row in rows})
        == datasets.describe("otb2015")["sequences"]
        == 100
    )
    frames = [int(row["also"] or row["frames"]) for row in rows]
    assert (sum(frames), min(frames), max(frames)) == (59040, 71, 3872)  # Table 2
    with open(ROOT / "data" / "paper" / "table2.csv", encoding="utf-8", newline="") as file:
        printed = {
            row["benchmark"].replace("-", "").lower(): int(row["sequences"])
            for row in csv.DictReader(file)
        }
    known = yaml.safe_load((ROOT / "data" / "datasets.yaml").read_text())
    assert {name: known[name]["sequences"] for name in printed} == printed
    assert all(
        set(about) == {"title", "source", "licence", "layout", "holds", "sequences"}
        for about in known.values()
    )


def test_synthetic_sets_are_not_confused_with_real_ones(tmp_path, refused):
    root = synthetic.write_test(tmp_path / "otb", 1, 2, seed=0, size=(128, 96))
    refused(lambda: datasets.check("otb2015", root), "holds no sequence of otb2015")
    refused(lambda: datasets.describe("mnist"), "no data set 'mnist'", "otb2015", "got10k")
