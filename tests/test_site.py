"""The site: every link resolves, no page loads anything from another host, every page fits a phone."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
LOADED = {"script": "src", "img": "src", "iframe": "src", "video": "src", "source": "src"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site, built with warnings (a link that leads nowhere, for example) as errors."""
    for name in ("sphinx", "myst_nb", "sphinx_book_theme", "latex2mathml"):
        pytest.importorskip(name)
    out = tmp_path_factory.mktemp("built") / "site"
    sphinx = [sys.executable, "-m", "sphinx", "-qW", "--keep-going", "-c", ROOT / "docs"]
    done = subprocess.run([*sphinx, "-d", out.parent / "tree", ROOT, out], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return out


@pytest.fixture(scope="module")
def soups(built):
    pages = [path for path in built.rglob("*.html") if "_static" not in path.parts]
    return {path: BeautifulSoup(path.read_text("utf-8"), "html.parser") for path in pages}


def test_every_notebook_and_generated_page_is_there(built, soups):
    names = {str(path.relative_to(built)) for path in soups}
    assert {f"notebooks/{path.stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")} <= names
    generated = {f"docs/generated/{name}.html" for name in ("api", "claim_list", "figure_list")}
    pages = {"index.html", "README.html", "DEVIATIONS.html", "docs/paper.html"}
    assert pages | generated <= names
    assert (
        sum(path.stat().st_size for path in built.rglob("*") if path.is_file()) < 80e6
    )  # 20 of them are programs and weights of docs/try.html


def test_links_resolve_and_nothing_comes_from_another_host(built, soups):
    checked = 0
    for page, soup in soups.items():
        for element in soup.find_all(["a", "link", *LOADED]):
            address = urlsplit(element.get(LOADED.get(element.name, "href")) or "")
            if address.scheme or address.netloc:
                assert element.name == "a" or address.scheme == "data", (page, element)
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            assert target.is_file() and target.is_relative_to(built), (page, address)
            checked += 1
    assert checked > 1000
    styles = "".join(path.read_text("utf-8") for path in (built / "_static").rglob("*.css"))
    assert not re.search(r"(url\(|@import\s+)[\"']?(https?:)?//", styles)


def test_the_api_page_has_the_public_names(soups, built):
    import scs_siam

    soup = soups[built / "docs" / "generated" / "api.html"]
    for name in ("data.boxes.check_box", "track.Tracker", "track.Tracker.update"):
        assert soup.find(id=f"scs_siam.{name}"), name
    assert soup.find(id="scs_siam.data.boxes._text") is None
    assert all(soup.find(string=re.compile(rf"\b{name}\b")) for name in scs_siam.__all__)


def test_claims_and_figures(soups, built):
    folder = built / "docs" / "generated"
    headings = [
        head.get_text() for head in soups[folder / "claim_list.html"].find("article").find_all("h2")
    ]
    assert headings[0].startswith("C01") and headings == sorted(headings)
    pictures = soups[folder / "figure_list.html"].find("article").find_all("img")
    assert len(pictures) == len(list((ROOT / "figures").glob("*.png")))
    assert all(picture["alt"] for picture in pictures)


def test_the_annotated_paper_has_everything_that_the_data_hold(soups, built):
    """Claims, equations, tables, figures, findings and deviations; quotes stand in the text."""
    import yaml

    article = soups[built / "docs" / "paper.html"].find("article")
    notes = {note["id"].removeprefix("note-") for note in article.select("details.note[id]")}
    claims = yaml.safe_load((ROOT / "data" / "claims.yaml").read_text("utf-8"))["claims"]
    with open(ROOT / "data" / "paper" / "inconsistencies.csv", encoding="utf-8") as file:
        findings = list(csv.DictReader(file))
    deviations = re.findall(r"^\| (D\d+) ", (ROOT / "DEVIATIONS.md").read_text("utf-8"), re.M)
    expected = {entry["id"] for entry in (*claims, *findings)} | {*deviations}
    assert len(deviations) > 20 and expected <= notes

    def letters(text):
        return re.sub(
            r"[\s\-]|\[[^\[\]]*(?:attempted|reproduced|inconclusive|comparable|disagrees)\]",
            "",
            text,
        ).lower()

    page = BeautifulSoup(str(article), "html.parser")
    for note in page.select("details, small.verdict"):
        note.decompose()
    plain = letters(page.get_text()).translate(str.maketrans("‘’", "''"))
    with open(ROOT / "data" / "paper" / "text.csv", encoding="utf-8") as file:
        numbers = [row for row in csv.DictReader(file) if "Figure" not in row["section"]]
    for entry in (*claims, *findings, *numbers):
        if entry["quote"] != "1,12,578":  # of Table 2, where it is shown as the number that it is
            assert letters(entry["quote"]).translate(str.maketrans("‘’", "''")) in plain, entry
    marked = {link["href"] for link in article.select("small.verdict a")}
    assert {f"#note-{entry['id']}" for entry in claims} <= marked
    assert len(article.find_all("math", display="block")) == 7
    assert len(article.select("details.code")) >= 7
    assert len(article.select("table.printed")) == 10
    pictures = {Path(image["src"]).stem for image in article.find_all("img")}
    assert {f"figure{number}" for number in range(1, 11)} <= pictures
    assert article.find("a", href=re.compile("creativecommons.org/licenses/by/4.0"))
    for link in article.find_all("a", href=re.compile("#")):
        address = urlsplit(link["href"])
        if not address.netloc:
            page = (built / "docs" / address.path).resolve() if address.path else None
            target = soups[page] if page else article
            assert target.find(id=address.fragment), link


def test_equations_are_mathml(soups, built):
    pages = [soups[path] for path in (built / "notebooks").glob("*.html")]
    assert sum(len(page.find_all("math")) for page in pages) > 10
    assert not any(re.search(r"\$\\\w+", page.find("article").get_text()) for page in pages)


def test_the_pages_fit_a_phone_in_chromium(built):
    """Each page is loaded in a frame of 390 pixels and asked how wide it is."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium here")
    pages = [path for path in built.rglob("*.html") if not {"_static", "_modules"} & {*path.parts}]
    names = sorted(str(path.relative_to(built)) for path in pages)
    probe = built / "probe.html"
    probe.write_text(f"""<body><script>
        for (const name of {names}) {{
          const frame = Object.assign(document.createElement("iframe"), {{src: name, width: 390, height: 800}});
          frame.onload = () => document.body.append(`[${{name}} ${{frame.contentDocument.documentElement.scrollWidth}}]`);
          document.body.append(frame);
        }}</script></body>""")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    options += ["--virtual-time-budget=20000", f"--user-data-dir={built.parent / 'profile'}"]
    command = [browser, *options, "--dump-dom", probe.as_uri()]
    page = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    widths = dict(re.findall(r"\[(\S+\.html) (\d+)\]", page))
    assert sorted(widths) == names
    assert {name: width for name, width in widths.items() if int(width) > 390} == {}
