"""Configuration of the site (`make site`): notebooks, documents and API as a book without a server.

Sphinx reads the whole project (`sphinx-build -c docs . build/site`), so links between files are the
same on the site as in the repository. Pages load nothing from another host.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import pages  # noqa: E402
import try_page  # noqa: E402
from latex2mathml.converter import convert  # noqa: E402

project, author = "SCS-Siam", "The SCS-Siam companion authors"
copyright = "2026, the SCS-Siam companion authors. Printed numbers: Fiaz et al., CC BY 4.0"
root_doc = "docs/index"
include_patterns = ["docs/**.md", "notebooks/*.ipynb", "*.md", "figures/*.md"]
include_patterns += ["data/paper/README.md", "data/clips/README.md", "data/training_sets.md"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
suppress_warnings = ["mystnb.unknown_mime_type", "toc.not_included"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_merge_streams = True
nb_execution_mode = "off"  # the stored outputs are shown
nb_ipywidgets_js = {}  # widgets have static twins, so no script comes from another host
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
autodoc_default_options = {"exclude-members": "set"}  # of matplotlib artists

html_theme = "sphinx_book_theme"
html_title = "SCS-Siam: the paper that runs"
html_math_renderer = "mathml"
html_static_path, html_extra_path = ["static"], ["extra"]
html_css_files = ["site.css"]
html_sourcelink_suffix = ""
html_theme_options = {
    "show_navbar_depth": 1,
    "home_page_in_toc": True,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the search field stands in the sidebar
}


def mathml(self, node):
    """Write an equation as MathML, which browsers render without a script."""
    block = node.tagname == "math_block"
    equation = convert(node.astext().strip(), display="block" if block else "inline")
    self.body.append(f'<div class="math">{equation}</div>' if block else equation)
    raise_skip()


def raise_skip():
    """Leave the children of a node out, as its equation is written already."""
    from docutils.nodes import SkipNode

    raise SkipNode


def setup(app):
    """Register the equations and write the pages that come from data."""
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.connect("builder-inited", write_pages)
    app.connect("build-finished", finish_outputs)


def write_pages(app):
    """Write the pages that come from data, and the files of the page with the tracker."""
    pages.write(ROOT / "docs" / "generated")
    if lacking := try_page.missing():
        print(f"site: without the page of the tracker in the browser: {lacking}")
    else:
        try_page.write(app.outdir / "_static" / "try")


def finish_outputs(app, error):
    """Copy the files that HTML outputs of notebooks link to, and point their links at pages."""
    if error is None:
        for page in (app.outdir / "notebooks").glob("*.html"):
            text = re.sub(r'(href="\d\d_\w+)\.ipynb', r"\1.html", page.read_text("utf-8"))
            page.write_text(text, "utf-8")
        keep = shutil.ignore_patterns("*.html")
        shutil.copytree(ROOT / "figures", app.outdir / "figures", ignore=keep, dirs_exist_ok=True)
