"""The page with the tracker in the browser: its scripts, its programs, and its weights as base64.

onnxruntime-web comes from build/npm, where `make site` installs it if npm is there. Without it, or
without the package onnx, the site is built without the page.
"""

import base64
import gzip
import importlib.util
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from scs_siam.data.benchmarks import read_clips
from scs_siam.model import STRIDE
from scs_siam.runtime.files import root
from scs_siam.tools.export import export
from scs_siam.weights import load_pretrained

SOURCE = Path(__file__).with_name("try")
RUNTIME = root() / "build" / "npm" / "node_modules" / "onnxruntime-web"
PROGRAMS = {  # the smallest build for each way of execution
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
}


def missing() -> str:
    """Say what the page lacks; empty if it can be built."""
    if not RUNTIME.is_dir():
        return "onnxruntime-web is not in build/npm; install npm and call make site"
    lacking = [name for name in ("onnx", "onnxruntime") if not importlib.util.find_spec(name)]
    return f"{lacking[0]} is not installed; pip install 'scs-siam[onnx]'" if lacking else ""


def page() -> str:
    """Return the page as Markdown."""
    html = (SOURCE / "page.html").read_text("utf-8")
    return f"# Try the tracker\n\n```{{raw}} html\n{html}```\n"


def write(folder: Path) -> None:
    """Write scripts, programs, weights and clips into a folder of the built site."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in [*SOURCE.glob("*.js"), *SOURCE.glob("*.css")]:
        shutil.copy(path, folder)
    for device, (script, program) in PROGRAMS.items():
        dist = RUNTIME / "dist"
        files = {f"{device}.mjs": dist / script, f"{device}.wasm": dist / program}
        _write(folder / f"{device}.js", {name: path.read_bytes() for name, path in files.items()})
    _write(folder / "model.js", model())
    settings = asdict(load_pretrained()[1].tracking) | {"stride": STRIDE}
    text = f"const CONFIG = {json.dumps(settings)};\nconst CLIPS = {json.dumps(clips())};\n"
    (folder / "data.js").write_text(text, "utf-8")


def _write(path, files):
    """Write a script that puts files, compressed and in base64, into the table FILES."""
    packed = {
        name: base64.b64encode(gzip.compress(content, mtime=0)).decode()
        for name, content in files.items()
    }
    path.write_text(f"Object.assign(FILES, {json.dumps(packed)});\n", "utf-8")


def model() -> dict[str, bytes]:
    """Return both halves of the shipped network; they share one file of float16 weights.

    onnxruntime turns the weights into float32 when it loads them.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network, config = load_pretrained()
    files, weights, places = {}, bytearray(), {}
    with TemporaryDirectory() as folder:
        export(network, config.tracking, folder)
        halves = {path.name: onnx.load(path) for path in Path(folder).glob("*.onnx")}
    for name, half in halves.items():
        for tensor in list(half.graph.initializer):
            values = numpy_helper.to_array(tensor)
            if values.size < 1000:
                continue
            short = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")
            content = short.raw_data
            if content not in places:
                weights += bytes(-len(weights) % 8)
                places[content] = len(weights)
                weights += content
            short.ClearField("raw_data")
            short.data_location = TensorProto.EXTERNAL
            where = {"location": "weights.bin", "offset": places[content], "length": len(content)}
            for key, value in where.items():
                short.external_data.add(key=key, value=str(value))
            cast = helper.make_node("Cast", [short.name], [tensor.name], to=TensorProto.FLOAT)
            half.graph.initializer.remove(tensor)
            half.graph.initializer.append(short)
            half.graph.node.insert(0, cast)
        files[name] = half.SerializeToString()
    return files | {"weights.bin": bytes(weights)}


def clips() -> dict[str, dict]:
    """Return the clips that come with the project: video, first true box, frames a second."""
    import av

    found = {}
    for sequence in read_clips(root() / "data" / "clips"):
        path = root() / "data" / "clips" / sequence.name / "clip.mp4"
        with av.open(str(path)) as video:
            rate = float(video.streams.video[0].average_rate)
        content = base64.b64encode(path.read_bytes()).decode()
        box = [round(float(value), 1) for value in sequence.truth[0]]
        found[sequence.name] = {"video": content, "box": box, "rate": rate}
    return found
