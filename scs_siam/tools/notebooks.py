"""Notebooks: run with parameters, keep only what succeeded, store so that strict nbval can check it.

`python -m scs_siam.tools.notebooks FILE ...` runs each notebook with its defaults and stores the result in place (`make notebooks`).
"""

import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path

from scs_siam.reproduction.paper import root
from scs_siam.runtime.files import BadInput, atomic, write_text
from scs_siam.runtime.parallel import Pool, threads_each

SIZE_LIMIT = 300_000  # bytes of a stored notebook
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },  # the own .venv's kernel
    "language_info": {"name": "python"},
}
ABSOLUTE = re.compile(
    r"""(?:^|[\s"'(=\[,])(/(?:[\w.@+-]+/)+[\w.@+-]+|[A-Za-z]:\\\w[^\s"']*)""", re.MULTILINE
)
WIDGET = "application/vnd.jupyter.widget-view+json"
PARAMETER = re.compile(r"\w+: [\w\[\], |]+ = \S.*?\s+# \S.*")


def find_notebook(name):
    """Path of the notebook that a path or a number such as "06" names."""
    path = Path(name)
    numbered = (
        sorted((root() / "notebooks").glob(f"{name}_*.ipynb"))
        if re.fullmatch(r"\d\d", str(name))
        else []
    )
    if not numbered and not path.is_file():
        raise BadInput(
            f"{name}: there is no such notebook; give a path or a number of notebooks/, such as 06"
        )
    return numbered[0] if numbered else path


def read_notebook(path):
    """A notebook as nbformat's node, version 4; BadInput names a missing or damaged file."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        nbformat.ValidationError,
    ):
        raise BadInput(f"{path}: is not a notebook; replace or remove it") from None


def check_parameters(path, parameters):
    """BadInput if a name in `parameters` is not one that the cell tagged parameters assigns; papermill would only warn."""
    import papermill

    nb = read_notebook(path)
    nb.metadata = dict(METADATA)
    known = papermill.inspect_notebook(nb)
    for name in parameters:
        if name not in known:
            raise BadInput(
                f"{path}: there is no parameter '{name}'; choose some of {', '.join(known) or 'none'}"
            )


def run_notebook(path, out, parameters=None):
    """Run a notebook in its own folder with some parameters changed, write the result to `out` and return it.

    BadInput on an unknown parameter and on a failing cell (its number in `path`, from 1); `out` is then as it was.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    path, parameters = Path(path), dict(parameters or {})
    check_parameters(path, parameters)
    with atomic(Path(out).resolve()) as part, _figures_of(parameters.get("profile", "read")):
        try:
            return papermill.execute_notebook(
                path.resolve(),
                part,
                parameters,
                cwd=path.resolve().parent,
                progress_bar=False,
                kernel_name="python3",
                language="python",
                start_timeout=120,
                coalesce_streams=True,
                extra_arguments=["--log-level=40"],
            )  # a kernel warns that its port is not encrypted
        except papermill.PapermillExecutionError as error:
            number = _source_number(read_notebook(path), error.cell_index, parameters)
            last = (error.evalue.strip().splitlines() or [""])[-1]
            raise BadInput(f"{path}, cell {number}: {error.ename}: {last}") from None
        except DeadKernelError:
            raise BadInput(
                f"{path}: its kernel died, perhaps for want of memory; choose a smaller profile"
            ) from None


@contextlib.contextmanager
def _figures_of(profile):
    """Keep figures/ for what the committed results show: a notebook of another profile writes to figures/<profile>/."""
    ours = profile != "read" and "SCS_FIGURES" not in os.environ
    if ours:
        os.environ["SCS_FIGURES"] = str(root() / "figures" / profile)
    try:
        yield
    finally:
        if ours:
            del os.environ["SCS_FIGURES"]


def _source_number(nb, index, parameters):
    """Number (from 1) in the source of the cell that papermill's copy holds at `index`: a cell is injected after the parameters."""
    tagged = [number for number, cell in enumerate(nb.cells) if "parameters" in _tags(cell)]
    return index + 1 - bool(parameters and tagged and index > tagged[0])


def clean(nb):
    """Remove what differs from machine to machine and run to run: injected cell, times, paths, widget state. Changes and returns `nb`.

    Outputs and execution counts stay, since strict nbval compares nothing without them.
    """
    nb.cells = [cell for cell in nb.cells if "injected-parameters" not in _tags(cell)]
    for cell in nb.cells:
        cell.metadata = {"tags": _tags(cell)} if _tags(cell) else {}
    for count, cell in enumerate(
        (cell for cell in nb.cells if cell.cell_type == "code" and cell.execution_count), 1
    ):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    nb.metadata = dict(METADATA)
    return nb


def refresh(path):
    """Run a notebook with its defaults and put the cleaned result in its place; a failure leaves the file as it was."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        nb = run_notebook(path, Path(folder) / Path(path).name)
    write_text(path, nbformat.writes(nbformat.from_dict(clean(nb))) + "\n")


def workers(jobs):
    """A pool of `jobs` processes that run notebooks and share the cores."""
    return Pool(jobs, _share_cores, jobs)


def _share_cores(jobs):
    os.environ.setdefault("OMP_NUM_THREADS", str(threads_each(jobs)))  # kernels inherit it


def run_all(profile, jobs=2):
    """Run every notebook with one profile, `jobs` side by side, into build/notebooks/<profile>/; BadInput at the first that fails."""
    paths = sorted((root() / "notebooks").glob("*.ipynb"))
    outs = [root() / "build" / "notebooks" / profile / path.name for path in paths]
    with workers(jobs) as pool:
        for out, _ in zip(
            outs, pool.map(run_notebook, paths, outs, [{"profile": profile}] * len(paths))
        ):
            print(out.relative_to(root()), flush=True)


def check(path):
    """What keeps a notebook from being stored, one line each; an empty list if nothing does."""
    path, nb = Path(path), read_notebook(path)
    problems = []
    if path.stat().st_size > SIZE_LIMIT:
        problems.append(
            f"{path.name}: {path.stat().st_size} bytes; at most {SIZE_LIMIT} are allowed"
        )
    if not nb.cells or nb.cells[0].cell_type != "markdown":
        problems.append(f"{path.name}, cell 1: is not markdown; say there what the reader gets")
    tagged = [cell for cell in nb.cells if "parameters" in _tags(cell)]
    if len(tagged) != 1:
        problems.append(f"{path.name}: {len(tagged)} cells are tagged parameters, not one")
    problems += [
        f"{path.name}: parameter line '{line}' is not 'name: type = value  # meaning'"
        for cell in tagged
        for line in cell.source.splitlines()
        if not PARAMETER.fullmatch(line.strip())
    ]
    counts = [
        (number, cell.execution_count)
        for number, cell in enumerate(nb.cells, 1)
        if cell.cell_type == "code"
    ]
    problems += [
        f"{path.name}, cell {number}: was not run, or not in order"
        for expected, (number, count) in enumerate(counts, 1)
        if count != expected
    ][:1]
    for number, cell in enumerate(nb.cells, 1):
        problems += [f"{path.name}, cell {number}: {problem}" for problem in _check_cell(cell)]
    return problems


def _check_cell(cell):
    if "injected-parameters" in _tags(cell) or {"papermill", "execution"} & set(cell.metadata):
        yield "is as papermill left it; store the notebook with make notebooks"
    if found := ABSOLUTE.search("\n".join(_texts(cell))):
        yield f"holds the absolute path {found[1]}"
    if cell.cell_type != "code":
        return
    if any(output.output_type == "error" for output in cell.outputs):
        yield "ended with an error"
    if any(WIDGET in output.get("data", {}) for output in cell.outputs):
        yield "shows a widget, which is not stored; set interactive = False"
    if magic := re.search(r"^\s*[!%]\S+", cell.source, re.MULTILINE):
        yield f"uses {magic[0].strip()}; a stored notebook is plain Python"
    if cell.source.rstrip().endswith(";"):
        yield "ends with ';', which does not hide a value from nbval; assign the value instead"


def _texts(cell):
    """The texts of a cell that a reader sees: source, streams, text and HTML."""
    yield cell.source
    for output in cell.get("outputs", ()):
        yield output.get("text", "")
        yield from (
            text
            for kind, text in output.get("data", {}).items()
            if kind.startswith("text/") and isinstance(text, str)
        )


def _tags(cell):
    return list(cell.metadata.get("tags", ()))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        try:
            refresh(argument)
        except BadInput as error:
            sys.exit(str(error))
        print(f"{argument}: stored", flush=True)
