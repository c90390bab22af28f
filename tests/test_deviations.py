"""DEVIATIONS.md says what the code does: numbers, switches and values of both presets."""

import re
from pathlib import Path

import pytest

from scs_siam.config import PRESETS, Config

ROOT = Path(__file__).resolve().parent.parent
NUMBER = re.compile(r"\bD(\d+)\b")


def lines():
    """(number, question, paper, released, switch, module) of each line of the table."""
    rows = [
        line
        for line in (ROOT / "DEVIATIONS.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| D")
    ]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


def switches_by_number():
    return {number: quoted(switch) for number, *_, switch, _ in lines()}


def test_numbers_run_on():
    assert [line[0] for line in lines()] == [f"D{n}" for n in range(1, len(lines()) + 1)]
    assert len(lines()) >= 30 and all(len(line) == 6 for line in lines())


def test_every_number_in_the_code_has_a_line():
    cited = {
        number
        for path in (ROOT / "scs_siam").glob("*.py")
        for number in NUMBER.findall(path.read_text(encoding="utf-8"))
    }
    assert {f"D{number}" for number in cited} <= {line[0] for line in lines()}


@pytest.mark.parametrize("line", lines(), ids=lambda line: line[0])
def test_a_line_shows_the_values_of_both_presets(line):
    _, _, paper, released, switch, _ = line
    names = quoted(switch)
    assert names or switch == "none: fact"
    for cell, preset in ((paper, "paper"), (released, "released")):
        config = Config.preset(preset)
        values = [
            getattr(getattr(config, part), field)
            for part, field in (name.split(".") for name in names)
        ]
        assert quoted(cell) == list(map(str, values))


@pytest.mark.parametrize("line", lines(), ids=lambda line: line[0])
def test_a_module_cites_the_number_or_reads_the_switch(line):
    number, *_, switch, module = line
    fields = [name.split(".")[1] for name in quoted(switch)]
    for name in module.split(", ") if module != "none" else ():
        text = (ROOT / "scs_siam" / f"{name}.py").read_text(encoding="utf-8")
        assert any(re.search(rf"\b{word}\b", text) for word in (number, *fields))


def test_every_switch_between_the_presets_has_a_line():
    named = {name for names in switches_by_number().values() for name in names}
    assert set(PRESETS["released"]) | set(PRESETS["paper"]) <= named


def test_numbers_in_the_config_and_in_the_table_agree():
    """A field whose comment names a number is a switch of that line, or of one of those lines."""
    part, table = None, switches_by_number()
    for text in (ROOT / "scs_siam" / "config.py").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"class (\w+?)Config:", text):
            part = found[1].lower()
        if (found := re.match(r"    (\w+): .* = .*#(.*)", text)) and (
            numbers := NUMBER.findall(found[2])
        ):
            assert any(f"{part}.{found[1]}" in table[f"D{number}"] for number in numbers), text
