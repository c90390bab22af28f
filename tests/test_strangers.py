"""What comes from strangers: nothing of it runs, leaves its folder or reaches for the network."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scs_siam import weights
from scs_siam.data.benchmarks import read_published
from scs_siam.runtime.files import read_json, sha256, write_json

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "scs_siam").rglob("*.py"))
STORED = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROGRAMS = (
    "subprocess",
    "pty",
    "ctypes",
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "joblib",
    "runpy",
    "code",
    "tarfile",
    "socket",
    "urllib",
    "requests",
    "http",
    "ftplib",
    "pooch",
    "webbrowser",
)
CALLS = ("eval", "exec", "compile", "__import__", "input", "breakpoint")
METHODS = (
    "popen",
    "spawnl",
    "spawnv",
    "execv",
    "execvp",
    "extractall",
    "unpack_archive",
    "load_url",
)
# mallopt; archives are only written; whether the cluster that the reader names answers.
KNOWN = {"hardware": {"ctypes"}, "pack": {"tarfile"}, "sweeps": {"socket"}}


DOTTED = {
    path: ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in MODULES
    if not path.name.startswith("__")
}
LATER = [
    name
    for path, name in DOTTED.items()
    if path.parent.name in ("figures", "reproduction", "tools")
]
CORE = [name for name in DOTTED.values() if name not in LATER and name != "scs_siam.cli"]


def parsed(name, sources):
    return [(name, node) for source in sources for node in ast.walk(ast.parse(source))]


def cells(path):
    return [
        "".join(cell["source"])
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]


NODES = [pair for path in MODULES for pair in parsed(path.stem, [path.read_text(encoding="utf-8")])]
CELLS = [pair for path in STORED for pair in parsed(path.name, cells(path))]


def imported(node):
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return (
        [node.module.split(".")[0]]
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        else []
    )


def what_runs(nodes):
    """Calls and imports by which text or bytes of others could run, be unpacked or be fetched, as (file, line, what)."""
    for name, node in nodes:
        yield from (
            (name, node.lineno, module)
            for module in imported(node)
            if module in PROGRAMS and module not in KNOWN.get(name, ())
        )
        if not isinstance(node, ast.Call):
            continue
        called = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        named = (
            (not owner and called in CALLS)
            or called in METHODS
            or (owner, called) == ("os", "system")
            or "hub" in owner
        )
        if named or given.get("shell") == "True" or given.get("allow_pickle") == "True":
            yield name, node.lineno, ast.unparse(node.func)
        if called == "load" and owner in ("torch", "yaml") and given.get("weights_only") != "True":
            yield name, node.lineno, ast.unparse(node.func)


def test_the_package_runs_and_fetches_nothing_of_others():
    assert list(what_runs(NODES)) == []


def test_notebooks_run_and_fetch_nothing_of_others():
    assert len(STORED) >= 7 and list(what_runs(CELLS)) == []


def test_notebooks_import_only_the_project_and_what_it_depends_on():
    allowed = {
        "scs_siam",
        "numpy",
        "pandas",
        "torch",
        "cv2",
        "matplotlib",
        "IPython",
        "safetensors",
        "av",
        "got10k",
        "tqdm",
        *sys.stdlib_module_names,
    }
    assert {
        (name, module) for name, node in CELLS for module in imported(node) if module not in allowed
    } == set()


@pytest.mark.parametrize(
    "text",
    [
        "os.system(x)",
        "subprocess.run(x, shell=True)",
        "import pickle",
        "from urllib import request",
        "torch.load(p)",
        "np.load(p, allow_pickle=True)",
        "yaml.load(p)",
        "eval(x)",
        "shutil.unpack_archive(p)",
        "torch.hub.load(x)",
    ],
)
def test_the_search_finds(text):
    assert len(list(what_runs(parsed("a", [text])))) >= 1


def test_imports_and_help_reach_for_no_network(tmp_path):
    code = f"""
import importlib, socket, sys
def refuse(*arguments, **more):
    raise AssertionError("the network was asked for")
for name in ("connect", "connect_ex", "sendto", "bind"):
    setattr(socket.socket, name, refuse)
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
for name in {CORE + LATER}:
    importlib.import_module(name)
    if name == {CORE[-1]!r}:
        heavy = {{"got10k", "pandas", "papermill", "seaborn", "shapely", "yaml", "nbformat", "IPython"}} & set(sys.modules)
        assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "") and list(tmp_path.iterdir()) == []


def test_the_shipped_weights_are_checked(tmp_path, monkeypatch, refused):
    place = tmp_path / "w.safetensors"
    monkeypatch.setattr(weights, "SHIPPED", place)
    refused(weights.shipped, "w.json", "cannot be read")
    place.write_bytes(b"weights")
    write_json(tmp_path / "w.json", {"sha256": sha256(place)})
    assert weights.shipped() == place
    place.write_bytes(b"Weights")
    refused(weights.shipped, place, "get it again")
    write_json(tmp_path / "w.json", {"name": "w"})
    refused(weights.shipped, "w.json", "'sha256'")
    monkeypatch.undo()
    if weights.SHIPPED.is_file():
        assert sha256(weights.SHIPPED) == read_json(weights.SHIPPED.with_suffix(".json"))["sha256"]


def test_a_key_of_published_boxes_stays_in_its_folder(tmp_path, refused):
    (tmp_path / "boxes").mkdir()
    (tmp_path / "secret.txt").write_text("1,2,3,4\n")
    for key in ("../secret", str(tmp_path / "secret")):
        write_json(tmp_path / "all.json", {key: {"name": "clip", "gt_rect": [[1, 2, 3, 4]]}})
        refused(lambda: read_published(tmp_path / "boxes", tmp_path / "all.json"), "all.json", key)
