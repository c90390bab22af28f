"""The site: links that lead somewhere, no other host asked, equations, phone width; without a browser, then in Chromium where it is."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from scs_siam import track
from scs_siam.data import boxes
from scs_siam.tools import site

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return site.build(tmp_path_factory.mktemp("built") / "site")


@pytest.fixture(scope="module")
def soups(built):
    return {
        path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in built.rglob("*.html")
    }


def test_every_notebook_and_generated_page_is_there(built, soups):
    names = {str(path.relative_to(built)) for path in soups}
    assert {f"notebooks/{path.stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")} <= names
    assert {
        "index.html",
        "api.html",
        "claims.html",
        "figures.html",
        "DEVIATIONS.html",
        "scs_siam/soft_mask.py.html",
    } <= names
    assert sum(path.stat().st_size for path in built.rglob("*") if path.is_file()) < 30e6


def test_every_link_leads_to_a_file_or_an_anchor_of_the_site(built, soups):
    checked = 0
    for page, soup in soups.items():
        for element in soup.find_all(["a", "img", "link"]):
            address = urlsplit(element.get("href") or element.get("src"))
            if address.scheme in ("http", "https", "data") and element.name != "link":
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            assert target.is_file() and target.is_relative_to(built), (page, address)
            if address.fragment and target in soups:
                assert soups[target].find(id=unquote(address.fragment)) or soups[target].find(
                    id=address.fragment
                ), (page, address)
            checked += 1
    assert checked > 1000


def test_no_page_asks_another_host(built, soups):
    for page, soup in soups.items():
        assert not soup.find_all(["script", "iframe", "object", "embed", "style"]), page
        loaded = [
            element.get(name)
            for element in soup.find_all(True)
            for name in ("src", "srcset", "poster", "data")
            if element.get(name)
        ]
        loaded += [element["href"] for element in soup.find_all("link")]
        assert [
            address
            for address in loaded
            if not address.startswith("data:image/") and urlsplit(address).netloc
        ] == [], page
    assert not re.search(r"url\(|@import", (built / "site.css").read_text())


def test_the_api_page_has_every_public_name(soups, built):
    soup = soups[built / "api.html"]
    for module, name in ((boxes, "check_box"), (track, "Tracker"), (track, "Tracker.update")):
        entry = soup.find(id=f"{module.__name__.split('.')[-1]}.{name}").parent
        function = module
        for part in name.split("."):
            function = getattr(function, part)
        assert " ".join(function.__doc__.split()[:5]).replace("`", "") in " ".join(
            entry.get_text(" ").split()
        )
    assert soup.find(id="boxes._text") is None


def test_claims_and_figures(soups, built):
    headings = [heading["id"] for heading in soups[built / "claims.html"].find_all("h3")]
    assert headings[0] == "C01" and headings == sorted(headings)
    pictures = soups[built / "figures.html"].find_all("img")
    assert len(pictures) == len(list((ROOT / "figures").glob("*.png"))) and all(
        picture["alt"] for picture in pictures
    )


def test_equations_become_mathml_or_stay_readable(monkeypatch):
    text = r"<p>Let $p = (w + h) / 2$ cost 5 $ and 6 $.</p><p>$$ s = \sqrt{a &lt; b} $$</p><pre>$x$</pre>"
    soup = BeautifulSoup(text, "html.parser")
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    site._equations(soup)
    assert str(soup) == (
        r"<p>Let <code>p = (w + h) / 2</code> cost 5 $ and 6 $.</p>"
        r'<p><span class="wide"><code>s = \sqrt{a &lt; b}</code></span></p><pre>$x$</pre>'
    )
    monkeypatch.undo()
    pytest.importorskip("latex2mathml")
    soup = BeautifulSoup(text, "html.parser")
    site._equations(soup)
    assert (
        len(soup.find_all("math")) == 2
        and len(soup.find_all("msqrt")) == 1
        and soup.find("math", display="block")
    )


def test_a_link_that_leads_nowhere_is_named(monkeypatch, tmp_path, refused):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(site, "root", lambda: tmp_path)
    monkeypatch.setattr(
        site, "GENERATED", {name: lambda: "<p>nothing</p>" for name in site.GENERATED}
    )
    for text, words in (
        ("[a](gone.md)", "gone.md, which is not"),
        ("[a](../other)", "../other"),
        ("![a](https://example.org/a.png)", "asks no other host"),
    ):
        (tmp_path / "README.md").write_text(text)
        refused(lambda: site.build(tmp_path / "site"), "README.md", words)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "notebooks"]
    (tmp_path / "README.md").write_text("# A\n[a](notebooks) [b](api.html#x) [c](b.txt)")
    (tmp_path / "b.txt").write_text("b")
    built = site.build(tmp_path / "site")
    assert (built / "b.txt").is_file() and '<a href="api.html#x">b</a>' in (
        built / "index.html"
    ).read_text()
    refused(lambda: site.build(tmp_path / "notebooks" / ".."), "holds something else")


def test_the_pages_fit_a_phone_in_chromium(built):
    """Each page is loaded in a frame of 390 pixels and asked how wide it is."""
    browser = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if not browser:
        pytest.skip("no Chromium here")
    names = [
        str(path.relative_to(built))
        for path in sorted(built.rglob("*.html"))
        if path.parent.name != "scs_siam"
    ]
    probe = built / "probe.html"
    probe.write_text(f"""<body><script>
        for (const name of {names}) {{
          const frame = Object.assign(document.createElement("iframe"), {{src: name, width: 390, height: 800}});
          frame.onload = () => document.body.append(`[${{name}} ${{frame.contentDocument.documentElement.scrollWidth}}]`);
          document.body.append(frame);
        }}</script></body>""")
    try:
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            f"--user-data-dir={built.parent / 'profile'}",
            "--dump-dom",
            probe.as_uri(),
        ]
        page = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=True
        ).stdout
    finally:
        probe.unlink()
    widths = dict(re.findall(r"\[(\S+\.html) (\d+)\]", page))
    assert sorted(widths) == sorted(names)
    assert {name: width for name, width in widths.items() if int(width) > 390} == {}
