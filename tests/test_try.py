"""The tracker in the browser gives the boxes of the Python tracker."""

import base64
import json
import sys
import time
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
    site = tmp_path_factory.mktemp("site")
    try_page.write(folder := site / "_static" / "try")
    (site / "docs").mkdir()
    html = (ROOT / "docs" / "try" / "page.html").read_text("utf-8")
    (site / "docs" / "try.html").write_text(f"<!DOCTYPE html><meta charset=utf-8>{html}", "utf-8")
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


def test_the_page_tracks_a_clip_and_says_what_is_wrong(folder, tmp_path):
    """A reader's steps: track a clip with one scale, stop, read the boxes; then bad input."""
    with Page(tmp_path) as page:
        page.open((folder.parents[1] / "docs" / "try.html").as_uri())

        def wait(condition, seconds=60):
            end = time.monotonic() + seconds
            while not page.evaluate(condition):
                assert time.monotonic() < end, page.evaluate("find('message').textContent")
                time.sleep(0.1)

        wait("state.name == 'dog' && state.box !== null")
        page.evaluate("find('scales').value = '1', find('track').click()")
        wait("state.boxes.length > 5")
        page.evaluate("find('stop').click()")
        wait("!find('csv').disabled")
        head, *rows = page.evaluate("csv()").split()
        assert head == "frame,x,y,width,height,score" and len(rows) > 5
        (clip,) = read_clips(CLIPS, ["dog"])
        found = np.array([row.split(",")[1:5] for row in rows], float)
        assert np.abs(found - clip.truth[: len(found)]).max() < 15  # the dog hardly moves yet

        def message(script):
            page.evaluate(f"attempt(async () => {{ {script} }})")
            return page.evaluate("find('message').textContent")

        text = "new File(['x'], 'a.{0}', {{type: '{1}'}})"
        assert "a.txt is not a video" in message(
            f"await openFile({text.format('txt', 'text/plain')})"
        )
        assert "no decoder for a;" in message(f"await openFile({text.format('mp4', 'video/mp4')})")
        assert "amera" in message("await openCamera()")
        assert "lies outside the" in message(
            "await openClip('ball'); setBox([900, 9, 9, 9]); await track()"
        )
        assert "has no area" in message("setBox([9, 9, 0, 9]); await track()")
        no_simd = "const keep = WebAssembly.validate; WebAssembly.validate = () => false;"
        no_simd += " try { await loadNetwork(); } finally { WebAssembly.validate = keep; }"
        assert "lacks WebAssembly SIMD" in message(no_simd)
        assert {url.split(":")[0] for url in page.requests()} <= {"file", "blob", "data"}
