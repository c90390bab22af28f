"""Sweeps: one notebook over a grid of parameters and seeds, each point its own run, all results one tidy table."""

import itertools
import os
import re
from concurrent.futures import as_completed
from pathlib import Path

from scs_siam.runtime.files import BadInput, atomic, digest, locked, sha256, writing
from scs_siam.tools.notebooks import (
    check_parameters,
    find_notebook,
    read_notebook,
    run_notebook,
    workers,
)

RECORD = "SCS_SIAM_RECORD"  # environment variable: the CSV file that `record` writes during a sweep


def record(frame):
    """Hand a DataFrame to the sweep that runs this notebook, if one does; returns it, so that it can end a cell."""
    if not len(frame):
        raise BadInput("the table to record has no line; a point of a sweep must measure something")
    if path := os.environ.get(RECORD):
        named = any(name is not None for name in frame.index.names)
        with atomic(path) as part:
            (frame.reset_index() if named else frame).to_csv(part, index=False)
    return frame


def sweep(notebook, grid, seeds, jobs, out, on_point=None, pool=None):
    """Run a notebook for every point of a grid (dict of parameter -> values) and every seed, `jobs` at a time; one tidy DataFrame.

    A notebook takes part by calling `record(frame)` once with what it measured: during a sweep that writes the frame as CSV beside the
    notebook's copy in `out`, otherwise it does nothing. Both files carry the point's parameters and a hash of them, of the notebook's
    code and of this package's code in their name: a point whose two files are there is not run again, nor by another process that sweeps
    into `out` meanwhile. `out`/<notebook>.csv gathers all points, with a column a parameter before those of the frames. Points go on when
    one fails; BadInput tells at the end. `on_point(done, total)` is called after each point. A `pool`, such as ray_pool.RayPool, takes the
    place of `jobs` local processes.
    """
    notebook, out = find_notebook(notebook), Path(out)
    points = [
        dict(zip([*grid, "seed"], values)) for values in itertools.product(*grid.values(), seeds)
    ]
    if not points or jobs < 1:
        raise BadInput(
            f"{notebook}: a sweep needs at least one value of each parameter, one seed and one job"
        )
    check_parameters(notebook, points[0])
    stems = [out / name for name in _names(notebook, points)]
    with locked(out):
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)  # before Ray's workers look whether they see it
        failures = _run_missing(notebook, points, stems, pool or workers(jobs), on_point)
        if failures:
            raise BadInput(
                f"{len(failures)} of {len(points)} points failed, the others are kept; {failures[0]}"
            )
        return _gather(points, stems, out / f"{notebook.stem}.csv")


def _run_missing(notebook, points, stems, pool, on_point):
    """Run the points that lack a file in a pool; a line for each that fails."""
    todo = [
        pair
        for pair in zip(points, stems)
        if not all(_part(pair[1], suffix).is_file() for suffix in (".ipynb", ".csv"))
    ]
    failures = []
    with pool:
        futures = [pool.submit(_run_point, notebook, point, stem) for point, stem in todo]
        for done, future in enumerate(as_completed(futures), len(points) - len(todo) + 1):
            if isinstance(future.exception(), BadInput):
                failures.append(str(future.exception()))
            else:
                future.result()
            if on_point:
                on_point(done, len(points))
    return failures


def _names(notebook, points):
    code = [cell.source for cell in read_notebook(notebook).cells if cell.cell_type == "code"]
    package = [sha256(path) for path in sorted(Path(__file__).parents[1].rglob("*.py"))]
    for point in points:
        readable = re.sub(
            r"[^\w.=-]+", "_", "-".join(f"{name}={value}" for name, value in point.items())
        )[:80]
        yield f"{notebook.stem}-{readable}-{digest([code, package, point], 8)}"


def _part(stem, suffix):
    return stem.with_name(stem.name + suffix)  # a name holds dots, so with_suffix would cut it


def _run_point(notebook, point, stem):
    os.environ[RECORD] = str(_part(stem, ".csv").resolve())
    os.environ["SCS_FIGURES"] = str(
        _part(stem, "-figures").resolve()
    )  # figures/ shows the committed results only
    run_notebook(notebook, _part(stem, ".ipynb"), point)
    if not _part(stem, ".csv").is_file():
        raise BadInput(f"{notebook}: records no result; call scs_siam.sweeps.record(frame) in it")


def _gather(points, stems, path):
    import pandas as pd

    frames = [pd.read_csv(_part(stem, ".csv")) for stem in stems]
    table = pd.concat(
        [
            frame.assign(**{name: value for name, value in point.items() if name not in frame})[
                [*point, *(name for name in frame if name not in point)]
            ]
            for point, frame in zip(points, frames)
        ]
    )
    with atomic(path) as part:
        table.to_csv(part, index=False)
    return table.reset_index(drop=True)
