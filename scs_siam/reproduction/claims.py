"""Claims: a verdict on each claim of the paper (data/claims.yaml), computed from finished runs.

An order is decided by intervals of paired differences over seeds and sequences, a number by an
interval that lies wholly inside or wholly outside the tolerance. A wide interval decides nothing,
and neither does a single training of each row, whose luck no interval contains. Numbers measured on
other data than the paper's are not compared with printed ones. Not comparable are also a network
narrower than the paper's that loses against a published tracker, an order on synthetic clips, and
speeds on another kind of device than the paper's GPU. `could_show` is the smallest true difference
that would have been found with a probability of 80 %.
"""

from html import escape
from pathlib import Path

import numpy as np

from scs_siam.evaluation.statistics import bootstrap_interval, detectable_difference
from scs_siam.reproduction import paper, profiles
from scs_siam.reproduction.comparisons import (
    SUPERVISED,
    UNITS,
    basis,
    compare,
    compare_speeds,
    count,
    median_and_range,
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
# White text on each of these colours has a contrast of at least 4.5:1.
COLOURS = dict(zip(VERDICTS, ("#00664A", "#A63C00", "#6B5500", "#44546A", "#595959")))
SETTLED = VERDICTS[:2]
STAYS = "other seeds, if they disagree"
OTHER_DEVICE = "the paper's speeds are those of a GPU in single precision"
FIELDS = ("id", "quote", "where", "kind", "metric", "dataset")
FOUND = ("measured_on", "verdict", "reason", "what_would_change", "could_show")
SPEEDS = ("row", "ratio", "fps", "device", "kind")
BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-labelledby="t">
<title id="t">{title}</title>
<rect width="{width}" height="20" rx="3" fill="{colour}"/>
<path d="M3 0h{inner}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#333333"/>
<g fill="#FFFFFF" font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="11">
<text x="6" y="14" textLength="{id_width}">{id}</text>
<text x="{start}" y="14" textLength="{verdict_width}">{verdict}</text>
</g>
</svg>
"""  # noqa: E501
LETTER = 6.6  # pixels of a letter in a monospaced font of 11 pixels


def verdicts(profile: profiles.Profile):
    """Return the verdict on every claim from the runs of a profile, a DataFrame line per claim."""
    import pandas

    try:
        results, supervised = read_scores(profile), read_supervised(profile)
    except BadInput:  # no run is finished
        results = supervised = pandas.DataFrame()
    frames, timed = (results, supervised), speeds(profile)
    names = dict.fromkeys(name for frame in frames for name in frame.get("benchmark", ()))
    stands_for = profiles.stand_ins(names)
    judged = [judge(claim, *frames, timed, stands_for) for claim in paper.claims()]
    return pandas.DataFrame(judged)


def speeds(profile: profiles.Profile):
    """Return speeds of rows that were timed in turn in one process, a line per row and round.

    They come from bench-variants*.json of the profile, or of `reference`, since the speed of a
    network does not depend on its weights; networks of another width are left out.
    """
    import pandas

    folders = profile.folder, profiles.get_profile("reference").folder
    paths = [path for folder in folders for path in sorted(folder.glob("bench-variants*.json"))]
    same = (each for each in map(read_json, paths) if each["width"] == profile.width)
    record = next(same, {"variants": {}})
    lines = []
    for row, found in record["variants"].items():
        device = f"{record['machine']['device']}, width {record['width']:g}"
        fps = found["frames_per_second"]
        kind = record["machine"]["kind"]
        lines += [(row, ratio, fps, device, kind) for ratio in found["ratios"]]
    return pandas.DataFrame(lines, columns=SPEEDS)


def summary(profile: profiles.Profile):
    """Return how many claims have each verdict, and which, as a DataFrame."""
    import pandas

    found = verdicts(profile)
    ids = [list(found["id"][found["verdict"] == verdict]) for verdict in VERDICTS]
    lines = [(v, len(some), ", ".join(some)) for v, some in zip(VERDICTS, ids)]
    return pandas.DataFrame(lines, columns=["verdict", "claims", "ids"])


def badge(identifier: str, verdict: str) -> str:
    """Return a badge of a claim's verdict as SVG text with a title for screen readers."""
    id_width, verdict_width = (round(LETTER * len(text)) for text in (identifier, verdict))
    start, title = id_width + 18, escape(f"Claim {identifier}: {verdict}")
    texts = {"id": escape(identifier), "verdict": escape(verdict), "title": title}
    sizes = {"id_width": id_width, "verdict_width": verdict_width, "start": start}
    sizes |= {"inner": start - 9, "width": start + verdict_width + 6}
    return BADGE.format(colour=COLOURS[verdict], **texts, **sizes)


def write_badges(profile: profiles.Profile, folder) -> None:
    """Write the badge of every claim, by its verdict in a profile, to `folder`/Cxx.svg."""
    for line in verdicts(profile).itertuples():
        write_text(Path(folder) / f"{line.id}.svg", badge(line.id, line.verdict))


def judge(claim: paper.Claim, results, supervised, speeds, stands_for: dict) -> dict:
    """Return the verdict on one claim: its fields and those of FOUND.

    `results` holds one-pass scores per row, seed, benchmark and sequence (0 to 1, attributes
    separated by blanks, `lost` 1 where the target is lost at the end); `supervised` holds accuracy
    and failures of VOT's sequences; `speeds` is what `speeds` returns. `stands_for` names the
    benchmark that stands in for a data set. Any of the frames may be empty.
    """
    parts = split(supervised if claim.metric in SUPERVISED else results)
    stand_in = stands_for.get(claim.dataset, claim.dataset)
    benchmarks = list(dict.fromkeys([claim.dataset, stand_in]))
    if claim.metric in ("eao", "lost"):
        found = {"eao": _eao, "lost": _lost}[claim.metric](claim, parts, benchmarks)
    elif claim.metric == "fps":
        found = _speed(claim, speeds) if claim.kind == "speed" else _speed_order(claim, speeds)
    else:
        found = (_order if claim.kind == "order" else _number)(claim, parts, benchmarks)
    fields = {name: getattr(claim, name) for name in FIELDS}
    return {**fields, **dict.fromkeys(FOUND, ""), **dict(zip(FOUND, found))}


def _join(*parts):
    return "; ".join(filter(None, parts))


def _order(claim, parts, benchmarks):
    """Every pair, for every attribute, on the first benchmark that has data for any of them."""
    asked = [(pair, attribute) for pair in claim.pairs for attribute in claim.attributes or ("",)]
    found = {}
    for name in benchmarks:
        found[name] = [compare(claim, parts, name, *one, among=len(asked)) for one in asked]

    def lacking(name):
        missing = [len(one.lacks) for one in found[name]]
        return sum(missing) if all(missing) else -1

    benchmark = min(benchmarks, key=lacking)
    real = "" if benchmark == claim.dataset else f"the real {claim.dataset}"
    judged = _weigh(claim, found[benchmark], benchmark, real)
    if benchmark.startswith("Syn"):
        judged = _unlike(judged, f"synthetic clips say nothing of {claim.dataset}", real)
    return *judged, _could_show(found[benchmark])


def _unlike(judged, why, change):
    """The verdict "not comparable" with its reason in place of any that was measured."""
    place, verdict, reason, _ = judged
    if verdict == "not attempted":
        return judged
    return place, "not comparable", f"{reason.rstrip('.')}; {why}.", change


def _could_show(found):
    """In words the smallest difference that every comparison could have shown."""
    if any(np.isnan(one.detectable) for one in found):
        return ""
    hardest = max(found, key=lambda one: one.detectable)
    return f"{hardest.detectable:.1f} {hardest.unit}"


def _speed_order(claim, speeds):
    found = [compare_speeds(pair, speeds) for pair in claim.pairs]
    device = next((one.basis.partition(" on ")[2] for one in found if one.basis), "")
    judged = _weigh(claim, found, device, "")
    return judged if _on_gpu(speeds) else _unlike(judged, OTHER_DEVICE, "times on a GPU")


def _on_gpu(speeds):
    return len(speeds) > 0 and set(speeds["kind"]) == {"cuda"}


def _weigh(claim, found, benchmark, real):
    """One clear reversal refutes an order; only all of its comparisons together confirm it."""
    kinds = ("holds", "fails", "open", "unequal", "missing")
    by = {kind: [one for one in found if one.outcome == kind] for kind in kinds}
    total, names = count(len(found), "comparison"), [x for one in by["missing"] for x in one.lacks]
    if len(by["missing"]) == len(found):
        reason = f"None of {total} has data of both rows."
        return "", "not attempted", reason, needs(claim, names, claim.dataset)
    lacking = needs(claim, names, benchmark)
    at_hand = f"{len(found) - len(by['missing'])} of {total} at hand"
    if by["fails"]:
        clearest = min(by["fails"], key=lambda one: one.gain[2])
        reason = f"{at_hand}, {len(by['fails'])} clearly reversed: {clearest}."
        return benchmark, "not reproduced", reason, _join(real, lacking) or STAYS
    if by["unequal"]:
        clearest = min(by["unequal"], key=lambda one: one.gain[2])
        loses = "a network narrower than the paper's loses to published boxes"
        reason = f"{at_hand}; in {len(by['unequal'])} {loses}: {clearest}."
        change = _join("runs at the paper's width", lacking, real)
        return benchmark, "not comparable", reason, change
    if len(by["holds"]) == len(found):
        closest = min(by["holds"], key=lambda one: one.gain[1])
        reason = f"{at_hand}, all hold; the closest is {closest}."
        return benchmark, "reproduced", reason, real or STAYS
    widest, more = "", ""
    if by["open"]:
        lowest = min(by["open"], key=lambda one: np.nan_to_num(one.gain[1], nan=-np.inf))
        widest, more = f"; open is {lowest}", "more seeds or sequences"
    reason = f"{at_hand}, {len(by['holds'])} hold{widest}."
    return benchmark, "inconclusive", reason, _join(more, lacking, real)


def _number(claim, parts, benchmarks):
    """A value, or the difference of two rows, against the printed one."""
    found = {b: {row: scores(claim, parts, row, b) for row in claim.rows} for b in benchmarks}
    lacks = {b: [row for row in claim.rows if found[b][row] is None] for b in benchmarks}
    benchmark = min(benchmarks, key=lambda name: len(lacks[name]))
    if lacks[benchmark]:
        reason = f"There are no scores of {' and '.join(lacks[benchmark])}."
        return "", "not attempted", reason, needs(claim, lacks[benchmark], claim.dataset)
    rows, value = list(found[benchmark].values()), claim.kind == "value"
    values = rows[0].values.dropna(axis=1) if value else paired(*rows)[0]
    targets, values = values.columns, values.to_numpy()
    if not values.size:
        reason = "No seed and sequence has scores of every row."
        return benchmark, "not attempted", reason, needs(claim, claim.rows, benchmark)
    factor, unit = UNITS[claim.metric]
    unit = "percent" if value and unit == "points" else unit
    mean, low, high = bootstrap_interval(factor * values, targets=targets)
    shows = not value and len(values) > 1
    shown = detectable_difference(factor * values, targets=targets) if shows else None
    could_show = f"{shown:.1f} {unit}" if shows else ""
    whole = int(paper.cell(2, claim.dataset.replace("TC128", "TC-128"), "sequences"))
    interval = spread((mean, low, high), "" if value else "+")
    measured = f"Measured is {interval} {unit} ({basis(values)})"
    if benchmark != claim.dataset or values.shape[1] < whole:
        about = f"the claim is about a number on the {whole} sequences of {claim.dataset}"
        change = f"the real {claim.dataset}, all of it"
        return benchmark, "not comparable", f"{measured}; {about}.", change, could_show
    printed = paper.expected(claim)
    bounds = printed - claim.tolerance, printed + claim.tolerance
    verdict = _within(*bounds, low, high)
    lies = {"reproduced": "inside", "not reproduced": "outside"}.get(verdict, "across an end of")
    change = "more seeds, for a narrower interval" if verdict == "inconclusive" else STAYS
    reason = f"{measured}, {lies} the printed {bounds[0]:.1f} to {bounds[1]:.1f}."
    return benchmark, verdict, reason, change, could_show


def _within(least, most, low, high):
    """The verdict of an interval on a number that should lie between `least` and `most`."""
    if least <= low and high <= most:
        return "reproduced"
    return "not reproduced" if high < least or low > most else "inconclusive"


def _lost(claim, parts, benchmarks):
    """How many of the named sequences lose their target (metrics.is_lost), on any benchmark."""
    name, change = claim.rows[0], f"raw boxes of {claim.rows[0]} on {', '.join(claim.sequences)}"
    for benchmark in benchmarks:
        found = scores(claim, parts, name, benchmark)
        there = [sequence for sequence in claim.sequences if found and sequence in found.values]
        if there:
            break
    else:
        if all(scores(claim, parts, name, b, "success") is None for b in benchmarks):
            return "", "not attempted", f"There are no scores of {name}.", change
        reason = f"No run at hand tells whether {name} lost one of the named sequences."
        return benchmarks[-1], "not comparable", reason, change
    counts = found.values[there].sum(axis=1)
    least, most = int(counts.min()), int(counts.max())
    verdict = _within(0, paper.expected(claim), least, most)
    absent = [name for name in claim.sequences if name not in there]
    if verdict == "reproduced" and absent:
        verdict = "inconclusive"
    number = f"{least}" if least == most else f"{least} to {most}, by seed,"
    seeds = count(len(counts), "seed")
    reason = f"{name} loses {number} of the {len(there)} named sequences at hand ({seeds})."
    more = f"the sequences {', '.join(absent)}"
    return benchmark, verdict, reason, more if absent and verdict == "inconclusive" else STAYS


def _speed(claim, speeds):
    """A ratio of speeds that were measured in turn in one process."""
    found, device = ratios(claim.rows, speeds)
    first, second = claim.rows
    if not len(found):
        reason = f"{first} and {second} have not been timed in one process."
        return "", "not attempted", reason, f"a benchmark of {first} and {second}"
    (middle, low, high), printed = median_and_range(found), paper.expected(claim)
    ratio = f"{middle:.2f} ({low:.2f} to {high:.2f}) of the speed of {second}"
    rounds = count(len(found), "round")
    limits = f"printed is {printed:.2f}, tolerance {claim.tolerance:g}"
    verdict = _within(printed - claim.tolerance, printed + claim.tolerance, low, high)
    reason = f"{first} runs at {ratio} ({rounds}); {limits}."
    judged = device, verdict, reason, "other hardware or another width"
    return judged if _on_gpu(speeds) else _unlike(judged, OTHER_DEVICE, "times on a GPU")


def _eao(claim, parts, benchmarks):
    """EAO is not a mean over sequences, and its claims are about trackers without records here."""
    names, lacking = (*claim.rows, *claim.over), {}
    for b in benchmarks:
        lacking[b] = {x for x in names if scores(claim, parts, x, b, "accuracy") is None}
    for benchmark in benchmarks:
        if any(lacking[benchmark].isdisjoint(pair) for pair in claim.pairs):
            reason = "Scores per sequence do not contain the fragments of which EAO is the mean."
            return benchmark, "not comparable", reason, "an interval from records"
    names = [name for name in names if name in lacking[benchmarks[-1]]]
    reason = f"None of {count(len(claim.pairs), 'comparison')} has data of both rows."
    return "", "not attempted", reason, needs(claim, names, claim.dataset)
