"""Claims: a verdict on each claim of the paper (data/claims.yaml), computed from what runs left behind.

An order is settled by intervals of paired differences over seeds and sequences, a number by an interval wholly inside or wholly outside the
tolerance. A wide interval settles nothing, nor does a single training of each row, whose luck no interval holds. Numbers of data that stand
in for the paper's are not held against printed ones, nor is a narrow network that loses against a published tracker.
"""

from html import escape
from pathlib import Path

import numpy as np

from scs_siam.evaluation import statistics
from scs_siam.reproduction import paper, profiles
from scs_siam.reproduction.comparisons import (
    SUPERVISED,
    UNITS,
    basis,
    compare,
    compare_speeds,
    count,
    needs,
    paired,
    ratios,
    scores,
    split,
    spread,
)
from scs_siam.reproduction.results import read_scores, read_supervised
from scs_siam.runtime.files import BadInput, read_json, write_text

VERDICTS = ("reproduced", "not reproduced", "inconclusive", "not comparable", "not attempted")
COLOURS = dict(
    zip(VERDICTS, ("#00664A", "#A63C00", "#6B5500", "#44546A", "#595959"))
)  # white text on each has at least 4.5:1
SETTLED = VERDICTS[:2]
STAYS = "other seeds, if they disagree"
BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-labelledby="t">
<title id="t">{title}</title>
<rect width="{width}" height="20" rx="3" fill="{colour}"/>
<path d="M3 0h{inner}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#333333"/>
<g fill="#FFFFFF" font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="11">
<text x="6" y="14" textLength="{id_width}">{id}</text>
<text x="{start}" y="14" textLength="{verdict_width}">{verdict}</text>
</g>
</svg>
"""
LETTER = 6.6  # pixels that a letter of a monospaced font of 11 pixels is wide


def verdicts(profile):
    """The verdict on every claim from the runs of a profile, as a DataFrame with the columns of `judge`, one line a claim."""
    import pandas

    try:
        results, supervised = read_scores(profile), read_supervised(profile)
    except BadInput:  # no run is finished
        results = supervised = pandas.DataFrame()
    stands_for = profiles.stand_ins(
        dict.fromkeys(
            name for frame in (results, supervised) for name in frame.get("benchmark", ())
        )
    )
    return pandas.DataFrame(
        [judge(claim, results, supervised, speeds(profile), stands_for) for claim in paper.claims()]
    )


def speeds(profile):
    """Speeds of rows, timed in turn in one process: row, ratio (over SiameseFC*), fps, device, a line a round; empty without a record.

    Read from bench-variants.json of the profile, or of `reference`: how fast a network is does not depend on its weights.
    """
    import pandas

    paths = [
        folder / "bench-variants.json"
        for folder in (profile.folder, profiles.get_profile("reference").folder)
    ]
    record = next((read_json(path) for path in paths if path.is_file()), {"variants": {}})
    lines = [
        {
            "row": row,
            "ratio": ratio,
            "fps": found["frames_per_second"],
            "device": f"{record['machine']['device']}, width {record['width']:g}",
        }
        for row, found in record["variants"].items()
        for ratio in found["ratios"]
    ]
    return pandas.DataFrame(lines, columns=["row", "ratio", "fps", "device"])


def summary(profile):
    """How many claims have each verdict in a profile, and which, as a DataFrame verdict, claims, ids."""
    import pandas

    found = verdicts(profile)
    ids = [list(found["id"][found["verdict"] == verdict]) for verdict in VERDICTS]
    return pandas.DataFrame(
        {
            "verdict": VERDICTS,
            "claims": [len(some) for some in ids],
            "ids": [", ".join(some) for some in ids],
        }
    )


def badge(identifier, verdict):
    """A small picture of a claim's verdict as SVG text, with a title for who cannot see it."""
    id_width, verdict_width = (round(LETTER * len(text)) for text in (identifier, verdict))
    start = id_width + 18
    return BADGE.format(
        id=escape(identifier),
        verdict=escape(verdict),
        title=escape(f"Claim {identifier}: {verdict}"),
        colour=COLOURS[verdict],
        id_width=id_width,
        verdict_width=verdict_width,
        start=start,
        inner=start - 9,
        width=start + verdict_width + 6,
    )


def write_badges(profile, folder):
    """Write the badge of every claim, by its verdict in a profile, to `folder`/Cxx.svg."""
    for line in verdicts(profile).itertuples():
        write_text(Path(folder) / f"{line.id}.svg", badge(line.id, line.verdict))


def judge(claim, results, supervised, speeds, stands_for):
    """The verdict on one paper.Claim as a dict: its fields, measured_on, verdict, reason and what_would_change, each a line.

    `results` holds one-pass scores a row, seed, benchmark and sequence (0 to 1, attributes separated by spaces, `lost` 1 where the target
    is lost at the end), `supervised` accuracy and failures of VOT's sequences, `speeds` row, ratio to the speed of SiameseFC* and device,
    a line a round of one process. `stands_for` names the benchmark that stands for a dataset. Any of the frames may be empty.
    """
    parts = split(supervised if claim.metric in SUPERVISED else results)
    places = list(dict.fromkeys([claim.dataset, stands_for.get(claim.dataset, claim.dataset)]))
    if claim.metric in ("eao", "lost"):
        found = {"eao": _eao, "lost": _lost}[claim.metric](claim, parts, places)
    elif claim.metric == "fps":
        found = _speed(claim, speeds) if claim.kind == "speed" else _speed_order(claim, speeds)
    else:
        found = (_order if claim.kind == "order" else _number)(claim, parts, places)
    fields = {
        name: getattr(claim, name) for name in ("id", "quote", "where", "kind", "metric", "dataset")
    }
    return {**fields, **dict(zip(("measured_on", "verdict", "reason", "what_would_change"), found))}


def _order(claim, parts, places):
    """Every pair, for every attribute, on the first benchmark that has data of any."""
    asked = [(pair, attribute) for pair in claim.pairs for attribute in claim.attributes or ("",)]
    found = {
        place: [compare(claim, parts, place, *one, among=len(asked)) for one in asked]
        for place in places
    }
    place = min(
        places,
        key=lambda place: (
            sum(len(one.lacks) for one in found[place])
            if all(one.lacks for one in found[place])
            else -1
        ),
    )
    return _weigh(
        claim, found[place], place, "" if place == claim.dataset else f"the real {claim.dataset}"
    )


def _speed_order(claim, speeds):
    found = [compare_speeds(pair, speeds) for pair in claim.pairs]
    return _weigh(
        claim, found, next((one.basis.partition(" on ")[2] for one in found if one.basis), ""), ""
    )


def _weigh(claim, found, place, real):
    """One clear reversal, clear also among as many comparisons, refutes an order; it takes all of its comparisons to bear it out."""
    outcomes = ("holds", "fails", "open", "unequal", "missing")
    holds, fails, undecided, unequal, missing = (
        [one for one in found if one.outcome == outcome] for outcome in outcomes
    )
    total, names = count(len(found), "comparison"), [name for one in missing for name in one.lacks]
    if len(missing) == len(found):
        return (
            "",
            "not attempted",
            f"None of {total} has data of both rows.",
            needs(claim, names, claim.dataset),
        )
    at_hand, lacking = f"{len(found) - len(missing)} of {total} at hand", needs(claim, names, place)
    if fails:
        clearest = min(fails, key=lambda one: one.gain[2])
        change = "; ".join(filter(None, (real, lacking))) or STAYS
        return (
            place,
            "not reproduced",
            f"{at_hand}, {len(fails)} clearly reversed: {clearest}.",
            change,
        )
    if unequal:
        clearest, change = (
            min(unequal, key=lambda one: one.gain[2]),
            "; ".join(filter(None, ("runs at the paper's width", lacking, real))),
        )
        return (
            place,
            "not comparable",
            (
                f"{at_hand}; in {len(unequal)} a network narrower than the paper's loses to "
                f"published boxes: {clearest}."
            ),
            change,
        )
    if len(holds) == len(found):
        return (
            place,
            "reproduced",
            f"{at_hand}, all hold; the closest is {min(holds, key=lambda one: one.gain[1])}.",
            real or STAYS,
        )
    widest = (
        f"; open is {min(undecided, key=lambda one: np.nan_to_num(one.gain[1], nan=-np.inf))}"
        if undecided
        else ""
    )
    more = "more seeds or sequences" if undecided else ""
    return (
        place,
        "inconclusive",
        f"{at_hand}, {len(holds)} hold{widest}.",
        "; ".join(filter(None, (more, lacking, real))),
    )


def _number(claim, parts, places):
    """A value, or the difference of two rows, against the printed one."""
    found = {
        place: {name: scores(claim, parts, name, place) for name in claim.rows} for place in places
    }
    lacks = {place: [name for name in claim.rows if found[place][name] is None] for place in places}
    place = min(places, key=lambda place: len(lacks[place]))
    if lacks[place]:
        return (
            "",
            "not attempted",
            f"There are no scores of {' and '.join(lacks[place])}.",
            needs(claim, lacks[place], claim.dataset),
        )
    rows = list(found[place].values())
    values = rows[0].values.dropna(axis=1).to_numpy() if claim.kind == "value" else paired(*rows)[0]
    if not values.size:
        return (
            place,
            "not attempted",
            "No seed and sequence has scores of every row.",
            needs(claim, claim.rows, place),
        )
    factor, unit = UNITS[claim.metric]
    unit = "percent" if claim.kind == "value" and unit == "points" else unit
    mean, low, high = statistics.bootstrap_interval(factor * values)
    sign, whole = (
        "" if claim.kind == "value" else "+",
        int(paper.cell(2, claim.dataset.replace("TC128", "TC-128"), "sequences")),
    )
    measured = f"Measured is {spread((mean, low, high), sign)} {unit} ({basis(values)})"
    if place != claim.dataset or values.shape[1] < whole:
        return (
            place,
            "not comparable",
            f"{measured}; the claim is of a number on the {whole} sequences of {claim.dataset}.",
            f"the real {claim.dataset}, all of it",
        )
    bounds = paper.expected(claim) - claim.tolerance, paper.expected(claim) + claim.tolerance
    verdict = _within(*bounds, low, high)
    lies = {
        "reproduced": "inside",
        "not reproduced": "outside",
        "inconclusive": "across an end of",
    }[verdict]
    change = "more seeds, for a narrower interval" if verdict == "inconclusive" else STAYS
    return (
        place,
        verdict,
        f"{measured}, {lies} the printed {bounds[0]:.1f} to {bounds[1]:.1f}.",
        change,
    )


def _within(least, most, low, high):
    """The verdict of an interval on a number that is to lie between `least` and `most`."""
    if least <= low and high <= most:
        return "reproduced"
    return "not reproduced" if high < least or low > most else "inconclusive"


def _lost(claim, parts, places):
    """How many of the named sequences have their target lost at the end (metrics.is_lost); the same video counts on any benchmark."""
    name, change = claim.rows[0], f"raw boxes of {claim.rows[0]} on {', '.join(claim.sequences)}"
    for place in places:
        found = scores(claim, parts, name, place)
        there = [sequence for sequence in claim.sequences if found and sequence in found.values]
        if there:
            break
    else:
        if all(scores(claim, parts, name, place, "success") is None for place in places):
            return "", "not attempted", f"There are no scores of {name}.", change
        return (
            places[-1],
            "not comparable",
            f"No run at hand tells whether {name} lost one of the named sequences.",
            change,
        )
    counts = found.values[there].sum(axis=1)
    least, most = int(counts.min()), int(counts.max())
    verdict, absent = (
        _within(0, paper.expected(claim), least, most),
        [name for name in claim.sequences if name not in there],
    )
    if verdict == "reproduced" and absent:
        verdict = "inconclusive"
    number = f"{least}" if least == most else f"{least} to {most}, by seed,"
    return (
        place,
        verdict,
        f"{name} loses {number} of the {len(there)} named sequences at hand ({count(len(counts), 'seed')}).",
        f"the sequences {', '.join(absent)}" if absent and verdict == "inconclusive" else STAYS,
    )


def _speed(claim, speeds):
    """A ratio of speeds measured in turn in one process; a single round has no interval and counts as it is."""
    found, device = ratios(claim.rows, speeds)
    first, second = claim.rows
    if not len(found):
        return (
            "",
            "not attempted",
            f"{first} and {second} have not been timed in one process.",
            f"a bench of {first} and {second}",
        )
    (mean, low, high), printed = statistics.bootstrap_interval(found), paper.expected(claim)
    return (
        device,
        _within(printed - claim.tolerance, printed + claim.tolerance, low, high),
        f"{first} runs at {mean:.2f} ({low:.2f} to {high:.2f}) of the speed of {second} ({count(len(found), 'round')}); "
        f"printed is {printed:.2f}, tolerance {claim.tolerance:g}.",
        "other hardware or another width",
    )


def _eao(claim, parts, places):
    """EAO is no mean over sequences, and each claim on it is against a tracker that left no records here."""
    lacking = {
        place: {
            name
            for name in (*claim.rows, *claim.over)
            if scores(claim, parts, name, place, "accuracy") is None
        }
        for place in places
    }
    place = next(
        (place for place in places if any(lacking[place].isdisjoint(pair) for pair in claim.pairs)),
        "",
    )
    total = count(len(claim.pairs), "comparison")
    if not place:
        names = [name for name in (*claim.rows, *claim.over) if name in lacking[places[-1]]]
        return (
            "",
            "not attempted",
            f"None of {total} has data of both rows.",
            needs(claim, names, claim.dataset),
        )
    return (
        place,
        "not comparable",
        "Scores a sequence do not hold the fragments of which EAO is the mean.",
        "an interval from records",
    )
