"""The attack corpus: hostile, broken and unusual submissions, each with the outcome that it must have.

A case is data: what is handed in, what it must get, and the weakened box in which it succeeds, because an
attack that fails everywhere proves nothing. `LINES` are the entries of the list that the corpus covers; a test
holds one against the other. The programs bound themselves in time, memory and processes, touch loopback
addresses and temporary folders only, and ask whether they could write where a write would land elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gdlab.grading.box import Limits

WRONG = "return 0 * theta"
RIGHT = "return theta - lr * grad"
HONEST_WALK = """
path = [theta]
for _ in range(steps):
    path.append(path[-1] - lr * grad_fn(path[-1]))
return path
"""

# A submission prints this once it has got through; no page shows it as code, because it is put together.
BOAST = "GOT-THROUGH"
BOASTS = "def boast():\n    print('GOT', 'THROUGH', sep='-', flush=True)\n"

# No submission can know the parts in braces: they are where this run put its decoys.
DECOYS = ("port", "outside", "root", "venv", "victim")

LIMITS = {
    # What runs into no limit of time gets plenty, so that a busy machine changes nothing.
    "roomy": Limits(
        cell_seconds=20,
        cells_seconds=60,
        function_seconds=20,
        memory_bytes=512 << 20,
        processes=24,
        file_bytes=8 << 20,
        disk_bytes=16 << 20,
        output_bytes=100_000,
    ),
    # What does gets little, because each second is waited for.
    "short": Limits(cell_seconds=1, cells_seconds=4, function_seconds=2, memory_bytes=512 << 20, processes=24),
    # PyTorch for GPUs takes more memory than the other cases are given, even where there is no GPU.
    "with torch": Limits(cell_seconds=60, cells_seconds=120, function_seconds=60),
}


@dataclass(frozen=True)
class Case:
    """A submission, and what must come of it.

    Attributes:
        id: its name, and its student's.
        line: the entry of `LINES` that it belongs to.
        does: what it does, in one line.
        weak: the weakened box in which it succeeds (`weak_boxes.py`).
        cell: a cell of its own, before the tasks; `boast()` is defined in it.
        step, walk: the bodies of gradient_step and descend.
        points: what these two must get.
        kind: the outcome of gradient_step, as the verdict names it.
        says: words that the feedback must hold.
        limits: which of `LIMITS`.
        fools: what the weakened box is asked, where there are several of its kind.
        hand_in: writes the submission into its folder, given a sound notebook; without it the notebook is handed in.
        student: the student's folder, where the name is the attack.
    """

    id: str
    line: str
    does: str
    weak: str
    cell: str = ""
    step: str = WRONG
    walk: str = HONEST_WALK
    points: tuple[float, float] = (0, 5)
    kind: str = "wrong"
    says: str = ""
    limits: str = "roomy"
    fools: str = ""
    hand_in: Callable[[Path, dict], None] | None = None
    student: str = ""

    @property
    def folder(self) -> str:
        """The student's folder; honest students come before, between and after."""
        return self.student or f"m {self.id}"
