"""The paper as data: what Fiaz, Mahmood and Jung (Sensors 2020, 20(14), 4021) print and claim.

A source is a file of `data/paper/` by its name, such as "figure7", or the number of a table;
`data/paper/README.md` describes every column with its unit.
"""

import ast
import csv
import functools
import itertools
import operator
from dataclasses import dataclass, field, fields
from pathlib import Path

from scs_siam.runtime.files import BadInput, read_text, root

LOWER_IS_BETTER = ("robustness", "lost")
ALLOWED = {
    "kind": ("value", "order", "difference", "speed"),
    "notebook": ("06", "07", "08"),
    "metric": ("success", "precision", "fps", "accuracy", "eao", *LOWER_IS_BETTER),
    "dataset": ("OTB2015", "TC128", "UAV123", "VOT2016", "VOT2017"),
}
ATTRIBUTES = (
    # in the order of Table 4
    "FM",
    "BC",
    "MB",
    "DEF",
    "IV",
    "IPR",
    "LR",
    "OCC",
    "OPR",
    "OV",
    "SV",
)
EXPECTED = ("source", "text", "value")
LISTS = ("rows", "over", "attributes", "sequences")
REQUIRED = ("quote", "where", "kind", "metric", "dataset", "rows", "notebook")


def table(number: int | str):
    """Return table `number` (1 to 10), or another source, as a DataFrame.

    A cell that is not printed or was lost is NaN.
    """
    import pandas

    _rows(_name(number))
    return pandas.read_csv(_path(_name(number)))


def figure7():
    """Return the legend of Figure 7 as a DataFrame: tracker, precision, success (percent)."""
    return table("figure7")


def text():
    """Return every number of the text: id, section, quote, quantity, value, unit."""
    return table("text")


def open_cells():
    """Return the cells that nothing in the paper settles: table, column, row, candidates, ..."""
    return table("open")


def inconsistencies():
    """Return where the paper disagrees with itself: id, kind, place, what, quote, evidence."""
    return table("inconsistencies")


def cell(source, row: str, column: str, attribute: str | None = None) -> float:
    """Return the number that `source` prints in `row` (first column) and `column`.

    Table 4 also needs the attribute. BadInput for a cell that holds no number.
    """
    printed_text = _cell(source, row, column, attribute)
    try:
        return float(printed_text)
    except ValueError:
        state = f"'{printed_text}' is not a number"
        state = state if printed_text else "is empty (not printed, or lost: see open.csv)"
        raise BadInput(f"{_name(source)}.csv: {row}, {column}: {state}") from None


def _cell(source, row, column, attribute):
    rows = _rows(_name(source))
    found = [entry for entry in rows if row == next(iter(entry.values()))]
    found = [entry for entry in found if attribute in (None, entry.get("attribute"))]
    if len(found) != 1:
        name = f"'{row}'{f', {attribute}' if attribute else ''}"
        raise BadInput(f"{_name(source)}.csv: has {len(found)} rows {name}; name exactly one")
    return _column(source, column, found)[0]


def said(identifier: str) -> float:
    """Return the number of the running text with this id of `text.csv`."""
    return cell("text", identifier, "value")


def filled(source, column: str) -> int:
    """Return how many cells of a column are not empty."""
    return sum(printed_text != "" for printed_text in _column(source, column))


def count(source, column: str, value: str) -> int:
    """Return how many cells of a column print exactly this text."""
    return _column(source, column).count(value)


def numbers(source, column: str) -> list[float]:
    """Return the numbers of a column without its empty cells."""
    return [float(printed_text) for printed_text in _column(source, column) if printed_text]


def _column(source, column, entries=None):
    entries = _rows(_name(source)) if entries is None else entries
    if column not in entries[0]:
        known = ", ".join(entries[0])
        raise BadInput(f"{_name(source)}.csv: has no column '{column}'; use one of {known}")
    return [entry[column] for entry in entries]


def holds(evidence: str, quote: str = "") -> bool:
    """Tell whether an expression of `inconsistencies.csv` is true of the data.

    It may compare, add, subtract, multiply, divide and join by `and` numbers and the calls cell,
    said, filled, count, numbers, max, min, round, and times("phrase"), which counts a phrase in
    `quote`. Anything else is BadInput.
    """
    known = (cell, said, filled, count, numbers, max, min, round)
    facts = {function.__name__: function for function in known} | {"times": quote.count}
    try:
        return bool(_evaluate(ast.parse(evidence, mode="eval").body, facts))
    except SyntaxError as error:
        raise BadInput(f"evidence '{evidence}': cannot be read ({error.msg})") from error


_OPERATORS = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul},
    **{ast.Div: operator.truediv, ast.Eq: operator.eq, ast.NotEq: operator.ne},
    **{ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge},
}


def _evaluate(node, facts):
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)):
        return node.value
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return all(_evaluate(value, facts) for value in node.values)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_evaluate(node.left, facts), _evaluate(node.right, facts))
    if isinstance(node, ast.Compare) and all(type(op) in _OPERATORS for op in node.ops):
        sides = [_evaluate(side, facts) for side in (node.left, *node.comparators)]
        return all(
            _OPERATORS[type(op)](*pair) for op, pair in zip(node.ops, itertools.pairwise(sides))
        )
    call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords
    if call and node.func.id in facts:
        return facts[node.func.id](*(_evaluate(argument, facts) for argument in node.args))
    allowed = f"use numbers, comparisons and {', '.join(facts)}"
    raise BadInput(f"evidence: '{ast.unparse(node)}' is not allowed; {allowed}")


@dataclass(frozen=True)
class Claim:
    """One claim of the paper; the top of `data/claims.yaml` describes every field."""

    id: str
    quote: str
    where: str
    kind: str
    metric: str
    dataset: str
    rows: tuple
    notebook: str
    over: tuple = ()
    attributes: tuple = ()
    sequences: tuple = ()
    expected: dict = field(default_factory=dict)
    tolerance: float = 0.0

    @property
    def pairs(self) -> tuple:
        """(better, worse) of every comparison that an order makes."""
        if self.over:
            return tuple(itertools.product(self.rows, self.over))
        return tuple(itertools.pairwise(self.rows)) if self.kind == "order" else ()


def claims(path=None) -> list[Claim]:
    """Return the claims of `data/claims.yaml`, or of another file of that form, in its order."""
    import yaml

    path = Path(path or root() / "data" / "claims.yaml")
    source = read_text(path)
    try:
        content = yaml.safe_load(source)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not isinstance(content.get("claims"), list):
        raise BadInput(f"{path}: holds no list 'claims'; write one entry per claim below that key")
    found = [_claim(entry, number) for number, entry in enumerate(content["claims"], 1)]
    if len({claim.id for claim in found}) < len(found):
        raise BadInput(f"{path}: an id occurs more than once; give each claim its own")
    return found


def _claim(entry, number):
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        raise BadInput(f"claim number {number}: has no key 'id'; give it one such as C01")
    known = [each.name for each in fields(Claim)]
    for key in entry:
        if key not in known:
            raise _wrong(entry, key, f"is unknown; use {', '.join(known)}")
    for key in REQUIRED:
        if not entry.get(key):
            raise _wrong(entry, key, "is missing or empty")
    for key, allowed in ALLOWED.items():
        if entry[key] not in allowed:
            raise _wrong(entry, key, f"has '{entry[key]}'; use one of {', '.join(allowed)}")
    lists = {key: entry.get(key, []) for key in LISTS}
    for key, names in lists.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _wrong(entry, key, "must be a list of names")
    _check_expected(entry)
    values = {**entry, **{key: tuple(names) for key, names in lists.items()}}
    claim = Claim(**{**values, "tolerance": float(entry.get("tolerance", 0.0))})
    rows = 1 if claim.kind == "value" else 2
    fits = bool(claim.pairs)
    if claim.kind != "order":
        fits = not claim.over and len(claim.rows) == rows
    if not fits or set(claim.attributes) - set(ATTRIBUTES):
        problem = f"does not fit kind {claim.kind}; see the top of data/claims.yaml"
        raise _wrong(entry, "attributes" if fits else "rows", problem)
    return claim


def _check_expected(entry):
    tolerance, expects = entry.get("tolerance", 0.0), entry.get("expected", {})
    value = expects.get("value", 0.0) if isinstance(expects, dict) else 0.0
    for key, number in (("tolerance", tolerance), ("expected", value)):
        if not isinstance(number, (int, float)) or not 0 <= number < 1e9:
            raise _wrong(entry, key, f"has '{number}'; a number from 0 to a billion is needed")
    sound = isinstance(expects, dict) and not set(expects) - set(EXPECTED)
    if not sound or (len(expects) != 1 and (expects or entry["kind"] != "order")):
        problem = f"takes exactly one of {', '.join(EXPECTED)}; only an order may go without"
        raise _wrong(entry, "expected", problem)


def _wrong(entry, key, problem):
    return BadInput(f"claim {entry['id']}: key '{key}' {problem}")


def printed(claim: Claim, row: str, attribute: str | None = None) -> float | None:
    """Return the number that the paper prints for one row of a claim, in the metric's unit.

    It is None where the paper prints none or the cell is lost.
    """
    if "value" in claim.expected:
        return float(claim.expected["value"])
    if "text" in claim.expected:
        return said(claim.expected["text"])
    source = claim.expected.get("source")
    if source is None or not _cell(source, row, claim.metric, attribute):
        return None
    return cell(source, row, claim.metric, attribute)


def expected(claim: Claim) -> float:
    """Return what a claim leads one to expect.

    A value's number, first minus second of a difference, first over second of a speed, +1 of an
    order.
    """
    if claim.kind == "order":
        return 1.0
    found = [printed(claim, row) for row in claim.rows]
    if None in found:
        raise _wrong({"id": claim.id}, "expected", "points to a cell that holds no number")
    if claim.kind == "value":
        return found[0]
    return round(found[0] - found[1], 6) if claim.kind == "difference" else found[0] / found[1]


def _name(source):
    return f"table{source}" if isinstance(source, int) else str(source)


@functools.cache
def _rows(name):
    path = _path(name)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = tuple(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise BadInput(f"{path}: cannot be read ({reason}); restore it") from error
    if not rows or any(None in entry or None in entry.values() for entry in rows):
        problem = "has no rows, or a row that does not fit its head"
        raise BadInput(f"{path}: {problem}; restore the file")
    return rows


def _path(name):
    return root() / "data" / "paper" / f"{name}.csv"
