"""The paper as data: what Fiaz, Mahmood and Jung (Sensors 2020, 20(14), 4021) print and claim, read from `data/`.

A source is a file of `data/paper/` by its name, such as "figure7", or the number of a table; `data/paper/README.md` gives every
column with its unit.
"""

import ast
import csv
import functools
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
)  # Table 4's order
EXPECTED = ("source", "text", "value")


def table(number):
    """Table `number` (1 to 10), or another source, as a pandas DataFrame; a cell that is not printed or was lost is NaN."""
    import pandas

    _rows(_name(number))
    return pandas.read_csv(_path(_name(number)))


def figure7():
    """Figure 7's legend as a DataFrame: tracker, precision, success (percent)."""
    return table("figure7")


def text():
    """Every number in the running text as a DataFrame: id, section, quote, quantity, value, unit."""
    return table("text")


def open_cells():
    """The cells that nothing in the paper settles, as a DataFrame: table, column, row, candidates, reading, basis."""
    return table("open")


def inconsistencies():
    """The places where the paper disagrees with itself, as a DataFrame: id, kind, place, what, quote, evidence."""
    return table("inconsistencies")


def cell(source, row, column, attribute=None):
    """The number that `source` prints in `row` (the first column's text) and `column`; Table 4 also needs the attribute."""
    printed_text = _cell(source, row, column, attribute)
    try:
        return float(printed_text)
    except ValueError:
        state = (
            f"'{printed_text}' is no number"
            if printed_text
            else "is empty (not printed, or lost: see open.csv)"
        )
        raise BadInput(f"{_name(source)}.csv: {row}, {column}: {state}") from None


def _cell(source, row, column, attribute):
    found = [
        entry
        for entry in _rows(_name(source))
        if row == next(iter(entry.values())) and attribute in (None, entry.get("attribute"))
    ]
    if len(found) != 1:
        raise BadInput(
            f"{_name(source)}.csv: has {len(found)} rows '{row}'{f', {attribute}' if attribute else ''}; name exactly one"
        )
    return _column(source, column, found)[0]


def said(identifier):
    """The number of the running text with this id of `text.csv`."""
    return cell("text", identifier, "value")


def filled(source, column):
    """How many cells of a column are not empty."""
    return sum(printed_text != "" for printed_text in _column(source, column))


def count(source, column, value):
    """How many cells of a column print exactly this text."""
    return _column(source, column).count(value)


def numbers(source, column):
    """The numbers of a column; empty cells are left out."""
    return [float(printed_text) for printed_text in _column(source, column) if printed_text]


def _column(source, column, entries=None):
    entries = _rows(_name(source)) if entries is None else entries
    if column not in entries[0]:
        raise BadInput(
            f"{_name(source)}.csv: has no column '{column}'; use one of {', '.join(entries[0])}"
        )
    return [entry[column] for entry in entries]


def holds(evidence, quote=""):
    """Whether an expression of `inconsistencies.csv` is true of the data.

    It may compare, add, subtract, multiply, divide and join by `and` numbers and the calls cell, said, filled, count, numbers, max,
    min, round, and times("phrase"), which counts a phrase in `quote`. Anything else is BadInput.
    """
    facts = {f.__name__: f for f in (cell, said, filled, count, numbers, max, min, round)} | {
        "times": quote.count
    }
    try:
        return bool(_evaluate(ast.parse(evidence, mode="eval").body, facts))
    except SyntaxError as error:
        raise BadInput(f"evidence '{evidence}': cannot be read ({error.msg})") from error


_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
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
        return all(_OPERATORS[type(op)](a, b) for op, a, b in zip(node.ops, sides, sides[1:]))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in facts
        and not node.keywords
    ):
        return facts[node.func.id](*(_evaluate(argument, facts) for argument in node.args))
    raise BadInput(
        f"evidence: '{ast.unparse(node)}' is not allowed; use numbers, comparisons and {', '.join(facts)}"
    )


@dataclass(frozen=True)
class Claim:
    """One claim of the paper; `data/claims.yaml` describes every field at its top."""

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
    def pairs(self):
        """(better, worse) for every comparison that an order claim makes."""
        if self.over:
            return tuple((better, worse) for better in self.rows for worse in self.over)
        return tuple(zip(self.rows, self.rows[1:])) if self.kind == "order" else ()


def claims(path=None):
    """The claims of `data/claims.yaml`, or of another file of that form, in its order; BadInput names the claim and the key."""
    import yaml

    path = Path(path or root() / "data" / "claims.yaml")
    text = read_text(path)
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not valid YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not isinstance(content.get("claims"), list):
        raise BadInput(f"{path}: holds no list 'claims'; write one entry a claim below that key")
    found = [_claim(entry, place) for place, entry in enumerate(content["claims"], 1)]
    if len({claim.id: claim for claim in found}) < len(found):
        raise BadInput(f"{path}: an id stands more than once; give each claim its own")
    return found


def _claim(entry, place):
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        raise BadInput(f"claim number {place}: has no key 'id'; give it one such as C01")
    known = [f.name for f in fields(Claim)]
    for key in entry:
        if key not in known:
            raise _wrong(entry, key, f"is unknown; use {', '.join(known)}")
    for key in ("quote", "where", "kind", "metric", "dataset", "rows", "notebook"):
        if not entry.get(key):
            raise _wrong(entry, key, "is missing or empty")
    for key, allowed in ALLOWED.items():
        if entry[key] not in allowed:
            raise _wrong(entry, key, f"has '{entry[key]}'; use one of {', '.join(allowed)}")
    lists = {key: entry.get(key, []) for key in ("rows", "over", "attributes", "sequences")}
    for key, names in lists.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _wrong(entry, key, "must be a list of names")
    tolerance, expects = entry.get("tolerance", 0.0), entry.get("expected", {})
    for key, number in (
        ("tolerance", tolerance),
        ("expected", expects.get("value", 0.0) if isinstance(expects, dict) else 0.0),
    ):
        if not isinstance(number, (int, float)) or not 0 <= number < 1e9:
            raise _wrong(entry, key, f"has '{number}'; a number from 0 to a milliard is needed")
    if (
        not isinstance(expects, dict)
        or set(expects) - set(EXPECTED)
        or (len(expects) != 1 and (expects or entry["kind"] != "order"))
    ):
        raise _wrong(
            entry,
            "expected",
            f"takes exactly one of {', '.join(EXPECTED)}; only an order may go without",
        )
    claim = Claim(
        **{
            **entry,
            **{key: tuple(names) for key, names in lists.items()},
            "tolerance": float(tolerance),
        }
    )
    fits = (
        bool(claim.pairs)
        if claim.kind == "order"
        else not claim.over and len(claim.rows) == (1 if claim.kind == "value" else 2)
    )
    if not fits or set(claim.attributes) - set(ATTRIBUTES):
        raise _wrong(
            entry,
            "attributes" if fits else "rows",
            f"does not fit kind {claim.kind}; see the top of data/claims.yaml",
        )
    return claim


def _wrong(entry, key, problem):
    return BadInput(f"claim {entry['id']}: key '{key}' {problem}")


def printed(claim, row, attribute=None):
    """The number that the paper prints for one row of a claim, in the metric's unit; None where it prints none or the cell is lost."""
    if "value" in claim.expected:
        return float(claim.expected["value"])
    if "text" in claim.expected:
        return said(claim.expected["text"])
    if "source" not in claim.expected or not _cell(
        claim.expected["source"], row, claim.metric, attribute
    ):
        return None
    return cell(claim.expected["source"], row, claim.metric, attribute)


def expected(claim):
    """What a claim says to find: a value's number, first minus second of a difference, first over second of a speed, +1 of an order."""
    if claim.kind == "order":
        return 1.0
    numbers = [printed(claim, row) for row in claim.rows]
    if None in numbers:
        raise _wrong({"id": claim.id}, "expected", "points to a cell that holds no number")
    if claim.kind == "value":
        return numbers[0]
    return (
        round(numbers[0] - numbers[1], 6) if claim.kind == "difference" else numbers[0] / numbers[1]
    )


def _name(source):
    return f"table{source}" if isinstance(source, int) else str(source)


@functools.cache
def _rows(name):
    try:
        with open(_path(name), encoding="utf-8", newline="") as file:
            rows = tuple(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(
            f"{_path(name)}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'}); restore it"
        ) from error
    if not rows or any(None in entry or None in entry.values() for entry in rows):
        raise BadInput(
            f"{_path(name)}: has no rows, or a row that does not fit its head; restore the file"
        )
    return rows


def _path(name):
    return root() / "data" / "paper" / f"{name}.csv"
