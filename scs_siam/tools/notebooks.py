"""Run notebooks with papermill, keep only what succeeded, and store them for strict nbval.

`python -m scs_siam.tools.notebooks FILE ...` runs each notebook with its default parameters and
stores the executed copy in its place (`make notebooks`).
"""

import contextlib
import os
import re
import sys
import tempfile
from pathlib import Path

from scs_siam.runtime.files import BadInput, atomic, root, write_text
from scs_siam.runtime.parallel import Pool, threads_each

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python"}}


def find_notebook(name: str | Path) -> Path:
    """Return the notebook that a path or a number such as "06" names; BadInput if there is none."""
    numbered = re.fullmatch(r"\d\d", str(name)) is not None
    if numbered and (found := sorted((root() / "notebooks").glob(f"{name}_*.ipynb"))):
        return found[0]
    if not Path(name).is_file():
        raise BadInput(f"{name}: no such notebook; give a path or a number such as 06")
    return Path(name)


def read_notebook(path: str | Path):
    """Read a notebook as an nbformat node (version 4); BadInput names a missing or damaged file."""
    import nbformat

    damage = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    except (*damage, nbformat.ValidationError):
        raise BadInput(f"{path}: is not a notebook; replace or remove it") from None


def check_parameters(path: str | Path, parameters: dict) -> None:
    """Raise BadInput for a parameter that the notebook does not have; papermill would only warn."""
    import papermill

    nb = read_notebook(path)
    nb.metadata = dict(METADATA)
    known = papermill.inspect_notebook(nb)
    for name in parameters:
        if name not in known:
            choices = ", ".join(known) or "none"
            raise BadInput(f"{path}: there is no parameter '{name}'; choose some of {choices}")


def run_notebook(path: str | Path, out: str | Path, parameters: dict | None = None):
    """Run a notebook in its own folder, write the executed copy to `out` and return it.

    `parameters` replace the defaults. An unknown parameter or a failing cell, which is named by its
    number in `path` (from 1), raises BadInput and leaves `out` as it was.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    path, parameters = Path(path), dict(parameters or {})
    check_parameters(path, parameters)
    kernel = {"kernel_name": "python3", "language": "python", "start_timeout": 120}
    options = {"progress_bar": False, "coalesce_streams": True, "cwd": path.resolve().parent}
    quiet = {"extra_arguments": ["--log-level=40"]}  # a kernel warns that its port is not encrypted
    with atomic(Path(out).resolve()) as part, _figures_folder(parameters.get("profile", "read")):
        options.update(kernel, **quiet)
        try:
            return papermill.execute_notebook(path.resolve(), part, parameters, **options)
        except papermill.PapermillExecutionError as error:
            number = _cell_number(path, error.cell_index, parameters)
            last = (error.evalue.strip().splitlines() or [""])[-1]
            raise BadInput(f"{path}, cell {number}: {error.ename}: {last}") from None
        except DeadKernelError:
            reason = "its kernel died, perhaps because memory ran out; choose a smaller profile"
            raise BadInput(f"{path}: {reason}") from None


@contextlib.contextmanager
def _figures_folder(profile):
    """Let a notebook of any profile but "read" write to figures/<profile>/, not over figures/."""
    ours = profile != "read" and "SCS_FIGURES" not in os.environ
    if ours:
        os.environ["SCS_FIGURES"] = str(root() / "figures" / profile)
    try:
        yield
    finally:
        if ours:
            del os.environ["SCS_FIGURES"]


def _cell_number(path, index, parameters):
    """Number (from 1) in `path` of cell `index` of papermill's copy, which has an injected cell."""
    cells = read_notebook(path).cells
    tagged = [number for number, cell in enumerate(cells) if "parameters" in tags(cell)]
    return index + 1 - bool(parameters and tagged and index > tagged[0])


def clean(nb):
    """Remove injected cells, times, paths and widget state from `nb`, number its cells, return it.

    Outputs and execution counts stay, because strict nbval compares nothing without them.
    """
    nb.cells = [cell for cell in nb.cells if "injected-parameters" not in tags(cell)]
    for cell in nb.cells:
        cell.metadata = {"tags": tags(cell)} if tags(cell) else {}
    executed = [cell for cell in nb.cells if cell.cell_type == "code" and cell.execution_count]
    for count, cell in enumerate(executed, 1):
        cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    nb.metadata = dict(METADATA)
    return nb


def tags(cell) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", ()))


def refresh(path: str | Path) -> None:
    """Run a notebook with its defaults and store the result; a failure changes nothing."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        nb = run_notebook(path, Path(folder) / Path(path).name)
    write_text(path, nbformat.writes(nbformat.from_dict(clean(nb))) + "\n")


def pool(jobs: int) -> Pool:
    """Return a pool of `jobs` processes that run notebooks and share the cores."""
    return Pool(jobs, _share_cores, jobs)


def _share_cores(jobs):
    os.environ.setdefault("OMP_NUM_THREADS", str(threads_each(jobs)))  # kernels inherit it


def run_all(profile: str, jobs: int = 2) -> None:
    """Run every notebook with a profile, `jobs` at a time, into build/notebooks/<profile>/.

    BadInput reports the first notebook that fails.
    """
    paths = sorted((root() / "notebooks").glob("*.ipynb"))
    outs = [root() / "build" / "notebooks" / profile / path.name for path in paths]
    parameters = [{"profile": profile}] * len(paths)
    with pool(jobs) as workers:
        for out, _ in zip(outs, workers.map(run_notebook, paths, outs, parameters)):
            print(out.relative_to(root()), flush=True)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        try:
            refresh(argument)
        except BadInput as error:
            sys.exit(str(error))
        print(f"{argument}: stored", flush=True)
