"""The audit's table, as a page and for machines."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gdlab.assignments import exercises_of
from gdlab.audit.audit import Audited

COLUMNS = (
    ("mistakes named", "named", "mistakes"),
    ("right answers accepted", "accepted", "alternatives"),
    ("lazy answers refused", "refused", "lazy"),
    ("mutants killed", "killed", "mutants"),
)
"""Heading, how many were judged as they should be, and of how many."""


def as_json(audited: Sequence[Audited]) -> str:
    """Counts and misses of each exercise."""
    return json.dumps(msgspec.to_builtins(audited), indent=1, ensure_ascii=False) + "\n"


def as_markdown(audited: Sequence[Audited]) -> str:
    """The table, what lies behind it, and why some mutants are no mistakes."""
    heads = ["exercise", *(heading for heading, _, _ in COLUMNS), "equivalent"]
    lines = [_row(heads), _row(["---", *["---:"] * (len(heads) - 1)])]
    lines += [_row([f"`{one.exercise}`", *_counts([one]), str(one.equivalent)]) for one in audited]
    lines.append(
        _row([f"**{len(audited)} exercises**", *_counts(audited), str(sum(one.equivalent for one in audited))])
    )
    rounds = ", ".join(sorted({f"{one.rounds}" for one in audited}))
    lines += [
        "",
        f"Made by `gdlab audit --out benchmarks`, with {rounds} rounds of fresh cases for each mistake and each right answer.",
        "",
    ]
    lines += [line for one in audited for line in _equivalents(one)]
    return "\n".join(lines).rstrip() + "\n"


def write(audited: Sequence[Audited], folder: Path) -> Path:
    """Write audit.md and audit.json into a folder; returns the former."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit.json").write_text(as_json(audited), encoding="utf-8")
    page = folder / "audit.md"
    page.write_text(as_markdown(audited), encoding="utf-8")
    return page


def _counts(audited: Sequence[Audited]) -> list[str]:
    return [
        f"{sum(getattr(a, good) for a in audited)} of {sum(getattr(a, of) for a in audited)}" for _, good, of in COLUMNS
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _equivalents(one: Audited) -> list[str]:
    reasons = exercises_of(one.assignment)[one.exercise].equivalent_mutants
    return [f"- `{one.exercise}`: `{change}`. {reason}" for change, reason in reasons.items()]
