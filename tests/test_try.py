"""The tracker in the browser gives the boxes of the Python tracker."""

import base64
import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from chromium import Page

from scs_siam import Tracker, load_pretrained
from scs_siam.data.benchmarks import read_clips
from scs_siam.data.video import Frames

ROOT = Path(__file__).resolve().parents[1]
CLIPS = ROOT / "data" / "clips"
SCRIPTS = ("tracker.js", "network.js", "data.js", "frames.js")
RUN = """(async (device, scales) => {
    const tracker = new Tracker(await loadNetwork(device), {...CONFIG, scales}), boxes = [];
    const start = performance.now();
    for (const text of FRAMES.list) {
      const data = new Uint8ClampedArray(4 * FRAMES.width * FRAMES.height).fill(255);
      const rgb = atob(text);
      for (let i = 0; i < rgb.length; i++) data[4 * Math.floor(i / 3) + i % 3] = rgb.charCodeAt(i);
      const frame = {width: FRAMES.width, height: FRAMES.height, data};
      if (!boxes.length) await tracker.init(frame, FRAMES.box), boxes.push(FRAMES.box);
      else boxes.push(await tracker.update(frame));
    }
    return {boxes, rate: FRAMES.list.length / (performance.now() - start) * 1000};
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scripts, programs and weights of the page."""
    sys.path.insert(0, str(ROOT / "docs"))
    import try_page

    if lacking := try_page.missing():
        pytest.skip(lacking)
    try_page.write(folder := tmp_path_factory.mktemp("try"))
    return folder


def frames_of(name, count):
    return list(islice(Frames(CLIPS / name / "clip.mp4"), count))


@pytest.mark.parametrize("name, scales, count", [("dog", 3, 60), ("cups", 1, 15)])
def test_the_browser_gives_the_boxes_of_python(folder, tmp_path, name, scales, count):
    """Both get the same decoded frames, and the page is opened from the disk."""
    frames = frames_of(name, count)
    (clip,) = read_clips(CLIPS, [name])
    model, config = load_pretrained()
    tracking = config.replace(**{"tracking.scales": scales}).tracking
    expected = Tracker(model, tracking, precision="exact").track(frames, clip.truth[0])
    height, width = frames[0].shape[:2]
    data = {"width": width, "height": height, "box": [float(value) for value in clip.truth[0]]}
    data["list"] = [base64.b64encode(frame.tobytes()).decode() for frame in frames]
    (folder / "frames.js").write_text(f"const FRAMES = {json.dumps(data)};")
    probe = "".join(f'<script src="{name}"></script>' for name in SCRIPTS)
    (folder / "probe.html").write_text(f"<!DOCTYPE html>{probe}")
    with Page(tmp_path) as page:
        page.open((folder / "probe.html").as_uri())
        found = page.evaluate(f"{RUN}('wasm', {scales})")
        hosts = {url.split(":")[0] for url in page.requests()}
    print(
        f"{name}, {scales} scales: {np.abs(found['boxes'] - expected).max():.3f} px, "
        f"{found['rate']:.1f} frames/s"
    )
    assert hosts <= {"file", "blob", "data"}
    assert np.abs(found["boxes"] - expected).max() < 0.5
