"""What an exercise notebook imports: `check`, which judges a function where it was written.

When a class is graded, a stand-in takes this module's place in the box: it only notes which
function each check names, and the judging happens outside.
"""

from gdlab.assignments import find_exercise
from gdlab.judge.answer import Failed, Local
from gdlab.judge.judge import judge, without_answer
from gdlab.judge.verdict import Verdict

PUBLIC_SEED = 1847
"""What the cases that learners see are drawn from: the year of Cauchy's paper. Graded cases come from a secret seed."""


def check(name: str, *functions) -> Verdict:
    """Judge one of your functions, on the same public cases each time.

    Args:
        name: the exercise, as "gradient_step".
        functions: your function itself, without brackets: `check("gradient_step", gradient_step)`; a few
            exercises ask for two, in the order of the check cell.

    Returns:
        The verdict; as a cell's last line it shows what is right, what is not, and a picture.
    """
    try:
        exercise = find_exercise(name)
    except LookupError as unknown:
        return Verdict(str(name), 0, 0.0, 0.0, "unknown", (str(unknown),))
    wanted = exercise.function_names
    if len(functions) != len(wanted):
        failure = Failed("missing", f"This check wants {' and '.join(wanted)}: check({name!r}, {', '.join(wanted)}).")
        return without_answer(exercise, failure)
    return judge(exercise, [Local(function) for function in functions], seed=PUBLIC_SEED)
