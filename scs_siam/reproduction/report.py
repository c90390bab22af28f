"""What the finished runs of a profile add up to: scores with intervals, costs, deviations, and README's measured block.

`python -m scs_siam.reproduction.report` rewrites that block and the badges of the claims from the committed runs.
"""

import ast
import re
import shutil
from pathlib import Path

from scs_siam import __version__, weights
from scs_siam.evaluation import statistics
from scs_siam.reproduction import claims, evidence, paper, profiles, results, runs
from scs_siam.runtime import hardware
from scs_siam.runtime.files import BadInput, read_json, sha256, write_json, write_text
from scs_siam.train import read_metrics

DATA = (
    "{sequences:,} sequences of real images in GOT-10k layout, {frames:,} different frames: {videos} short tracks of video, the rest "
    "single images with a box (public detection, segmentation and tracking sets). It is not GOT-10k, on which the paper trained."
)
FLOORS = {
    "base": "files progress boxes config paper machine workers",
    "images and scores": "soft_mask crops frames clips metrics sprites stage synthetic suites sequences layouts",
    "network": "attention model integers layers weights export ranks",
    "pairs and tracking": "store imagenet_vid pairs track lockstep trax_server datasets shards resident",
    "training and evaluation": "train validation benchmarks supervision vot bench throughput bench_data together",
    "runs": "profiles runs results evidence experiments comparisons claims report",
    "pictures and tables": "examples figures panels diagrams attention_diagrams responses tables scoreboards plots moments",
    "front doors": "notebooks sweeps ray_pool pack live widgets pages site commands bench_commands run_commands cli",
}
COMMITTED = (
    "reference",
    "quarter",
)  # profiles whose runs come with the project, from the one with few rows to the one with most
BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"


def scores(of):
    """Mean scores of each row and benchmark of a profile, as `means` gives them."""
    return means(results.read_scores(of))


def means(results):
    """Mean scores of each row and benchmark of a DataFrame of results, best AUC first, as a DataFrame.

    auc and precision (0 to 1) come with their 95 % intervals over seeds and sequences.
    """
    import pandas

    table = []
    for (row, benchmark), part in results.groupby(["row", "benchmark"], sort=False):
        line = {
            "row": row,
            "benchmark": benchmark,
            "seeds": part["seed"].nunique(),
            "targets": part["sequence"].nunique(),
            "frames": int(part["frames"].sum() / part["seed"].nunique()),
        }
        for name in ("auc", "precision"):
            grid = part.pivot(index="seed", columns="sequence", values=name)
            line[name], line[f"{name}_low"], line[f"{name}_high"] = statistics.bootstrap_interval(
                grid.to_numpy()
            )
        table.append(line)
    return pandas.DataFrame(table).sort_values(
        ["benchmark", "auc"], ascending=[True, False], ignore_index=True
    )


def finding(apart, base):
    """One sentence on paired differences (`evidence.differences`): which rows can be told from the row `base`."""
    if not len(apart):
        return f"Nothing that could be compared with {base} was run."
    clear = [
        f"{line.row} by {line.difference:+.3f} ({line.low:+.3f} to {line.high:+.3f}, {line.seeds} seed{'s' * (line.seeds > 1)})"
        for line in apart.itertuples()
        if line.low > 0 or line.high < 0
    ]
    if clear:
        return f"Apart from {base}: {'; '.join(clear)}."
    what = (
        f"None of the {len(apart)} rows can" if len(apart) > 1 else f"{apart['row'].iloc[0]} cannot"
    )
    return f"{what} be told from {base}."


def costs(of):
    """What each training of a profile took, as a DataFrame: run, pairs, minutes, pairs a second, loss of first and last epoch, device."""
    import pandas

    table = []
    for run in runs.list_runs(of):
        if run.row.trained and (run.folder / "training.json").is_file():
            record = read_json(
                run.folder / "training.json", "machine", "precision", "pairs", "seconds"
            )
            log = read_metrics(run.folder)
            first, last = (
                log["loss"][log["epoch"] == log["epoch"][place]].mean() for place in (0, -1)
            )
            device = f"{_place(record['machine'])}, {record['precision']}"
            speed = record["pairs"] / record["seconds"]
            table.append(
                (run.id, record["pairs"], record["seconds"] / 60, speed, first, last, device)
            )
    return pandas.DataFrame(
        table,
        columns=[
            "run",
            "pairs",
            "minutes",
            "pairs_per_second",
            "first_loss",
            "last_loss",
            "device",
        ],
    )


def _place(made_on):
    """Device of a run or of a bench and, of a CPU, the cores that it used of those it had."""
    if made_on["kind"] == "cuda":
        return made_on["device"]
    used, cores = min(made_on["threads"], made_on["cores"]), made_on["cores"]
    return f"{made_on['device']}, {f'{used} of ' if used < cores else ''}{cores} core{'s' * (cores > 1)}"


def times(of):
    """What the finished runs of a profile took, as a DataFrame (row, seed): training pairs, minutes of training and of tracking, device."""
    import pandas

    found, table = results.read_scores(of), {}
    tracking = (found["frames"] / found["fps_with_decode"]).groupby(
        [found["row"], found["seed"]]
    ).sum() / 60
    for run in runs.list_runs(of):
        if (run.folder / "manifest.json").is_file():
            made = read_json(run.folder / "manifest.json")
            training = made["training"] if not run.row.weights_of else {"pairs": 0, "seconds": 0.0}
            table[run.name, run.seed] = {
                "training pairs": training["pairs"],
                "training (min)": training["seconds"] / 60,
                "tracking (min)": tracking[run.name, run.seed],
                "device": _place(made["machine"]),
            }
    return pandas.DataFrame.from_dict(table, orient="index").rename_axis(["row", "seed"])


def modules():
    """The package as a DataFrame (floor, module): the first line of each module; it imports from its own floor and those above."""
    import pandas

    rows = []
    for floor, names in FLOORS.items():
        for name in names.split():
            text = ast.get_docstring(
                ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
            )
            rows.append((floor, name, text.splitlines()[0]))
    return pandas.DataFrame(rows, columns=["floor", "module", "what it holds"]).set_index(
        ["floor", "module"]
    )


def deviations():
    """The table of DEVIATIONS.md as a DataFrame with the columns of its head; its first column is D1, D2, ..."""
    import pandas

    path = paper.root() / "DEVIATIONS.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); restore it") from error
    lines = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    rows = [line for line in lines if re.fullmatch(r"\W*D\d+\W*", line[0])]
    heads = [line for line, rule in zip(lines, lines[1:]) if set("".join(rule)) <= set("-: ")]
    if not rows or any(len(row) != len(heads[0]) for row in rows):
        raise BadInput(
            f"{path}: holds no table whose lines start with D1, D2, ... and fit its head; restore it"
        )
    return pandas.DataFrame(rows, columns=heads[0])


def provenance(of):
    """Where a notebook's numbers come from, as text: a line on versions and machine, then a line a finished run of the profile."""
    here = hardware.describe()
    versions = f"training {runs.TRAINING_VERSION}, tracking {runs.TRACKING_VERSION}"
    lines = [
        f"scs_siam {__version__}, {versions}; Python {here['python']}, torch {here['torch']}; "
        f"{here['device']}"
    ]
    keys = "training_key", "evaluation_key", "training", "evaluated"
    for run in runs.finished_runs(of):
        made = read_json(run.folder / "manifest.json", *keys)
        lines.append(
            f"{of.name}/{run.id}: {run.state()}, training {made['training_key']}, "
            f"evaluation {made['evaluation_key']}, "
            f"weights {made['training']['weights_sha256'][:12]}, {made['evaluated']}"
        )
    return "\n".join(lines)


def readme_block(of):
    """README's measured block: scores, speeds and training of the finished runs of a profile, and what the paper prints, as Markdown."""
    if not runs.finished_runs(of):
        return f"No run of the profile `{of.name}` is finished."
    lines = [
        "| network | data | targets | AUC (95 % interval) | precision at 20 px |",
        "|---|---|---|---|---|",
    ]
    for line in scores(of).itertuples():
        auc = f"{line.auc:.3f} ({line.auc_low:.3f} to {line.auc_high:.3f})"
        precision = f"{line.precision:.3f} ({line.precision_low:.3f} to {line.precision_high:.3f})"
        lines.append(
            f"| {line.row}, measured | {line.benchmark} | {line.targets} | {auc} | {precision} |"
        )
    success, precision = (
        paper.cell(9, "SCS-Siam", name) / 100 for name in ("success", "precision")
    )
    lines.append(
        f"| SCS-Siam, *printed in the paper* | OTB2015, trained on GOT-10k | 100 | {success:.3f} | {precision:.3f} |"
    )
    return "\n".join(
        [
            *lines,
            "",
            _training_text(of),
            *_grid_table(),
            *_leak_table(),
            *_speed_table(of),
            *_claims_table(of),
        ]
    )


def _grid_table():
    """The rows of the profile `quarter` beside SCS-Siam, on the targets of its first benchmark; nothing without runs."""
    if not runs.finished_runs(of := profiles.get_profile("quarter")):
        return []
    found = results.read_scores(of)
    place = profiles.stand_ins(found["benchmark"].unique())["OTB2015"]
    apart = {line.row: line for line in evidence.differences(found, "SCS-Siam", place).itertuples()}
    gaps = {
        row: f"{line.difference:+.3f} ({line.low:+.3f} to {line.high:+.3f})"
        for row, line in apart.items()
    }
    rows = sorted(
        means(
            found[found["benchmark"] == place]
        ).itertuples(),  # by what shared seeds say; SCS-Siam is its own 0
        key=lambda line: -apart[line.row].difference if line.row in apart else 0.0,
    )
    head = f"| width {of.width:g}, {of.training['training.pairs']:,} pairs, on {place} | seeds | AUC | minus SCS-Siam (95 % interval) |"
    lines = [
        f"| {line.row} | {line.seeds} | {line.auc:.3f} | {gaps.get(line.row, '')} |"
        for line in rows
    ]
    spread, counted = evidence.between_seeds(found, place)
    luck = (
        f"From seed to seed the AUC of a row moves by {spread:.3f} (standard deviation, pooled over {counted} rows)."
        if counted
        else ""
    )
    return ["", head, "|---|---|---|---|", *lines, "", luck]


def _leak_table():
    """Hits on held-out pairs with the masks of training and without any (profile `held-out`); nothing without runs."""
    held = results.read_validation(of := profiles.get_profile("held-out"), profiles.LEAK)
    if held.empty:
        return []
    head = f"| width {of.width:g}, {held['pairs'][0]:,} held-out pairs | hits, masks as in training | hits, no mask (tracking) | points |"
    lines = [
        f"| {line.row} | {line.hits:.1%} | {line.hits_unmasked:.1%} | {100 * line.leak:.1f} ({100 * line.leak_low:.1f} to "
        f"{100 * line.leak_high:.1f}) |"
        for line in held.itertuples()
    ]
    return ["", head, "|---|---|---|---|", *lines]


def _training_text(of):
    return "\n".join(
        f"{line.run}: width {of.width:g}, {line.pairs:,} training pairs in {line.minutes:.1f} minutes "
        f"({line.pairs_per_second:.1f} pairs/s; {line.device}); mean loss {line.first_loss:.3f}, first epoch, "
        f"to {line.last_loss:.3f}, last."
        for line in costs(of).itertuples()
    )


def _speed_table(of):
    """Speeds that `scs-siam bench ... --json` printed into bench-*.json of the profile's folder: a line each, after a head."""
    lines = []
    for record in map(read_json, sorted(of.folder.glob("bench-*.json"))):
        text = in_words(record)
        place = _place({**record["machine"], "threads": record["threads"]})
        lines.append(f"| {record['variant']}, width {record['width']:g} | {text} | {place} |")
    return ["", "| speed of | in | values | on |", "|---|---|---|---|", *lines] if lines else []


def in_words(record):
    """What a record of any benchmark measured, and its values, as two cells of a Markdown table."""

    def values(numbers, digits):
        return ", ".join(f"{name} {value:.{digits}f}" for name, value in numbers.items())

    if record["bench"] == "track":
        form = f" ({record['form']})" if "form" in record else ""
        return f"tracking | {values(record['milliseconds'], 0)} ms a frame; fast{form} is {record['speedup']:.1f} times as fast as plain"
    if record["bench"] == "variants":
        return f"tracking | {values({row: found['ratio'] for row, found in record['variants'].items()}, 2)} times the speed of SiameseFC*"
    if record["bench"] == "evaluate":
        return f"evaluation | {values(record['with_decoding'], 1)} frames/s with decoding ({record['form']})"
    if record["bench"] == "data":
        return f"training pairs | {values(record['pairs_per_second'], 0)} pairs/s of one core"
    if record["bench"] == "together":
        return f"trainings side by side | {values(record['pairs_per_second'], 1)} pairs/s of all; {record['speedup']:.2f} times one"
    text = f"training | {values(record['pairs_per_second'], 1)} pairs/s; {record['precision']}"
    if "got10k" not in record:
        return text
    cost = record["got10k"]
    whole, tenth = (
        [cost[f"{what}, every {k}"] for what in ("disk GB", "build core hours")] for k in (1, 10)
    )
    return (
        f"{text}, step at {record['share_of_ceiling']:.0%} of a matrix product; {record['speedup']:.1f} times as fast as plain. "
        f"GOT-10k at these costs: {whole[0]:.0f} GB and {whole[1]:.1f} core hours for a store of all frames, {tenth[0]:.0f} GB and "
        f"{tenth[1]:.1f} for every tenth; {cost['pairs']:,} pairs in {cost['training hours']:.0f} hours"
    )


def _claims_table(of):
    """How many of the paper's claims have each verdict in a profile and in the other committed ones, and which are settled."""
    others = [profiles.get_profile(name) for name in COMMITTED if name != of.name]
    found = {
        one.name: claims.summary(one).itertuples()
        for one in (of, *others)
        if runs.finished_runs(one)
    }
    cells = {
        name: [
            f"{line.claims} ({line.ids})"
            if line.claims and line.verdict in claims.SETTLED
            else str(line.claims)
            for line in lines
        ]
        for name, lines in found.items()
    }
    head = f"| of {len(paper.claims())} claims of the paper | {' | '.join(f'profile {name}' for name in cells)} |"
    return [
        "",
        head,
        "|---" * (len(cells) + 1) + "|",
        *(f"| {' | '.join(line)} |" for line in zip(claims.VERDICTS, *cells.values())),
    ]


def judged():
    """The committed profile that the badges of the claims are of: the last of COMMITTED that has finished runs."""
    return next(
        (of for of in map(profiles.get_profile, reversed(COMMITTED)) if runs.finished_runs(of)),
        profiles.get_profile(COMMITTED[0]),
    )


def write_readme(path=None):
    """Put `readme_block` of the reference profile between the markers of README.md."""
    path = path or paper.root() / "README.md"
    before, _, after = split_readme(path)
    write_text(
        path, f"{before}{BEGIN}\n{readme_block(profiles.get_profile('reference'))}\n{END}{after}"
    )


def ship(of, name="SCS-Siam"):
    """Make the weights of a profile's run the ones that come with the package, with a model card of what they are and how they scored.

    The rule is fixed before anything is scored: the last epoch of the first seed.
    """
    run = runs.Run(of, name, of.seeds[0])
    made, line = read_json(run.folder / "manifest.json"), scores(of).query("row == @name").iloc[0]
    shutil.copyfile(run.folder / "weights.safetensors", weights.SHIPPED)
    training = made["training"]
    write_json(
        weights.SHIPPED.with_suffix(".json"),
        {
            "name": f"{name}, preset {of.preset}, width {of.width:g}",
            "sha256": sha256(weights.SHIPPED),
            "format": "safetensors, float16",
            "chosen": "the last epoch of seed 0; nothing was picked on test data",
            "settings changed from the preset": of.training,
            "training data": DATA.format(**training["data"]),
            "pairs": training["pairs"],
            "seed": run.seed,
            "trained on": training["machine"],
            "hours": round(training["seconds"] / 3600, 2),
            "store": training["store"],
            "tested on": f"{line.benchmark}, {line.targets} targets",
            "auc": [round(value, 3) for value in (line.auc, line.auc_low, line.auc_high)],
            "precision at 20 px": [
                round(value, 3)
                for value in (line.precision, line.precision_low, line.precision_high)
            ],
            "intervals": "95 %, bootstrap over sequences; one seed, so what the seed changes is not in them",
            "licence": "MIT",
        },
    )


def split_readme(path):
    """README's text before the measured block, the block, and the text after it; BadInput unless both markers are there once, in order."""
    text = path.read_text(encoding="utf-8")
    match = re.fullmatch(f"(.*){BEGIN}\n(.*)\n{END}(.*)", text, re.DOTALL)
    if not match or text.count(BEGIN) != 1 or text.count(END) != 1:
        raise BadInput(f"{path}: needs one line {BEGIN} and after it one line {END}")
    return match.groups()


if __name__ == "__main__":
    write_readme()
    claims.write_badges(judged(), paper.root() / "figures" / "badges")
