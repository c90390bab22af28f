"""Pages of the site that have no file of their own: the API from docstrings, the state of the claims, the figures."""

import ast
import re
from html import escape
from pathlib import Path

from scs_siam.reproduction import claims as judged_claims
from scs_siam.reproduction import report
from scs_siam.reproduction.paper import root


def api():
    """Every public function and class of the package, by floor and module, with its docstring, as HTML."""
    parts = [
        "<h1>The package</h1>",
        "<p>A module imports only from its own floor and those above it.</p>",
        _contents(),
    ]
    for floor, names in report.FLOORS.items():
        parts.append(f"<h2>{escape(floor.capitalize())}</h2>")
        for name in names.split():
            parts += _module(name)
    return "\n".join(parts)


def _contents():
    rows = (
        f"<tr><td>{escape(floor)}</td><td>"
        + " ".join(f'<a href="#{name}">{name}</a>' for name in names.split())
        + "</td></tr>"
        for floor, names in report.FLOORS.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _module(name):
    tree = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
    yield f'<h3 id="{name}"><a href="scs_siam/{name}.py">scs_siam.{name}</a></h3>{_prose(ast.get_docstring(tree))}'
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield _entry(node, f"{name}.{node.name}")
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if (
                        isinstance(method, ast.FunctionDef)
                        and not method.name.startswith("_")
                        and ast.get_docstring(method)
                    ):
                        yield _entry(method, f"{name}.{node.name}.{method.name}")


def _entry(node, anchor):
    if isinstance(node, ast.ClassDef):
        head = f"class {node.name}" + (
            f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
        )
    else:
        head = f"{'.'.join(anchor.split('.')[1:])}({ast.unparse(node.args)})"
    return f'<div class="entry"><h4 id="{anchor}"><code>{escape(head)}</code></h4>{_prose(ast.get_docstring(node))}</div>'


def _prose(text):
    """A docstring as paragraphs; `code` between backticks."""
    paragraphs = (
        re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(part))
        for part in (text or "").split("\n\n")
    )
    return "".join(f"<p>{part}</p>" for part in paragraphs if part)


def claims():
    """Every claim of the paper with its verdict from the committed runs, its reason and its place in the paper, as HTML."""
    of = report.judged()
    table = judged_claims.verdicts(of)
    counts = ", ".join(
        f"{count} {name}" for name, count in table["verdict"].value_counts(sort=False).items()
    )
    parts = [
        "<h1>The claims of the paper</h1>",
        f"<p>{len(table)} claims: {escape(counts)}. The verdicts are computed from runs of the profile <code>{of.name}</code> that "
        'are kept with the code; how, is told on <a href="README.md">the first page</a>, and the claims are data in '
        '<a href="data/claims.yaml">data/claims.yaml</a>.</p>',
    ]
    for claim in table.to_dict("records"):
        where = f"{claim['where']}; {claim['metric']} on {claim['dataset']}. {claim['reason']}"
        parts.append(
            f'<h3 id="{claim["id"]}">{claim["id"]}: {escape(claim["verdict"])}</h3>'
            f"<blockquote>{escape(claim['quote'])}</blockquote><p>{escape(where)}</p>"
        )
    return "\n".join(parts)


def figures():
    """Every figure of figures/ with the words that come with it, and the tables, as HTML."""
    parts = ["<h1>Figures and tables</h1>"]
    for picture in sorted((root() / "figures").glob("*.png")):
        words = picture.with_suffix(".txt")
        text = words.read_text(encoding="utf-8").strip() if words.is_file() else picture.stem
        links = " ".join(
            f'<a href="figures/{path.name}">{path.suffix[1:].upper()}</a>'
            for path in sorted(picture.parent.glob(f"{picture.stem}.*"))
            if path.suffix in (".pdf", ".csv")
        )
        parts.append(
            f'<figure id="{picture.stem}"><img src="figures/{picture.name}" alt="{escape(text)}">'
            f"<figcaption>{escape(text)} {links}</figcaption></figure>"
        )
    for table in sorted((root() / "figures").glob("*.md")):
        parts.append(f'<p><a href="figures/{table.name}">{escape(table.stem)}</a></p>')
    return "\n".join(parts)
