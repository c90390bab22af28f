"""The paper as data: every number against another place that prints it, every lost cell against every possible place."""

import ast
import itertools
from pathlib import Path

import pytest
import yaml

from scs_siam.reproduction import paper
from scs_siam.runtime.files import BadInput

OURS = ["SCA-Siam", "SSA-Siam", "SCS-Siam"]
ROWS = {
    "table1": 10,
    "table2": 5,
    "table3": 24,
    "table4": 121,
    "table5": 10,
    "table6": 13,
    "table7": 14,
    "table8": 7,
    "table9": 8,
    "table10": 6,
    "figure7": 11,
    "trackers": 39,
    "text": 83,
    "printed": 77,
    "open": 32,
    "inconsistencies": 30,
}


def entries(source):
    return paper.table(source).to_dict("records")


def value(source, row, column):
    """The cell, or None where it is empty."""
    try:
        return paper.cell(source, row, column)
    except BadInput as error:
        assert "is empty" in str(error)
        return None


@pytest.mark.parametrize("source, rows", ROWS.items())
def test_every_file_has_its_rows_each_once(source, rows):
    frame = paper.table(source)
    keys = {
        "table4": ["tracker", "attribute"],
        "printed": ["table", "column", "position"],
        "open": ["table", "column", "row"],
    }
    assert len(frame) == rows and not frame.duplicated(keys.get(source, [frame.columns[0]])).any()


@pytest.mark.parametrize(
    "source, sums",
    {
        2: {
            "sequences": 471,
            "min_frames": 340,
            "mean_frames": 2647,
            "max_frames": 13829,
            "total_frames": 269775,
        },
        3: {"success": 1433.4},
        4: {"precision": 9029.1},
        5: {"precision": 671.6, "success": 491.9, "fps": 654},
        6: {"accuracy": 6.93, "eao": 3.54},
        7: {"accuracy": 6.87, "robustness": 11.19, "eao": 2.99, "fps": 848},
        8: {"precision": 560.1, "success": 416.9},
        9: {"precision": 648.9, "success": 484.7, "fps": 607},
        10: {"precision": 496.8, "success": 369.1},
    }.items(),
)
def test_columns_add_up_to_the_sums_taken_from_the_page(source, sums):
    assert {column: round(sum(paper.numbers(source, column)), 6) for column in sums} == sums


def test_no_file_is_unchecked_or_undocumented():
    files = {path.stem for path in (paper.root() / "data" / "paper").glob("*.csv")}
    readme = (paper.root() / "data" / "paper" / "README.md").read_text(encoding="utf-8")
    assert files == set(ROWS)
    for name in files:
        line = next(line for line in readme.splitlines() if line.startswith(f"| `{name}.csv`"))
        assert [
            column
            for column in paper.table(name).columns
            if column not in line and "as Table" not in line
        ] == []


@pytest.mark.parametrize(
    "column, low, high",
    [
        ("precision", 50, 95),
        ("success", 38, 63),
        ("fps", 1, 200),
        ("accuracy", 0.39, 0.55),
        ("robustness", 0.18, 2.93),
        ("eao", 0.08, 0.37),
    ],
)
def test_a_column_stays_in_its_range_wherever_it_is_printed(column, low, high):
    found = [
        number
        for source in ROWS
        if column in paper.table(source)
        for number in paper.numbers(source, column)
    ]
    assert found and low <= min(found) and max(found) <= high


@pytest.mark.parametrize("side", ["template_side", "search_side"])
def test_table1_sizes_follow_from_its_filters_and_strides(side):
    layers = entries(1)
    for before, after in itertools.pairwise(layers):
        filter_, stride = (
            (after["filter"], after["stride"]) if after["filter"] == after["filter"] else (1, 1)
        )
        assert after[side] == (before[side] - filter_) // stride + 1
        assert after["channels"] == (
            after["channels_out"]
            if after["channels_out"] == after["channels_out"]
            else before["channels"]
        )
        assert (
            after["channels_in"] != after["channels_in"]
            or after["channels_in"] == before["channels"]
        )
    assert paper.cell(1, "Conv6", "search_side") - paper.cell(1, "Conv6", "template_side") + 1 == 17


@pytest.mark.parametrize("name", ["OTB2015", "TC-128", "UAV123", "VOT2016", "VOT2017"])
def test_table2_totals_are_sequences_times_means(name):
    sequences, mean, total = (
        paper.cell(2, name, column) for column in ("sequences", "mean_frames", "total_frames")
    )
    slack = {"TC-128": 4, "VOT2016": 1}.get(name, 0.5)  # I08 and I09
    assert abs(total / sequences - mean) <= slack
    assert paper.cell(2, name, "min_frames") < mean < paper.cell(2, name, "max_frames") < total


@pytest.mark.parametrize("row", [entry["tracker"] for entry in entries("figure7")])
def test_figure7_and_table3_agree_but_for_udt(row):
    assert paper.cell("figure7", row, "precision") == paper.cell(3, row, "precision")
    assert (paper.cell("figure7", row, "success") == paper.cell(3, row, "success")) == (
        row != "UDT"
    )


def test_figure7_is_ranked_by_precision_and_holds_the_eight_peers_of_table4():
    assert paper.numbers("figure7", "precision") == sorted(
        paper.numbers("figure7", "precision"), reverse=True
    )
    assert set(paper.table(4)["tracker"]) == set(paper.figure7()["tracker"])
    assert list(paper.table(4)["attribute"][:11]) == list(paper.ATTRIBUTES)


@pytest.mark.parametrize(
    "one, row, other, same",
    [
        *((3, name, 9, name) for name in [*OURS, "SiameseFC"]),
        (8, "SCS-Siam@0.9", 9, "SCS-Siam"),
        (10, "SCA-Siam", 9, "SCA-Siam"),
        (10, "SSA-Siam", 9, "SSA-Siam"),
        *(("figure7", name, 9, name) for name in OURS),
    ],
)
def test_scores_on_otb2015_agree_between_tables(one, row, other, same):
    for column in ("precision", "success"):
        assert paper.cell(one, row, column) == paper.cell(other, same, column)


@pytest.mark.parametrize("one, other", list(itertools.combinations([3, 5, 7, 9], 2)))
def test_speeds_agree_between_tables(one, other):
    shared = set(paper.table(one)["tracker"]) & set(paper.table(other)["tracker"])
    assert set(OURS) < shared
    for row in shared:
        assert value(one, row, "fps") == value(other, row, "fps")


WORDS = dict(
    zip(
        (
            "single",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
        ),
        itertools.count(1),
    )
) | {
    "second": 2,
    "1.5 million": 1_500_000,
    "10−2": 1e-2,
    "10−5": 1e-5,
    "0.90": 0.9,
    "0.50": 0.5,
    "C/8": 8,
}


@pytest.mark.parametrize("entry", entries("text"), ids=lambda entry: entry["id"])
def test_a_number_of_the_text_stands_in_its_quote(entry):
    if entry["id"] == "T65":
        assert entry["quote"].count(",") + 1 == entry["value"]  # six names, no number
    else:
        spelled = [word for word, number in WORDS.items() if number == entry["value"]]
        assert any(word in entry["quote"] for word in [f"{entry['value']:g}", *spelled])
    assert 0 < len(entry["quote"].split()) <= 25


def test_table8_names_its_sigmas():
    for entry in entries(8):
        assert entry["variant"] == f"SCS-Siam@{entry['sigma_train']}" + (
            "-test" if entry["sigma_test"] < 1 else ""
        )
        assert (
            entry["sigma_test"] in (1, entry["sigma_train"])
            and str(entry["sigma_train"]) in entry["printed_name"]
        )


@pytest.mark.parametrize(
    "fact",
    [
        'said("T40") == cell(9, "SCS-Siam", "fps") == cell(3, "SCS-Siam", "fps")',
        'said("T41") == cell(2, "OTB2015", "sequences") and said("T43") == cell(2, "TC-128", "sequences")',
        'said("T45") == cell(2, "UAV123", "sequences")',
        'said("T42") == said("T44") == said("T57") == said("T64") == filled(4, "attribute") / filled("figure7", "tracker")',
        'said("T49") == said("T61") == filled("figure7", "tracker") - said("T22") == filled("figure7", "tracker") - said("T79")',
        'said("T50") == cell(9, "SCA-Siam", "success") == max(numbers("figure7", "success"))',
        'said("T51") == said("T55") == round(cell(3, "SCA-Siam", "success") - cell(3, "TRACA", "success"), 1)',
        'said("T52") == said("T54") == round(cell(3, "SCA-Siam", "precision") - cell(3, "TRACA", "precision"), 1)',
        'said("T53") == cell(3, "TRACA", "fps") and said("T56") == cell(3, "Kuai et al.", "success")',
        'said("T66") == cell(5, "SCS-Siam", "precision") == max(numbers(5, "precision"))',
        'said("T67") == cell(5, "SSA-Siam", "success") == max(numbers(5, "success"))',
        'said("T68") == cell(5, "KCF", "fps") == max(numbers(5, "fps"))',
        'said("T73") == cell(7, "CSRDCF", "eao") and said("T74") == cell(7, "SATIN", "eao") == max(numbers(7, "eao"))',
        'said("T02") == said("T04") == said("T25") == said("T83") == filled("trackers", "tracker")',
        'said("T01") == said("T05") == said("T23") == said("T82") == filled(2, "benchmark")',
        'said("T32") == cell(1, "Input", "template_side") and said("T33") == cell(1, "Input", "search_side")',
        'said("T07") == said("T30") == said("T77") == cell(8, "SCS-Siam@0.9", "sigma_train")',
        'cell(8, "SCS-Siam@0.9", "success") == max(numbers(8, "success"))',
        'cell(8, "SCS-Siam@0.9", "precision") == max(numbers(8, "precision"))',
        'said("T06") == said("T76") == cell(8, "SCS-Siam@0.0", "sigma_test") and said("T78") == cell(8, "SCS-Siam@0.9-test", "sigma_test")',
        'said("T14") == said("T15") == said("T80") == said("T81")',
        'said("T11") == said("T13") and said("T12") == said("T31") == 1',
        'said("T34") == said("T36")',
    ],
)
def test_text_and_tables_agree(fact):
    assert paper.holds(fact)


def test_the_list_of_section_4_names_the_tables_each_tracker_stands_in():
    for entry in entries("trackers"):
        tables = [
            number for number in (3, 5, 6, 7) if paper.count(number, "tracker", entry["tracker"])
        ]
        assert str(entry["tables"] if tables else "") == " ".join(map(str, tables))
        for number in tables:
            same = paper.cell(number, entry["tracker"], "reference") == entry["reference"]
            assert same == (entry["tracker"] != "DSiam")  # I24


# Lost cells: every way of placing the printed numbers, in order, in the rows, that agrees with the anchors.

ANCHORS = {
    "Figure 7": lambda row, column: paper.cell("figure7", row, column),
    "Table 5": lambda row, column: paper.cell(5, row, column),
    "Table 7": lambda row, column: paper.cell(7, row, column),
    "Section 4.3": lambda row, column: paper.said("T53"),
    "Section 4.5": lambda row, column: None,
}
LOST = [(3, "precision"), (3, "fps"), (6, "robustness")]


def printed(table, column):
    return [
        str(entry["value"])
        for entry in entries("printed")
        if (entry["table"], entry["column"]) == (table, column)
    ]


def number(text):
    return float(text.strip("<"))


def placements(table, column):
    rows, values = list(paper.table(table)["tracker"]), printed(table, column)
    known = {
        entry["tracker"]: ANCHORS[entry[f"{column}_anchor"]](entry["tracker"], column)
        for entry in entries(table)
        if entry[f"{column}_anchor"] in ANCHORS
    }
    present = [*OURS, "CCOT"] if table == 6 else known
    for gaps in itertools.combinations(range(len(rows)), len(rows) - len(values)):
        left = iter(values)
        way = {row: None if place in gaps else next(left) for place, row in enumerate(rows)}
        if all(way[row] for row in present) and all(
            anchor in (None, number(way[row])) for row, anchor in known.items()
        ):
            yield way


@pytest.mark.parametrize("table, column", LOST)
def test_a_cell_is_filled_only_if_every_placement_agrees(table, column):
    ways = list(placements(table, column))
    candidates = {
        entry["row"]: set(entry["candidates"].split("|"))
        for entry in entries("open")
        if (entry["table"], entry["column"]) == (table, column)
    }
    assert len(ways) > 1
    for row in paper.table(table)["tracker"]:
        possible = {way[row] or "lost" for way in ways}
        if row in candidates:
            assert (
                len(possible) > 1
                and value(table, row, column) is None
                and candidates[row] == possible
            )
        else:
            assert [value(table, row, column)] == [number(text) for text in possible]


@pytest.mark.parametrize(
    "table, column, total", [(3, "precision", 1585.1), (3, "fps", 1155.4), (6, "robustness", 8.54)]
)
def test_printed_runs_add_up_to_the_sums_taken_from_the_page(table, column, total):
    assert sum(map(number, printed(table, column))) == pytest.approx(total)


@pytest.mark.parametrize(
    "table, column, rows, values, settled_by_paper, settled",
    [
        (3, "precision", 24, 20, 16, 19),
        (3, "fps", 24, 23, 17, 24),
        (3, "real_time", 24, 23, 17, 24),
        (6, "robustness", 13, 11, 3, 3),
    ],
)
def test_lost_and_settled_cells_are_counted(table, column, rows, values, settled_by_paper, settled):
    frame, cells = paper.table(table), paper.open_cells()
    cells = cells[(cells["table"] == table) & (cells["column"] == column)]
    assert (len(frame), len(printed(table, column)), frame[column].notna().sum()) == (
        rows,
        values,
        settled_by_paper,
    )
    assert (
        settled_by_paper + len(cells) == rows
        and settled_by_paper + cells["reading"].notna().sum() == settled
    )


@pytest.mark.parametrize("column, numbers", [("precision", 18), ("fps", 23), ("real_time", 23)])
def test_readings_fit_one_placement(column, numbers):
    readings = {
        entry["row"]: entry["reading"]
        for entry in entries("open")
        if (entry["table"], entry["column"]) == (3, column) and entry["reading"] == entry["reading"]
    }
    assert (
        paper.filled(3, column) + sum(reading != "lost" for reading in readings.values()) == numbers
    )
    if column != "real_time":
        assert any(
            all((way[row] or "lost") == reading for row, reading in readings.items())
            for way in placements(3, column)
        )


def test_real_time_goes_with_the_speed():
    assert [flag == "Yes" for flag in printed(3, "real_time")] == [
        number(text) >= 30 for text in printed(3, "fps")
    ]
    frame = paper.table(3)
    assert (frame["real_time"].notna() == frame["fps"].notna()).all()
    assert ((frame["real_time"] == "Yes") == (frame["fps"] >= 30)).all()


@pytest.mark.parametrize("entry", entries("inconsistencies"), ids=lambda entry: entry["id"])
def test_each_inconsistency_is_true_of_the_data(entry):
    quote = entry["quote"] if entry["quote"] == entry["quote"] else ""
    assert paper.holds(entry["evidence"], quote)
    assert "(" in entry["evidence"] and len(quote.split()) <= 25
    assert entry["kind"] in ("number", "count", "definition", "reference", "wording")


@pytest.mark.parametrize(
    "evidence",
    [
        '__import__("os").getcwd()',
        "(lambda: 1)()",
        "open('x') == 1",
        "cell.__name__ == 'cell'",
        "[1 for _ in 'a']",
        "1 if 1 else 0",
        'cell(3, "nobody", "fps") > 1',
        'count(3, "nothing", "x") == 1',
        "1 ==",
    ],
)
def test_evidence_is_no_program(evidence):
    with pytest.raises(BadInput) as caught:
        paper.holds(evidence)
    assert "\n" not in str(caught.value)


# Claims

CLAIMS = paper.claims()


def test_claims_are_numbered_short_and_of_every_kind():
    assert [claim.id for claim in CLAIMS] == [
        f"C{place:02d}" for place in range(1, len(CLAIMS) + 1)
    ]
    assert all(0 < len(claim.quote.split()) <= 30 for claim in CLAIMS)
    for key, allowed in paper.ALLOWED.items():
        assert {getattr(claim, key) for claim in CLAIMS} == set(allowed)
    assert {attribute for claim in CLAIMS for attribute in claim.attributes} == set(
        paper.ATTRIBUTES
    )


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_a_claim_refers_to_what_the_paper_prints(claim):
    named = {row for source in (3, 5, 6, 7, 9, 10) for row in paper.table(source)["tracker"]} | set(
        paper.table(8)["variant"]
    )
    assert set(claim.rows) | set(claim.over) <= named and not set(claim.rows) & set(claim.over)
    if claim.kind == "order":
        assert paper.expected(claim) == 1
        for row, attribute in itertools.product(
            (*claim.rows, *claim.over), claim.attributes or (None,)
        ):
            paper.printed(claim, row, attribute)  # raises if the source has no such row or column
    else:
        assert paper.expected(claim) >= 0 and (claim.tolerance > 0 or claim.metric == "lost")


@pytest.mark.parametrize(
    "name, number",
    [
        ("C01", 2.0),
        ("C02", 2.6),
        ("C03", 62.2),
        ("C17", 0),
        ("C18", 73 / 86),
        ("C20", 74.2),
        ("C22", 54.2),
        ("C25", 75.2),
        ("C26", 52.4),
        ("C49", 59 / 73),
    ],
)
def test_expected_numbers(name, number):
    assert paper.expected(next(claim for claim in CLAIMS if claim.id == name)) == pytest.approx(
        number
    )


def test_the_papers_own_numbers_bear_out_its_orders_but_for_three():
    refuted = set()
    for claim in CLAIMS:
        for (better, worse), attribute in itertools.product(
            claim.pairs, claim.attributes or (None,)
        ):
            one, other = (
                paper.printed(claim, better, attribute),
                paper.printed(claim, worse, attribute),
            )
            if None not in (one, other) and not (
                one < other if claim.metric in paper.LOWER_IS_BETTER else one > other
            ):
                refuted.add((claim.id, better, worse))
    assert refuted == {
        ("C07", "SCA-Siam", "Kuai et al."),
        ("C08", "SSA-Siam", "Kuai et al."),
        ("C27", "CCOT", "ECO"),
    }  # I03, I02, I04


def test_pairs_of_a_chain_and_of_a_field():
    chain = next(claim for claim in CLAIMS if claim.id == "C12")
    field = next(claim for claim in CLAIMS if claim.id == "C50")
    assert chain.pairs == (("TRACA", "SCS-Siam"),)
    assert field.pairs == (("SCA-Siam", "SCA-GMP"), ("SCA-Siam", "SCA-GAP"))


GOOD = {
    "id": "C01",
    "quote": "a",
    "where": "b",
    "kind": "value",
    "metric": "success",
    "dataset": "OTB2015",
    "rows": ["SCS-Siam"],
    "expected": {"source": "table9"},
    "notebook": "07",
}


@pytest.mark.parametrize(
    "change, named",
    [
        ({"colour": "red"}, "colour"),
        ({"kind": "guess"}, "kind"),
        ({"metric": "speed"}, "metric"),
        ({"dataset": "LaSOT"}, "dataset"),
        ({"notebook": 7}, "notebook"),
        ({"rows": []}, "rows"),
        ({"rows": "SCS-Siam"}, "rows"),
        ({"rows": ["a", "b"]}, "rows"),
        ({"over": ["a"]}, "rows"),
        ({"kind": "order"}, "rows"),
        ({"kind": "speed"}, "rows"),
        ({"kind": "difference"}, "rows"),
        ({"attributes": ["XX"]}, "attributes"),
        ({"expected": {}}, "expected"),
        ({"expected": {"table": 9}}, "expected"),
        ({"expected": {"text": "T01", "value": 1}}, "expected"),
        ({"expected": {"value": "two"}}, "expected"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": "small"}, "tolerance"),
        ({"quote": ""}, "quote"),
    ],
)
def test_a_wrong_claim_is_refused_by_id_and_key(tmp_path, change, named):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [GOOD]}))
    assert paper.claims(path)[0].rows == ("SCS-Siam",)
    path.write_text(yaml.safe_dump({"claims": [GOOD | change]}))
    with pytest.raises(BadInput, match=f"claim C01: key '{named}'") as caught:
        paper.claims(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "claims: 3",
        "claims: [",
        "claims: [3]",
        "- a",
        "claims: [{quote: a}]",
        yaml.safe_dump({"claims": [GOOD, GOOD]}),
    ],
)
def test_a_file_that_holds_no_claims_is_refused(tmp_path, content):
    path = tmp_path / "claims.yaml"
    path.write_text(content)
    with pytest.raises(BadInput) as caught:
        paper.claims(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source, row, column, named",
    [
        (11, "a", "b", "table11.csv"),
        (3, "nobody", "fps", "nobody"),
        (3, "RNN", "speed", "speed"),
        (3, "RNN", "fps", "is empty"),
        (3, "UDT", "real_time", "is not a number"),
        (4, "UDT", "precision", "11 rows"),
    ],
)
def test_a_cell_that_is_not_there_is_refused(source, row, column, named):
    with pytest.raises(BadInput, match=named):
        paper.cell(source, row, column)


def test_the_module_imports_nothing_heavy():
    tree = ast.parse(Path(paper.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported == {"ast", "csv", "functools", "itertools", "operator"}
