"""What an exercise notebook imports: `check`, which judges a function where it was written.

When a class is graded, a stand-in takes this module's place in the box: it only notes which
function each check names, and the judging happens outside.
"""

import zlib

from gdlab.assignments import find_exercise
from gdlab.judge.answer import Local
from gdlab.judge.judge import judge
from gdlab.judge.verdict import Verdict


def check(name: str, function) -> Verdict:
    """Judge one of your functions, on the same public cases each time.

    Args:
        name: the exercise, as "gradient_step".
        function: your function itself, without brackets: `check("gradient_step", gradient_step)`.

    Returns:
        The verdict; as a cell's last line it shows what is right, what is not, and a picture.
    """
    try:
        exercise = find_exercise(name)
    except LookupError as unknown:
        return Verdict(str(name), 0, 0.0, 0.0, "unknown", (str(unknown),))
    return judge(exercise, Local(function), seed=public_seed(name))


def public_seed(name: str) -> int:
    """The seed of the cases that learners see; graded cases are drawn from a secret one."""
    return zlib.crc32(name.encode())
