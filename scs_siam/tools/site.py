"""The project as a static site: notebooks, Markdown, source, API, claims and figures; it asks no other host for anything.

A page lies where its file lies in the project, so links between files stay as they are but for their ending.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from scs_siam.reproduction.paper import root
from scs_siam.runtime.files import BadInput, writing
from scs_siam.tools import pages

GENERATED = {"api.html": pages.api, "claims.html": pages.claims, "figures.html": pages.figures}
MATH = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$([^\s$](?:[^$\n]*[^\s$])?)\$", re.DOTALL)
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title><link rel="stylesheet" href="{up}site.css"></head>
<body><nav>{links}</nav><main>
{body}
</main></body></html>
"""


def build(out):
    """Render the site into the folder `out`, in place of an older one; returns `out`. BadInput names a link that leads nowhere."""
    out = Path(out).resolve()
    if out.exists() and any(out.iterdir()) and not (out / "site.css").is_file():
        raise BadInput(f"{out}: holds something else than a site; choose another folder")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".part-") as part:
            _write(Path(part) / "site")
            shutil.rmtree(out, ignore_errors=True)
            os.replace(Path(part) / "site", out)
    return out


def _write(place):
    """Render what the navigation names, then what those pages link to, and so on."""
    place.mkdir()
    (place / "site.css").write_text(_style(), encoding="utf-8")
    waiting, seen = [PurePosixPath(path) for path, _ in _navigation()], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        target = place / _address(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        body = GENERATED[str(path)]() if str(path) in GENERATED else _render(root() / path)
        if body is None:
            shutil.copyfile(root() / path, target)
            continue
        text, linked = _page(path, body)
        target.write_text(text, encoding="utf-8")
        waiting += linked


def _navigation():
    notebooks = [
        (f"notebooks/{path.name}", path.stem[:2])
        for path in sorted((root() / "notebooks").glob("*.ipynb"))
    ]
    return [
        ("README.md", "SCS-Siam"),
        *notebooks,
        ("api.html", "API"),
        ("claims.html", "claims"),
        ("figures.html", "figures"),
    ]


def _address(path):
    """Where a file of the project lies in the site."""
    if str(path) == "README.md":
        return PurePosixPath("index.html")
    if path.suffix in (".md", ".ipynb"):
        return path.with_suffix(".html")
    return path.with_name(path.name + ".html") if path.suffix == ".py" else path


def _render(path):
    """The body of a notebook's, a text's or a module's page; None for a file that is copied as it is."""
    if path.suffix == ".ipynb":
        from nbconvert import HTMLExporter

        return HTMLExporter(template_name="basic").from_filename(str(path))[0]
    text = path.read_text(encoding="utf-8") if path.suffix in (".md", ".py") else None
    if path.suffix == ".md":
        from nbconvert.filters import markdown2html

        return markdown2html(text)
    if path.suffix == ".py":
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        return f"<h1><code>{path.name}</code></h1>{highlight(text, PythonLexer(), HtmlFormatter())}"
    return None


def _page(path, body):
    """A whole page and the files of the project that it links to."""
    title, linked = path.name, []
    if path.suffix != ".py":  # source links to nothing
        title, body, linked = _arrange(path, body)
    up = "../" * (len(_address(path).parts) - 1)
    links = " ".join(
        f'<a href="{up}{_address(PurePosixPath(other))}"{" aria-current=page" if other == str(path) else ""} '
        f'title="{PurePosixPath(other).stem}">{name}</a>'
        for other, name in _navigation()
    )
    return PAGE.format(title=title, up=up, links=links, body=body), linked


def _arrange(path, body):
    """The title of a page, its body with links, equations and tables as the site has them, and the files linked to."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(body, "html.parser")
    for element in soup.find_all(
        ["script", "style", "link"]
    ):  # what a widget or a table brings; the site has its own style
        element.decompose()
    linked = [
        file
        for element in soup.find_all(["a", "img"])
        if (file := _link(element, path)) is not None
    ]
    _equations(soup)
    for table in soup.find_all("table"):
        table.attrs = {}
        table.wrap(soup.new_tag("div", attrs={"class": "wide"}))
    heading = soup.find("h1")
    return heading.get_text().rstrip("¶") if heading else path.name, str(soup), linked


def _link(element, path):
    """Point a link at the site's page of its file, which is returned; BadInput if there is no such file."""
    name = "src" if element.name == "img" else "href"
    address = urlsplit(element.get(name) or "")
    if address.scheme or address.netloc or not address.path:
        if element.name == "img" and address.scheme != "data":
            raise BadInput(
                f"{path}: shows {element.get(name)}, which is not in the project; a page asks no other host for anything"
            )
        return None
    linked = Path(os.path.normpath(root() / path.parent / unquote(address.path)))
    if not linked.is_relative_to(root()) or not (
        linked.exists() or str(linked.relative_to(root())) in GENERATED
    ):
        raise BadInput(f"{path}: links to {address.path}, which is not in the project")
    if linked.is_dir():
        if not (linked / "README.md").is_file():
            element.unwrap()
            return None
        linked = linked / "README.md"
    file = PurePosixPath(linked.relative_to(root()).as_posix())
    address_in_site = os.path.relpath(_address(file), _address(path).parent).replace(os.sep, "/")
    element[name] = address_in_site + (f"#{address.fragment}" if address.fragment else "")
    return file


def _equations(soup):
    """Turn $...$ and $$...$$ outside code into MathML, or into code where latex2mathml is not installed or cannot."""
    from bs4 import BeautifulSoup

    for text in soup.find_all(string=MATH):
        if not any(parent.name in ("pre", "code") for parent in text.parents):
            pieces, last = [], 0
            for match in MATH.finditer(text):
                pieces += [
                    _escape(text[last : match.start()]),
                    _equation(match[1] or match[2], match[1] is not None),
                ]
                last = match.end()
            text.replace_with(
                BeautifulSoup("".join([*pieces, _escape(text[last:])]), "html.parser")
            )


def _equation(tex, block):
    try:
        from latex2mathml.converter import convert

        mathml = convert(tex.strip(), display="block" if block else "inline")
    except (
        Exception
    ):  # not installed, or an equation that it does not know: the reader still sees the TeX
        mathml = f"<code>{_escape(tex.strip())}</code>"
    return f'<span class="wide">{mathml}</span>' if block else mathml


def _escape(text):
    from html import escape

    return escape(text, quote=False)


def _style():
    from pygments.formatters import HtmlFormatter

    light, dark = (
        HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("tango", "github-dark")
    )
    own = Path(__file__).with_name("site.css").read_text(encoding="utf-8")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"
