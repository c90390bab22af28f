"""The paper, annotated: its text with verdicts, code, measured numbers and findings in place.

The text is docs/paper/paper.txt. Every annotation comes from the data: claims and their verdicts,
inconsistencies.csv, open.csv, DEVIATIONS.md, the tables and the figures. Only the equations are
typeset here, because the text of the PDF file does not keep them.
"""

import functools
import inspect
import re
from html import escape

from latex2mathml.converter import convert

from scs_siam import attention, model, train
from scs_siam.config import Config
from scs_siam.reproduction import claims, paper, report, results, tables
from scs_siam.runtime.files import BadInput, root
from scs_siam.soft_mask import soft_mask

TEXT = root() / "docs" / "paper" / "paper.txt"
EQUATIONS = {  # as the paper prints them, and the code that implements them
    1: (r"g(z, x) = \psi(z) * \psi(x) + b", [model.cross_correlation]),
    2: (r"Z = B(T) + B(T_{sm})", [model.SiameseNet.fuse, soft_mask]),
    3: (r"X = B(S) + B(S_{sm})", [model.SiameseNet.fuse, model.SiameseNet.embed_search]),
    4: (
        r"g(T, S) = (\Omega(\Delta(\psi(Z))) \oplus \psi(Z)) * \psi(X) + b",
        [model.SiameseNet.embed_template, model.SiameseNet.respond, model.SiameseNet.forward],
    ),
    5: (
        r"\omega = Sigmoid(FC_2(Relu(FC_1(GAP(P))))) + Sigmoid(FC_2(Relu(FC_1(GMP(P)))))",
        [attention.ChannelAttention.weights],
    ),
    6: (
        r"\arg\min_{\theta} \frac{1}{K} \sum_{k=1}^{K}"
        r" L(g(T_k, T^{sm}_k, S_k, S^{sm}_k), Y_k)",
        [train.Trainer.step],
    ),
    7: (
        r"L(g_k, y_k) = \frac{1}{|\delta|} \sum_{(i,j) \in \delta}"
        r" \log(1 + \exp(-g_k(i,j) . y_k(i,j)))",
        [train.logistic_loss],
    ),
}
# Where the answer to a deviation's question would stand, if its row names no place in the paper.
PLACES = {
    "model": "table 1", "attention": "section 3.3", "pairs": "section 3.5", "train": "section 4.1",
    "track": "algorithm 2", "data/crops": "section 3.2", "none": "section 4.1",
}  # fmt: skip
PLACE = re.compile(r"(Section|Sec\.|Equation|Eq\.|Figure|Table|Algorithm)s? (\d+(?:\.\d)?)")
KINDS = {"Sec.": "section", "Eq.": "equation"}
ATTRIBUTION = """Text: Mustansar Fiaz, Arif Mahmood and Soon Ki Jung, *Learning Soft Mask Based
Feature Fusion with Channel and Spatial Attention for Robust Visual Object Tracking*,
[Sensors 2020, 20(14), 4021](https://doi.org/10.3390/s20144021), © 2020 by the authors, licensee
MDPI, [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). Changes: lines are joined,
equations are typeset anew, tables and figures are replaced by those of this project, references
and back matter are left out, and everything in coloured marks, frames and notes is added by this
project and not endorsed by the authors."""


OPEN = """<script>
const openNote = () => {
  const note = location.hash && document.getElementById(location.hash.slice(1));
  if (note && note.matches("details")) note.open = true;
};
addEventListener("hashchange", openNote);
openNote();
</script>"""


def page() -> str:
    """Return the page as Markdown."""
    profile, parts = report.judged(), []
    notes = Notes(profile)
    used = ", ".join(f"{count} {verdict}" for verdict, count in notes.counts.items() if count)
    parts += [
        "# The paper, annotated",
        ATTRIBUTION,
        "A sentence that makes a claim is underlined in the colour of its verdict, and the note "
        "below its paragraph opens to the evidence. An equation opens to the code that implements "
        f"it. Verdicts are computed from the runs of the profile `{profile.name}`: {used}.",
    ]
    blocks = TEXT.read_text("utf-8").strip().split("\n\n")
    for number, block in enumerate(blocks):
        section = re.match(r"# (\d(?:\.\d)?)?", block)
        if section:
            parts.append(f"{'###' if '.' in block.split()[1][:-1] else '##'} {block[2:]}")
            parts.append(_raw(notes.at(f"section {section[1]}")))
            continue
        mark = re.match(r"\[(\w+) (\d+)\] ?", block)
        text = block[mark.end() :] if mark else block
        content, below = notes.annotate(text)
        if mark:
            kind, index = mark[1], int(mark[2])
            made = {"equation": equation, "figure": figure, "table": table, "algorithm": algorithm}
            parts.append(_raw(f'<div id="paper-{kind}-{index}"></div>'))
            parts.append(made[kind](index, content))
            below += notes.at(f"{kind} {index}")
        else:
            tag = "li" if block.startswith("- ") else "p"
            parts.append(_raw(f"<{tag}>{content.removeprefix('- ')}</{tag}>"))
        parts.append(_raw(below))
        notes.block = number
    notes.check()
    parts.append(_raw(OPEN))
    return "\n\n".join(part for part in parts if part) + "\n"


def _raw(html):
    return f"```{{raw}} html\n{html}\n```" if html else ""


class Notes:
    """Everything that the data say about the text, each note shown once, at its place."""

    def __init__(self, profile):
        table = claims.verdicts(profile)
        self.counts = {verdict: sum(table["verdict"] == verdict) for verdict in claims.VERDICTS}
        self.claims = table.to_dict("records")
        self.findings = paper.inconsistencies().fillna("").to_dict("records")
        self.deviations = report.deviations().to_dict("records")
        self.open, self.shown, self.block = {}, set(), 0
        quoted = [(claim["id"], claim["quote"]) for claim in self.claims]
        quoted += [(found["id"], found["quote"]) for found in self.findings if found["quote"]]
        text, known = TEXT.read_text("utf-8"), [claim["id"] for claim in self.claims]
        patterns = {name: pattern(quote) for name, quote in quoted}
        # A finding may quote the cell of a table, which is not in the running text.
        self.quotes = {
            x: quote for x, quote in patterns.items() if x in known or quote.search(text)
        }
        self.texts = {claim["id"]: self._claim(claim) for claim in self.claims}
        for found in self.findings:
            self.texts[found["id"]] = self._finding(found)
            if found["id"] not in self.quotes:
                self._place(found["id"], found["place"], "section 5")
        for row in self.deviations:
            name = row["number"].strip("*")
            self.texts[name] = self._deviation(name, row)
            module = row["module"].split(",")[0]
            self._place(name, f"{row['question']} {row['preset paper']}", PLACES[module])

    def _place(self, name, words, otherwise):
        place = PLACE.search(words)
        where = f"{KINDS.get(place[1], place[1].lower())} {place[2]}" if place else otherwise
        self.open.setdefault(where, []).append(name)

    def _claim(self, claim):
        colour = claims.COLOURS[claim["verdict"]]
        head = f'<b style="background:{colour}">{claim["verdict"]}</b> claim {claim["id"]}'
        where = f"{claim['where']}; {claim['metric']} on {claim['dataset']}"
        where += f", measured on {claim['measured_on']}" if claim["measured_on"] else ""
        change = claim["what_would_change"]
        change = f" What would change it: {change}." if change else ""
        body = f"“{claim['quote']}” ({where}). {claim['reason']}{change}"
        return _details(claim["id"], head, escape(body))

    def _finding(self, found):
        text = f"{found['place']}: {found['what']}. Checked on the data: "
        code = f"<code>{escape(found['evidence'])}</code>"
        head = f'<b class="finding">the paper disagrees</b> {found["id"]}'
        return _details(found["id"], head, escape(text) + code)

    def _deviation(self, name, row):
        silent = "not said" in row["preset paper"]
        word = "the paper does not say" if silent else "a choice"
        question = re.sub("`", "", row["question"])
        head = f'<b class="open">{word}</b> {name}: {escape(question)}'
        text = f"Here: {row['preset paper']}. Released code: {row['preset released']}. "
        text = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text + f"Switch: {row['switch']}."))
        return _details(name, head, text)

    def annotate(self, text: str) -> tuple[str, str]:
        """Return a text as HTML with its quotes marked, and the notes that belong below it."""
        spans = []
        for name, quote in self.quotes.items():
            if name not in self.shown and (found := quote.search(text)):
                spans.append((*found.span(), name))
                self.shown.add(name)
        groups = []
        for start, end, name in sorted(spans):
            if groups and start < groups[-1][1]:
                groups[-1][1] = max(end, groups[-1][1])
                groups[-1][2].append(name)
            else:
                groups.append([start, end, [name]])
        html, last = "", 0
        for start, end, names in groups:
            verdicts = {claim["id"]: claim["verdict"] for claim in self.claims}
            links = " ".join(
                f'<a href="#note-{name}">{name} {verdicts.get(name, "the paper disagrees")}</a>'
                for name in names
            )
            kind = verdicts.get(names[0], "finding").replace(" ", "-")
            marked = f'<mark class="{kind}">{escape(text[start:end])}</mark>'
            html += f"{escape(text[last:start])}{marked}<small class='verdict'> [{links}]</small>"
            last = end
        below = "".join(self.texts[name] for _, _, names in groups for name in names)
        return html + escape(text[last:]), below

    def at(self, place: str) -> str:
        """Return the notes of a section, a table, a figure or an equation."""
        names = self.open.pop(place, [])
        self.shown.update(names)
        return "".join(self.texts[name] for name in names)

    def check(self):
        """Stop if a note has found no place; BadInput names it."""
        if lost := sorted(set(self.texts) - self.shown):
            raise BadInput(f"{TEXT}: {', '.join(lost)}: not in the text; correct quote or place")


def pattern(quote: str) -> re.Pattern:
    """Return what finds a quote in the text, whatever its blanks, hyphens and quotation marks."""
    letters = [re.escape(letter) for letter in re.sub(r"[\s\-­‐]", "", quote)]
    letters = ["['‘’]" if letter.strip("\\") in "'‘’" else letter for letter in letters]
    return re.compile(r"[\s\-]*".join(letters), re.IGNORECASE)


def _details(name, head, body):
    return f'<details class="note" id="note-{name}"><summary>{head}</summary>{body}</details>'


def equation(number: int, _caption: str) -> str:
    """Return an equation as MathML that opens to the lines of code that implement it."""
    latex, functions = EQUATIONS[number]
    html = [f'<div class="math">{convert(latex, display="block")}<span>({number})</span></div>']
    for function in functions:
        lines, start = inspect.getsourcelines(inspect.unwrap(function))
        module, name = function.__module__, function.__qualname__
        address = f"../_modules/{module.replace('.', '/')}.html#{name}"
        place = f"{module.replace('.', '/')}.py, lines {start} to {start + len(lines) - 1}"
        link = f'<a href="{address}">{name}</a>: {place}'
        code = f"<pre>{escape(inspect.cleandoc(''.join(lines)))}</pre>"
        html.append(f'<details class="note code"><summary>{link}</summary>{code}</details>')
    return _raw("\n".join(html).replace("\n\n", "\n"))


def figure(number: int, caption: str) -> str:
    """Return the twin of a figure, drawn by this project, below the caption of the paper."""
    path = root() / "figures" / f"figure{number}"
    words = " ".join(path.with_suffix(".txt").read_text("utf-8").split())
    alt = words.replace("[", "(").replace("]", ")")
    shown = _raw(f'<p class="caption">{caption}</p>')
    return f"{shown}\n\n![{alt}](../figures/{path.name}.png)\n\n*This project's twin.* {words}"


def table(number: int, caption: str) -> str:
    """Return a table with the printed and the measured numbers side by side, and their runs."""
    frame = _side_by_side(number)
    frame = frame.astype(object).where(frame.notna(), "")
    html = f'<p class="caption">{caption}</p>'
    html += frame.to_html(index=False, border=0, classes="printed")
    found = paper.open_cells().query("table == @number")
    if len(found):
        items = [
            f"<li>{escape(line.row)}, {escape(line.column)}: {escape(line.candidates)}</li>"
            for line in found.itertuples()
        ]
        head = '<b class="open">lost</b> cells that the text of the PDF file does not settle'
        html += _details(f"table-{number}", head, f"<ul>{''.join(items)}</ul>")
    return _raw(html)


@functools.cache
def _read():
    profile = report.judged()
    found, summary = results.read_scores(profile), results.read_supervised_summary(profile)
    supervised = results.read_supervised(profile)
    return found, report.means(found), claims.speeds(profile), summary, supervised


def _side_by_side(number):
    """The table as reproduction.tables makes it, with intervals and runs of what is measured."""
    if number == 1:
        return tables.table1(Config().model)
    if number == 2:
        return tables.table2({})
    found, every, speeds, summary, each = _read()
    inputs = {3: (found, speeds), 5: (found, speeds), 6: (summary, each), 9: (found, speeds)}
    inputs[7] = (summary, each, speeds)
    frame = getattr(tables, f"table{number}")(*inputs.get(number, (found,)))
    benchmark = {5: "TC128"}.get(number, "OTB2015")
    if number in (4, 6, 7):
        return frame
    means = every[every["benchmark"] == tables.at_hand(found, benchmark)].set_index("row")
    alias = {"SCS-Siam@0.9": "SCS-Siam"}
    for name, head in (("auc", "success"), ("precision", "precision")):
        frame[f"{head}, 95 % interval"] = [
            f"{100 * means[f'{name}_low'][row]:.1f} to {100 * means[f'{name}_high'][row]:.1f}"
            if row in means.index else ""
            for row in (alias.get(row, row) for row in frame.iloc[:, 0])
        ]  # fmt: skip
    seeds = found.groupby("row")["seed"].unique()
    frame["runs"] = [
        ", ".join(f"{row}-seed{seed}" for seed in seeds[row])
        if row in seeds.index and measured else ""
        for row, measured in zip(
            (alias.get(row, row) for row in frame.iloc[:, 0]), frame["seeds"].notna()
        )
    ]  # fmt: skip
    return frame


def algorithm(_number: int, caption: str) -> str:
    """Return the steps of an algorithm, a line each."""
    head, *steps = caption.split(" / ")
    return _raw(f'<div class="algorithm"><p>{head}</p><p>{"<br>".join(steps)}</p></div>')
