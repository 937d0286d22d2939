"""Making a judgement again from its entry in the ledger: same cells, same cases, same limits, so the same verdicts."""

from dataclasses import dataclass
from pathlib import Path

from gdlab.grading.box import Limits
from gdlab.grading.ledger import Entry, Ledger
from gdlab.grading.results import NoGradebook, open_results
from gdlab.grading.workers import Task, heavy_imports, in_cold_boxes, in_warm_boxes
from gdlab.judge.verdict import Verdict


class NoJudgement(Exception):
    """There is no such judgement; the message says where it was looked for."""


@dataclass(frozen=True)
class Replayed:
    """A judgement as it was made, and as it came out now."""

    entry: Entry
    verdicts: dict[str, Verdict]

    @property
    def differing(self) -> tuple[str, ...]:
        """The exercises whose verdict is not the same, bit for bit."""
        before = self.entry.judged.verdicts
        return tuple(name for name in before if self.verdicts.get(name) != before[name])


def replay(out: Path, number: int, cold: bool = False) -> Replayed:
    """Judge once more what judgement `number` was made of.

    Raises:
        NoJudgement: if the ledger in `out` has no such entry.
        NoSandbox: if no box can be made.
    """
    entry = find_entry(out, number)
    limits = Limits(**entry.provenance["limits"])
    judges = in_cold_boxes(limits) if cold else in_warm_boxes(limits)
    seed = entry.provenance["seed"]
    task = Task(0, entry.assignment, entry.cells, entry.judged.left_out, (), seed, limits.pictures)
    [(_, judged)] = judges([task], heavy_imports(entry.cells))
    return Replayed(entry, judged.verdicts)


def find_entry(out: Path, number: int) -> Entry:
    """The entry of a judgement; raises `NoJudgement`."""
    try:
        with open_results(out) as book:
            entry = Ledger(book.db).entry(number)
    except NoGradebook as error:
        raise NoJudgement(str(error)) from error
    if entry is None:
        raise NoJudgement(
            f"There is no judgement {number} in {out / 'gradebook.db'}. A page of feedback says its number at the end."
        )
    return entry
