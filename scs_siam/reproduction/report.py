"""The report: README's findings, docs/results.md, scores and costs, provenance, the model card.

`python -m scs_siam.reproduction.report` rewrites the measured blocks of README.md and
docs/results.md and the badges of the claims from the committed runs.
"""

import itertools
import re
import shutil

from scs_siam import __version__, weights
from scs_siam.evaluation import statistics
from scs_siam.reproduction import claims, comparisons, paper, profiles, results, runs
from scs_siam.runtime import hardware
from scs_siam.runtime.files import BadInput, read_json, root, sha256, write_json, write_text
from scs_siam.train import read_metrics

DATA = (
    "{sequences:,} sequences of real images in GOT-10k layout, {frames:,} different frames: "
    "{videos} short tracks of video, the rest single images with a box (public detection, "
    "segmentation and tracking sets). It is not GOT-10k, on which the paper trained."
)
COMMITTED = ("reference", "quarter")  # profiles whose runs are committed, few rows first
BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"
COSTS = ("run", "pairs", "minutes", "pairs_per_second", "first_loss", "last_loss", "device")


def scores(profile: profiles.Profile):
    """Return the mean scores of each row and benchmark of a profile, as `means` gives them."""
    return means(results.read_scores(profile))


def means(found):
    """Return the mean scores of each row and benchmark as a DataFrame, best AUC first.

    AUC and precision (0 to 1) have 95 % intervals over seeds and videos.
    """
    import pandas

    table = []
    for (row, benchmark), part in found.groupby(["row", "benchmark"], sort=False):
        seeds, targets = part["seed"].nunique(), part["sequence"].nunique()
        line = {"row": row, "benchmark": benchmark, "seeds": seeds, "targets": targets}
        line["frames"] = int(part["frames"].sum() / seeds)
        for name in ("auc", "precision"):
            grid = part.pivot(index="seed", columns="sequence", values=name)
            interval = statistics.bootstrap_interval(grid.to_numpy(), targets=grid.columns)
            mean, low, high = interval
            line |= {name: mean, f"{name}_low": low, f"{name}_high": high}
        table.append(line)
    order = {"by": ["benchmark", "auc"], "ascending": [True, False]}
    return pandas.DataFrame(table).sort_values(**order, ignore_index=True)


def finding(differences, base: str) -> str:
    """Return one sentence on paired differences: which rows can be told from the row `base`."""
    if not len(differences):
        return f"Nothing that could be compared with {base} was run."
    clear = []
    for line in differences.itertuples():
        if line.low > 0 or line.high < 0:
            interval = f"{line.difference:+.3f} ({line.low:+.3f} to {line.high:+.3f}"
            clear.append(f"{line.row} by {interval}, {line.seeds} seed{'s' * (line.seeds > 1)})")
    if clear:
        return f"Different from {base}: {'; '.join(clear)}."
    if len(differences) == 1:
        return f"{differences['row'].iloc[0]} cannot be told from {base}."
    return f"None of the {len(differences)} rows can be told from {base}."


def costs(profile: profiles.Profile):
    """Return what each training of a profile took, as a DataFrame with the columns COSTS."""
    import pandas

    table = []
    for run in runs.list_runs(profile):
        path = run.folder / "training.json"
        if run.row.trained and path.is_file():
            record, log = read_json(path, "machine", "precision", "pairs", "seconds"), None
            log = read_metrics(run.folder)
            ends = (log["loss"][log["epoch"] == log["epoch"][k]].mean() for k in (0, -1))
            pairs, seconds = record["pairs"], record["seconds"]
            device = f"{_machine(record['machine'])}, {record['precision']}"
            table.append((run.id, pairs, seconds / 60, pairs / seconds, *ends, device))
    return pandas.DataFrame(table, columns=COSTS)


def _machine(about):
    """The device of a run or of a benchmark and, of a CPU, how many of its cores were used."""
    if about["kind"] == "cuda":
        return about["device"]
    used, cores = min(about["threads"], about["cores"]), about["cores"]
    share = f"{used} of " if used < cores else ""
    return f"{about['device']}, {share}{cores} core{'s' * (cores > 1)}"


def times(profile: profiles.Profile):
    """Return what the finished runs of a profile took, as a DataFrame by row and seed."""
    import pandas

    found, table = results.read_scores(profile), {}
    seconds = (found["frames"] / found["fps_with_decode"]).groupby([found["row"], found["seed"]])
    tracking = seconds.sum() / 60
    for run in runs.finished_runs(profile):
        made = read_json(run.folder / "manifest.json")
        own = not run.row.weights_of
        table[run.name, run.seed] = {
            "training pairs": made["training"]["pairs"] if own else 0,
            "training (min)": made["training"]["seconds"] / 60 if own else 0.0,
            "tracking (min)": tracking[run.name, run.seed],
            "device": _machine(made["machine"]),
        }
    return pandas.DataFrame.from_dict(table, orient="index").rename_axis(["row", "seed"])


def deviations():
    """Return the table of DEVIATIONS.md as a DataFrame; its first column is D1, D2, ..."""
    import pandas

    path = root() / "DEVIATIONS.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); restore it") from error
    lines = [re.split(r"(?<!\\)\|", x.strip())[1:-1] for x in text.splitlines() if x[:1] == "|"]
    lines = [[cell.strip() for cell in line] for line in lines]
    rows = [line for line in lines if re.fullmatch(r"\W*D\d+\W*", line[0])]
    heads = [line for line, rule in itertools.pairwise(lines) if set("".join(rule)) <= set("-: ")]
    if not rows or any(len(row) != len(heads[0]) for row in rows):
        problem = "holds no table whose rows start with D1, D2, ... and fit its head"
        raise BadInput(f"{path}: {problem}; restore it")
    return pandas.DataFrame(rows, columns=heads[0])


def provenance(profile: profiles.Profile) -> str:
    """Return where a notebook's numbers come from: versions, machine and the finished runs."""
    here = hardware.describe()
    versions = f"training {runs.TRAINING_VERSION}, tracking {runs.TRACKING_VERSION}"
    python = f"Python {here['python']}, torch {here['torch']}; {here['device']}"
    lines = [f"scs_siam {__version__}, {versions}; {python}"]
    keys = "training_key", "evaluation_key", "training", "evaluated"
    for run in runs.finished_runs(profile):
        made = read_json(run.folder / "manifest.json", *keys)
        hashes = f"training {made['training_key']}, evaluation {made['evaluation_key']}"
        sha = made["training"]["weights_sha256"][:12]
        name = f"{profile.name}/{run.id}: {run.state()}"
        lines.append(f"{name}, {hashes}, weights {sha}, {made['evaluated']}")
    return "\n".join(lines)


def _interval(mean, low, high, form=".3f"):
    return f"{mean:{form}} ({low:{form}} to {high:{form}})"


def _markdown(head, rows):
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]


def results_block(profile: profiles.Profile) -> str:
    """Return the measured block of docs/results.md: all tables, from the runs of a profile."""
    if not runs.finished_runs(profile):
        return f"No run of the profile `{profile.name}` is finished."
    parts = [_score_table(scores(profile)), _training_lines(profile), _grid_table(), _mask_table()]
    parts += [_speed_table(profile), _claims_table(profile)]
    return "\n\n".join("\n".join(part) for part in parts if part)


def readme_block(profile: profiles.Profile) -> str:
    """Return README's measured block: the shipped network's scores and the findings."""
    if not runs.finished_runs(profile):
        return f"No run of the profile `{profile.name}` is finished."
    table = scores(profile)
    peers = table["row"].str.endswith("(published)") | (table["row"] == "SCS-Siam")
    peers &= table["benchmark"] != "OTB12"  # a part of OTB20
    numbered = [f"{k}. {text}" for k, text in enumerate(findings(), 1)]
    return "\n".join([*_score_table(table[peers]), "", *numbered])


def _score_table(table):
    head = ("network", "data", "targets", "AUC (95 % interval)", "precision at 20 px")
    rows = []
    for line in table.itertuples():
        auc = _interval(line.auc, line.auc_low, line.auc_high)
        precision = _interval(line.precision, line.precision_low, line.precision_high)
        row = line.row if line.row.endswith("(published)") else f"{line.row}, measured"
        rows.append((row, line.benchmark, line.targets, auc, precision))
    printed = [f"{paper.cell(9, 'SCS-Siam', name) / 100:.3f}" for name in ("success", "precision")]
    data = "OTB2015, trained on GOT-10k"
    rows.append(("SCS-Siam, *printed in the paper*", data, 100, *printed))
    return _markdown(head, rows)


def findings() -> list[str]:
    """Return what the committed grid and the held-out pairs show, a few sentences each."""
    grid, texts = profiles.get_profile("quarter"), []
    if runs.finished_runs(grid):
        found = results.read_scores(grid)
        benchmark = profiles.stand_ins(found["benchmark"].unique())["OTB2015"]
        spread, counted = comparisons.between_seeds(found, benchmark)
        above, total = comparisons.printed_gaps(spread)
        texts.append(
            f"**The differences that the paper reports are small against the noise of training.** "
            f"The same network trained again with another seed moves by {spread:.3f} AUC (standard "
            f"deviation, {counted} rows, width {grid.width:g}, {benchmark}), and "
            f"{above or 'none'} of the {total} differences of success between rows of Tables 8 to "
            f"10 exceed what two equal trainings differ by in 95 % of cases. The "
            f"paper's networks are larger and were tested on 100 targets, so their noise may be "
            f"smaller; it does not report it."
        )
        two = found.groupby("row")["seed"].transform("nunique") > 1
        ours = two & ~found["row"].str.endswith("(published)") & (found["row"] != "untrained")
        rows = found[ours & found["row"].isin(profiles.TABLE9)]
        apart = comparisons.differences(rows, "SCS-Siam", benchmark)
        least = max(
            comparisons.detectable(rows, row, "SCS-Siam", benchmark) for row in apart["row"]
        )
        texts.append(
            f"**Which parts help is not settled.** {finding(apart, 'SCS-Siam')} With "
            f"{_targets(rows, benchmark)} and two seeds a row of Table 9 must differ by up to "
            f"{least:.3f} AUC to be told from SCS-Siam with a probability of 80 %; the table's "
            f"printed rows span {comparisons.printed_span(9):.3f}."
        )
    held = results.read_validation(profiles.get_profile("held-out"), profiles.LEAK)
    if not held.empty:
        by = held.set_index("row")
        black, chosen = by.loc["SCS-Siam@0.0"], by.loc["SCS-Siam"]
        texts.append(
            f"**A black mask gives the answer away.** With a background of zeros (sigma 0) the "
            f"network finds {black.hits:.1%} of held-out training pairs while masks are applied "
            f"and {black.hits_unmasked:.1%} without them, as in tracking; with the paper's sigma "
            f"of 0.9 it finds {chosen.hits:.1%} and {chosen.hits_unmasked:.1%}."
        )
    return texts


def _targets(found, benchmark):
    return f"{found.loc[found['benchmark'] == benchmark, 'sequence'].nunique()} targets"


def _training_lines(profile):
    lines = []
    for line in costs(profile).itertuples():
        speed = f"{line.minutes:.1f} minutes ({line.pairs_per_second:.1f} pairs/s; {line.device})"
        losses = f"mean loss {line.first_loss:.3f} in the first epoch, {line.last_loss:.3f} in the"
        what = f"width {profile.width:g}, {line.pairs:,} training pairs in {speed}"
        lines.append(f"{line.run}: {what}; {losses} last.")
    return lines


def _grid_table():
    """The rows of the profile `quarter` compared with SCS-Siam on its first benchmark."""
    profile = profiles.get_profile("quarter")
    if not runs.finished_runs(profile):
        return []
    found = results.read_scores(profile)
    benchmark = profiles.stand_ins(found["benchmark"].unique())["OTB2015"]
    apart = comparisons.differences(found, "SCS-Siam", benchmark)
    gaps = {line.row: line for line in apart.itertuples()}
    table, rows = means(found[found["benchmark"] == benchmark]).itertuples(), []
    for line in sorted(table, key=lambda line: -getattr(gaps.get(line.row), "difference", 0.0)):
        same, gap = f"{line.auc:.3f}", ""
        if one := gaps.get(line.row):
            same, gap = f"{one.base:.3f}", _interval(one.difference, one.low, one.high, "+.3f")
        rows.append((line.row, line.seeds, f"{line.auc:.3f}", same, gap))
    pairs = f"{profile.training['training.pairs']:,} pairs"
    heads = [f"width {profile.width:g}, {pairs}, on {benchmark}", "seeds", "AUC"]
    heads += ["SCS-Siam, same seeds", "difference (95 % for all rows at once)"]
    lines = _markdown(heads, rows)
    spread, counted = comparisons.between_seeds(found, benchmark)
    if counted:
        pooled = f"(standard deviation, pooled over {counted} rows)"
        above, total = comparisons.printed_gaps(spread)
        moves = f"From seed to seed the AUC of a row moves by {spread:.3f} {pooled}."
        noise = "exceed 1.96 sqrt(2) times this, the noise of a difference of two trainings"
        pair = found[found["row"].isin(["Extended-SiamFC", "SCA-Siam"])]
        told = finding(
            comparisons.differences(pair, "Extended-SiamFC", benchmark), "Extended-SiamFC"
        )
        lines += ["", f"SCA-Siam is the paper's best row, Extended-SiamFC has no attention. {told}"]
        lines += ["", f"{moves} {above} of {total} printed differences in Tables 8 to 10 {noise}."]
    return lines


def _mask_table():
    """Hits on held-out pairs with the masks of training and without any (profile held-out)."""
    profile = profiles.get_profile("held-out")
    held = results.read_validation(profile, profiles.LEAK)
    if held.empty:
        return []
    rows = []
    for line in held.itertuples():
        points = _interval(100 * line.leak, 100 * line.leak_low, 100 * line.leak_high, ".1f")
        rows.append((line.row, f"{line.hits:.1%}", f"{line.hits_unmasked:.1%}", points))
    head = f"width {profile.width:g}, {held['pairs'][0]:,} held-out pairs"
    heads = ("hits, masks as in training", "hits, no mask (tracking)", "points")
    return _markdown((head, *heads), rows)


def _speed_table(profile):
    """Speeds that `scs-siam bench ... --json` printed into bench-*.json of the profile's folder."""
    rows = []
    for record in map(read_json, sorted(profile.folder.glob("bench-*.json"))):
        machine = _machine({**record["machine"], "threads": record["threads"]})
        rows.append((f"{record['variant']}, width {record['width']:g}", *in_words(record), machine))
    return _markdown(("speed of", "in", "values", "on"), rows) if rows else []


def in_words(record: dict) -> tuple[str, str]:
    """Return what the record of a benchmark measured, and its values, in words."""

    def values(numbers, digits):
        return ", ".join(f"{name} {value:.{digits}f}" for name, value in numbers.items())

    what, pairs = record["bench"], record.get("pairs_per_second", {})
    if what == "track":
        form = f" ({record['form']})" if "form" in record else ""
        ratio = f"fast{form} is {record['speedup']:.1f} times as fast as plain"
        return "tracking", f"{values(record['milliseconds'], 0)} ms per frame; {ratio}"
    if what == "variants":
        found = {row: variant["ratio"] for row, variant in record["variants"].items()}
        return "tracking", f"{values(found, 2)} times the speed of SiameseFC*"
    if what == "evaluate":
        speeds = f"{values(record['with_decoding'], 1)} FPS with decoding"
        return "evaluation", f"{speeds} ({record['form']})"
    if what == "data":
        return "training pairs", f"{values(pairs, 0)} pairs/s on one core"
    if what == "together":
        text = f"{values(pairs, 1)} pairs/s in all; {record['speedup']:.2f} times one"
        return "trainings at once", text
    text = f"{values(pairs, 1)} pairs/s; {record['precision']}"
    if "got10k" not in record:
        return "training", text
    cost, costs_of = record["got10k"], {}
    for k in (1, 10):
        disk, hours = cost[f"disk GB, every {k}"], cost[f"build core hours, every {k}"]
        costs_of[k] = f"{disk:.0f} GB and {hours:.1f} core hours"
    share = f"a step reaches {record['share_of_ceiling']:.0%} of a matrix product"
    ratio = f"{record['speedup']:.1f} times as fast as plain"
    got10k = f"GOT-10k would need {costs_of[1]} for a store of all frames, {costs_of[10]} for every"
    hours = f"{cost['pairs']:,} pairs in {cost['training hours']:.0f} hours"
    return "training", f"{text}; {share}; {ratio}. {got10k} tenth; {hours}"


def _claims_table(profile):
    """How many claims have each verdict in each committed profile, and which are settled."""
    others = [profiles.get_profile(name) for name in COMMITTED if name != profile.name]
    head, columns = [f"of {len(paper.claims())} claims of the paper"], []
    for one in (profile, *others):
        if runs.finished_runs(one):
            head.append(f"profile {one.name}")
            columns.append([])
            for line in claims.summary(one).itertuples():
                settled = line.claims and line.verdict in claims.SETTLED
                columns[-1].append(f"{line.claims} ({line.ids})" if settled else line.claims)
    return _markdown(head, zip(claims.VERDICTS, *columns))


def judged() -> profiles.Profile:
    """Return the profile of the badges: the last of COMMITTED that has finished runs."""
    known = [profiles.get_profile(name) for name in COMMITTED]
    return next((one for one in reversed(known) if runs.finished_runs(one)), known[0])


BLOCKS = {"README.md": readme_block, "docs/results.md": results_block}


def write_documents(folder=None) -> None:
    """Put the measured blocks between the markers of README.md and docs/results.md."""
    folder, profile = folder or root(), profiles.get_profile("reference")
    for name, block in BLOCKS.items():
        before, _, after = split(folder / name)
        write_text(folder / name, f"{before}{BEGIN}\n{block(profile)}\n{END}{after}")


def split(path) -> tuple[str, str, str]:
    """Return a document's text before the measured block, the block, and the text after it."""
    text = path.read_text(encoding="utf-8")
    match = re.fullmatch(f"(.*){BEGIN}\n(.*)\n{END}(.*)", text, re.DOTALL)
    if not match or text.count(BEGIN) != 1 or text.count(END) != 1:
        raise BadInput(f"{path}: needs one line {BEGIN} and after it one line {END}")
    return match.groups()


def ship(profile: profiles.Profile, name: str = "SCS-Siam") -> None:
    """Make the weights of a profile's run the shipped ones, and write their model card.

    The rule is fixed before anything is scored: the last epoch of the first seed.
    """
    run = runs.Run(profile, name, profile.seeds[0])
    made, line = read_json(run.folder / "manifest.json"), scores(profile).query("row == @name")
    line, training = line.iloc[0], made["training"]
    shutil.copyfile(run.folder / "weights.safetensors", weights.SHIPPED)
    auc = [round(value, 3) for value in (line.auc, line.auc_low, line.auc_high)]
    precision = [line.precision, line.precision_low, line.precision_high]
    card = {
        "name": f"{name}, preset {profile.preset}, width {profile.width:g}",
        "sha256": sha256(weights.SHIPPED),
        "format": "safetensors, float16",
        "chosen": "the last epoch of seed 0; nothing was chosen on test data",
        "settings changed from the preset": profile.training,
        "training data": DATA.format(**training["data"]),
        "pairs": training["pairs"],
        "seed": run.seed,
        "trained on": training["machine"],
        "hours": round(training["seconds"] / 3600, 2),
        "store": training["store"],
        "tested on": f"{line.benchmark}, {line.targets} targets",
        "auc": auc,
        "precision at 20 px": [round(value, 3) for value in precision],
        "intervals": "95 %, bootstrap over sequences; one seed, so they lack its part",
        "licence": "MIT",
    }
    write_json(weights.SHIPPED.with_suffix(".json"), card)


if __name__ == "__main__":
    write_documents()
    claims.write_badges(judged(), root() / "figures" / "badges")
