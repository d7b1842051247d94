"""The README's tree of files: each with the sentence that its docstring says of it.

`python tests/tree.py` writes it anew.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- tree -->", "<!-- /tree -->"


def modules() -> Iterator[Path]:
    """Every module of the two packages, a folder's `__init__.py` before its files."""
    for package in ("gancore", "sweeps"):
        files = (ROOT / package).rglob("*.py")
        yield from sorted(files, key=lambda f: (f.parent, f.name != "__init__.py", f.name))


def sentence(module: Path) -> str:
    """The first sentence of a module's docstring."""
    doc = ast.get_docstring(ast.parse(module.read_text())) or ""
    return " ".join(doc.split("\n\n")[0].split())


def render() -> str:
    """The tree as the README shows it."""
    lines = []
    for module in modules():
        path = module.relative_to(ROOT)
        folder = path.name == "__init__.py"
        depth = len(path.parts) - (2 if folder else 1)
        name = f"{path.parent.name}/" if folder else path.name
        lines.append(f"{'  ' * depth}{name:<{30 - 2 * depth}}{sentence(module)}")
    return "\n".join(["```", *lines, "```"])


def written() -> str:
    """The tree that stands in the README."""
    return (ROOT / "README.md").read_text().split(BEGIN)[1].split(END)[0].strip()


if __name__ == "__main__":
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{render()}\n{END}{rest.split(END)[1]}")
