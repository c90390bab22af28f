"""Pages of the site that come from data: the API by module, the claims, the figures."""

import pkgutil
from pathlib import Path

import paper_page
import try_page

import scs_siam
from scs_siam.reproduction import claims, report
from scs_siam.runtime.files import root


def write(folder: Path) -> None:
    """Write the pages as Markdown into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for page in (api, claim_list, figure_list):
        (folder / f"{page.__name__}.md").write_text(page(), encoding="utf-8")
    (folder.parent / "paper.md").write_text(paper_page.page(), encoding="utf-8")
    (try_it := folder.parent / "try.md").unlink(missing_ok=True)
    if not try_page.missing():
        try_it.write_text(try_page.page(), encoding="utf-8")


def api() -> str:
    """List every public function and class of the package, room by room."""
    found = pkgutil.walk_packages(scs_siam.__path__, "scs_siam.")
    names = ["scs_siam", *(module.name for module in found if "__main__" not in module.name)]
    public = ", ".join(f"`{name}`" for name in scs_siam.__all__)
    parts = ["# The package\n", f"`import scs_siam` gives {public}.\n"]
    for name in sorted(names, key=lambda name: name.count(".") > 1 or name.endswith("__")):
        members = "" if name == "scs_siam" else "   :members:\n"
        parts.append(f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n{members}```\n")
    return "\n".join(parts)


def claim_list() -> str:
    """List every claim of the paper with its verdict, its reason and its place in the paper."""
    profile = report.judged()
    table = claims.verdicts(profile)
    counts = table["verdict"].value_counts(sort=False).items()
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts)
    parts = [
        "# The claims of the paper",
        f"{len(table)} claims: {summary}. The verdicts are computed from the committed runs of the "
        f"profile `{profile.name}`; the claims are data in "
        "[data/claims.yaml](../../data/claims.yaml).",
    ]
    for claim in table.itertuples():
        place = f"{claim.where}; {claim.metric} on {claim.dataset}. {claim.reason}"
        parts += [f"## {claim.id}: {claim.verdict}", f"> {claim.quote}", place]
    return "\n\n".join(parts) + "\n"


def figure_list() -> str:
    """Show every figure with the text that describes it, and link the data behind it."""
    parts = ["# Figures and tables"]
    for picture in sorted((root() / "figures").glob("*.png")):
        words = picture.with_suffix(".txt")
        text = words.read_text(encoding="utf-8").strip() if words.is_file() else picture.stem
        files = [picture.with_suffix(suffix) for suffix in (".pdf", ".csv")]
        links = ", ".join(
            f"[{path.suffix[1:].upper()}](../../figures/{path.name})"
            for path in files
            if path.is_file()
        )
        alt = " ".join(text.split())
        parts.append(f"![{alt}](../../figures/{picture.name})\n\n{text} {links}")
    return "\n\n".join(parts) + "\n"
