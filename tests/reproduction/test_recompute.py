"""Ten cells of docs/results.md recomputed from raw boxes by plain NumPy that shares no code.

The boxes are committed. The true boxes of OTB2015 are read from SCS_DATA (default ../shared/data),
and the tests skip where that folder is absent.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("SCS_DATA", ROOT / "../shared/data"))
ROWS = ["SCS-Siam", "Extended-SiamFC", "SiameseFC*", "SSC-Siam", "SSA-Siam", "SCA-Siam"]
ROWS += ["B-SCS-Siam", "SCS-Siam@0.3", "SSA-Context", "untrained"]

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent; set SCS_DATA")


def true_boxes(target):
    name, _, number = target.partition(".")
    file = f"groundtruth_rect{'.' + number if number else ''}.txt"
    text = (DATA / "OTB2015" / name / file).read_text()
    return np.array([re.split(r"[,\s]+", line.strip()) for line in text.split("\n") if line], float)


def auc(tracked, truth):
    """The mean over 21 thresholds of the fraction of frames whose overlap exceeds it.

    Both files count pixels from 1, as OTB does.
    """
    left_top = np.maximum(tracked[:, :2], truth[:, :2])
    right_bottom = np.minimum((tracked[:, :2] + tracked[:, 2:]), (truth[:, :2] + truth[:, 2:]))
    both = np.prod(np.clip(right_bottom - left_top, 0, None), axis=1)
    union = tracked[:, 2] * tracked[:, 3] + truth[:, 2] * truth[:, 3] - both
    overlaps = both / union
    return np.mean([(overlaps > threshold).mean() for threshold in np.linspace(0, 1, 21)])


def scores(row):
    """{seed: {target: AUC}} of a row of the profile quarter."""
    found = {}
    for folder in sorted(
        (ROOT / "data/results/quarter").glob(f"{row.replace('*', '-star')}-seed*")
    ):
        key = json.loads((folder / "manifest.json").read_text())["evaluation_key"]
        boxes = sorted((folder / "boxes" / "OTB12" / key).glob("*.txt"))
        found[folder.name[-1]] = {
            path.stem: auc(np.loadtxt(path, delimiter=",", ndmin=2), true_boxes(path.stem)[-n:])
            for path in boxes
            for n in [len(path.read_text().split())]
        }
    return found


def printed(row):
    """The cells of a row: AUC, that of SCS-Siam on the same seeds, the difference."""
    lines = (ROOT / "docs/results.md").read_text().splitlines()
    (line,) = [x for x in lines if re.match(rf"\| {re.escape(row)} \| \d+ \| 0\.\d{{3}} \|", x)]
    return [cell.split("(")[0].strip() for cell in line.strip("|").split("|")[2:5]]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_grid_follows_from_its_raw_boxes(row):
    own, base = scores(row), scores("SCS-Siam")
    assert all(len(targets) == 12 for targets in own.values())
    mean = np.mean([list(targets.values()) for targets in own.values()])
    same = np.mean([list(base[seed].values()) for seed in own])
    cells = printed(row)
    assert [f"{mean:.3f}", f"{same:.3f}"] == cells[:2]
    assert row == "SCS-Siam" or f"{mean - same:+.3f}" == cells[2]
