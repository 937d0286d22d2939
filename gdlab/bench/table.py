"""A measured table, as people and as programs read it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def row_of(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def write_files(folder: Path, name: str, table: dict[str, Any], lines: list[str]) -> Path:
    """Write `table` as <name>.json, and `lines` with the table's "machine" below them as <name>.md; returns the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    machine = "; ".join(f"{what} {value}" for what, value in table["machine"].items())
    page = folder / f"{name}.md"
    page.write_text("\n".join([*lines, "", machine]) + "\n", encoding="utf-8")
    return page
