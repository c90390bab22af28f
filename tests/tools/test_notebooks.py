"""Notebooks are run, cleaned, checked and swept; a kernel takes seconds to start, so few do."""

import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from scs_siam.runtime.files import BadInput
from scs_siam.tools import notebooks, sweeps

STORED = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
PARAMETERS = 'profile: str = "read"  # which results\nsigma: float = 0.5  # weight of the background\nseed: int = 0  # first seed'

SIZE_LIMIT = 300_000  # bytes of a stored notebook
ABSOLUTE = re.compile(
    r"""(?:^|[\s"'(=\[,])(/(?:[\w.@+-]+/)+[\w.@+-]+|[A-Za-z]:\\\w[^\s"']*)""", re.M
)
WIDGET = "application/vnd.jupyter.widget-view+json"
PARAMETER = re.compile(r"\w+: [\w\[\], |]+ = \S.*?\s+# \S.*")


def check(path):
    """What keeps a notebook from being stored, one line each; an empty list if nothing does."""
    nb, problems = notebooks.read_notebook(path), []
    if (size := path.stat().st_size) > SIZE_LIMIT:
        problems.append(f"{path.name}: {size} bytes; at most {SIZE_LIMIT} are allowed")
    if not nb.cells or nb.cells[0].cell_type != "markdown":
        problems.append("cell 1: is not markdown; say there what the reader will learn")
    tagged = [cell for cell in nb.cells if "parameters" in notebooks.tags(cell)]
    if len(tagged) != 1:
        problems.append(f"{len(tagged)} cells are tagged parameters, not one")
    lines = [line.strip() for cell in tagged for line in cell.source.splitlines()]
    wrong = [line for line in lines if not PARAMETER.fullmatch(line)]
    problems += [
        f"parameter line '{line}' is not 'name: type = value  # meaning'" for line in wrong
    ]
    code = [(k, cell) for k, cell in enumerate(nb.cells, 1) if cell.cell_type == "code"]
    unordered = [k for count, (k, cell) in enumerate(code, 1) if cell.execution_count != count]
    problems += [f"cell {k}: was not run, or not in order" for k in unordered[:1]]
    for number, cell in enumerate(nb.cells, 1):
        problems += [f"cell {number}: {problem}" for problem in check_cell(cell)]
    return problems


def check_cell(cell):
    outputs = cell.get("outputs", ())
    data = [output.get("data", {}) for output in outputs]
    shown = [cell.source, *(output.get("text", "") for output in outputs)]
    shown += [text for part in data for kind, text in part.items() if kind.startswith("text/")]
    if "injected-parameters" in notebooks.tags(cell) or {"papermill", "execution"} & {
        *cell.metadata
    }:
        yield "is as papermill left it; store the notebook with make notebooks"
    if found := ABSOLUTE.search("\n".join(map(str, shown))):
        yield f"holds the absolute path {found[1]}"
    if cell.cell_type != "code":
        return
    if any(output.output_type == "error" for output in outputs):
        yield "ended with an error"
    if any(WIDGET in part for part in data):
        yield "shows a widget, which is not stored; set interactive = False"
    if magic := re.search(r"^\s*[!%]\S+", cell.source, re.M):
        yield f"uses {magic[0].strip()}; a stored notebook is plain Python"
    if cell.source.rstrip().endswith(";"):
        yield "ends with ';', which does not hide a value from nbval; assign the value instead"


def write(path, *code):
    cells = [
        nbformat.v4.new_markdown_cell("# A notebook"),
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
    ]
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=cells + [nbformat.v4.new_code_cell(source) for source in code]
        ),
        path,
    )
    return path


def stored(path):
    """A notebook that passes: run in order, with one result."""
    nb = nbformat.read(write(path, "sigma"), as_version=4)
    for count, cell in enumerate(nb.cells[1:], 1):
        cell.execution_count = count
    nb.cells[2].outputs = [
        nbformat.v4.new_output("execute_result", {"text/plain": "0.5"}, execution_count=2)
    ]
    nbformat.write(notebooks.clean(nb), path)
    return nb


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_stored_notebook(path):
    assert check(path) == []


def test_refresh_stores_a_clean_notebook(tmp_path):
    path = write(
        tmp_path / "a.ipynb", "from pathlib import Path\nprint(Path.cwd().name)", "sigma + seed"
    )
    notebooks.refresh(path)
    nb = nbformat.read(path, as_version=4)
    assert check(path) == []
    assert nb.cells[2].outputs[0].text.strip() == tmp_path.name  # run in its own folder
    assert nb.cells[3].outputs[0].data["text/plain"] == "0.5"
    assert [cell.execution_count for cell in nb.cells[1:]] == [1, 2, 3]
    text = path.read_text()
    assert not any(word in text for word in ("start_time", "papermill", str(tmp_path)))
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_cell_is_named_and_leaves_nothing(tmp_path):
    path = write(
        tmp_path / "a.ipynb", "1", "raise ValueError('first line\\nsigma is ' + str(sigma))"
    )
    (tmp_path / "out.ipynb").write_text("older")
    with pytest.raises(BadInput, match=r"a\.ipynb, cell 4: ValueError: sigma is 0\.25$"):
        notebooks.run_notebook(path, tmp_path / "out.ipynb", {"sigma": 0.25})
    assert (tmp_path / "out.ipynb").read_text() == "older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ipynb", "out.ipynb"]


def test_sweep_gathers_and_resumes(tmp_path):
    path = write(
        tmp_path / "a.ipynb",
        "import pandas as pd\nfrom scs_siam.tools.sweeps import record",
        "record(pd.DataFrame({'sequence': ['x', 'y'], 'auc': [sigma, seed], 'sigma': 2 * sigma}))",
    )
    for _ in range(2):
        table = sweeps.sweep(path, {"sigma": [0.25]}, [3], jobs=1, out=tmp_path / "sweep")
        made = {
            p.name: p.stat().st_mtime_ns
            for p in (tmp_path / "sweep").iterdir()
            if p.name != "a.csv"
        }
        assert table.to_dict("list") == {
            "sigma": [0.5, 0.5],
            "seed": [3, 3],
            "sequence": ["x", "y"],
            "auc": [0.25, 3.0],
        }
    again = {
        p.name: p.stat().st_mtime_ns for p in (tmp_path / "sweep").iterdir() if p.name != "a.csv"
    }
    assert (
        again == made
        and len(made) == 2
        and all(name.startswith("a-sigma=0.25-seed=3-") for name in made)
    )
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "sweep" / "a.csv"), table)


def test_unknown_parameters_are_refused(tmp_path):
    path = write(tmp_path / "a.ipynb")
    with pytest.raises(
        BadInput, match="no parameter 'sigmas'; choose some of profile, sigma, seed"
    ):
        notebooks.run_notebook(path, tmp_path / "out.ipynb", {"sigmas": 1})
    with pytest.raises(BadInput, match="no parameter 'sigmas'"):
        sweeps.sweep(path, {"sigmas": [1]}, [0], jobs=1, out=tmp_path / "sweep")
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_a_notebook(tmp_path):
    (tmp_path / "a.ipynb").write_text("{}")
    (tmp_path / "b.ipynb").write_text("")
    for name, message in (
        ("a", "is not a notebook"),
        ("b", "is not a notebook"),
        ("c", "cannot be read"),
    ):
        with pytest.raises(BadInput, match=f"{name}.ipynb: {message}"):
            notebooks.run_notebook(tmp_path / f"{name}.ipynb", tmp_path / "out.ipynb")
    with pytest.raises(BadInput, match="no such notebook"):
        notebooks.find_notebook("77")


def test_clean_keeps_outputs_and_numbers_anew(tmp_path):
    nb = stored(tmp_path / "a.ipynb")
    for cell in nb.cells:
        cell.metadata.update(
            papermill={"duration": 1.5}, execution={"iopub.execute_input": "2020-01-01"}
        )
        cell.metadata.setdefault("tags", [])
    nb.cells.insert(
        2,
        nbformat.v4.new_code_cell(
            "sigma = 1", execution_count=2, metadata={"tags": ["injected-parameters"]}
        ),
    )
    nb.cells[3].execution_count = nb.cells[3].outputs[0].execution_count = 3
    nb.metadata = {
        **nb.metadata,
        "papermill": {"input_path": "/home/me/a.ipynb"},
        "widgets": {"state": {}},
    }
    nbformat.write(notebooks.clean(nb), tmp_path / "b.ipynb")
    assert (tmp_path / "b.ipynb").read_text() == (tmp_path / "a.ipynb").read_text()


@pytest.mark.parametrize(
    "change, problem",
    [
        (lambda nb: nb.cells.pop(0), "cell 1: is not markdown"),
        (lambda nb: nb.cells[1].metadata.clear(), "0 cells are tagged"),
        (
            lambda nb: nb.cells[1].update(source="sigma = 0.5  # weight"),
            "parameter line 'sigma = 0.5",
        ),
        (lambda nb: nb.cells[1].update(source="sigma: float = 0.5"), "parameter line"),
        (lambda nb: nb.cells[2].update(execution_count=3), "cell 3: was not run, or not in order"),
        (lambda nb: nb.cells[2].update(execution_count=None, outputs=[]), "cell 3: was not run"),
        (
            lambda nb: nb.cells[2].outputs.append(
                nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
            ),
            "cell 3: ended with",
        ),
        (lambda nb: nb.cells[2].update(source="x = 1\n%time x"), "cell 3: uses %time"),
        (lambda nb: nb.cells[2].update(source="!ls"), "cell 3: uses !ls"),
        (lambda nb: nb.cells[2].update(source="plot(1);"), "cell 3: ends with ';'"),
        (
            lambda nb: nb.cells[0].update(source="see (/home/me/a.png)"),
            "cell 1: holds the absolute path /home/me/a.png",
        ),
        (
            lambda nb: nb.cells[2].outputs[0].data.update({"text/html": "at C:\\Users\\me"}),
            r"absolute path C:\\Users",
        ),
        (lambda nb: nb.cells[2].outputs[0].data.update({WIDGET: {}}), "cell 3: shows a widget"),
        (lambda nb: nb.cells[0].update(source="x" * SIZE_LIMIT), "bytes; at most 300000"),
        (lambda nb: nb.cells[2].metadata.update(papermill={}), "cell 3: is as papermill left it"),
    ],
)
def test_check_finds(tmp_path, change, problem):
    path = tmp_path / "a.ipynb"
    nb = stored(path)
    assert check(path) == []
    change(nb)
    nbformat.write(nb, path)
    found = check(path)
    assert len(found) == 1
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(found[0])


@pytest.mark.parametrize(
    "text",
    [
        "<td>1/2</td> and/or",
        "https://doi.org/10.3390/s20144021 (../data/a.csv)",
        "a / b / c",
        "1/s, /s",
    ],
)
def test_check_lets_pass(text):
    assert not ABSOLUTE.search(text)
