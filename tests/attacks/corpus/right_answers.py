"""Right answers that other graders punish: each gets all its points.

`fools` names the careless grader that takes points from it (`weak_boxes.py`).
"""

import json

from corpus import HONEST_WALK, RIGHT, Case

LINES = (
    "warns",
    "prints",
    "writes stderr",
    "returns a list, a tuple, float32, a Python scalar",
    "modifies a copy",
    "uses torch tensors for arrays",
    "defines helpers in other cells",
    "out-of-order execution counts",
    "slow but within the limit",
    "extra cells",
    "extra imports",
)
KINDS = LINES[3]


def punished(id: str, line: str, does: str, fools: str, cell: str = "", step: str = RIGHT, **more) -> Case:
    return Case(id, line, does, "punishing", cell, step, points=(3, 5), kind="right", fools=fools, **more)


def out_of_order(folder, notebook):
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for count, cell in zip(range(len(code), 0, -1), code, strict=True):
        cell["execution_count"] = count
    (folder / "update_rule.ipynb").write_text(json.dumps(notebook))


CASES = (
    punished(
        "warns",
        "warns",
        "warns in the function",
        "warnings are errors",
        step="import warnings\nwarnings.warn('this is only a draft')\n" + RIGHT,
    ),
    punished(
        "deprecated",
        "warns",
        "uses what will go some day",
        "warnings are errors",
        step="import warnings\nwarnings.warn('old', DeprecationWarning)\n" + RIGHT,
    ),
    punished(
        "prints", "prints", "prints in the function", "reads what is printed", step="print('theta:', theta)\n" + RIGHT
    ),
    punished("prints-in-a-cell", "prints", "prints in a cell", "reads what is printed", "print('hello')"),
    punished(
        "writes-stderr",
        "writes stderr",
        "writes to standard error, where nbgrader looks for failures",
        "stderr is failure",
        step="import sys\nprint('still here', file=sys.stderr)\n" + RIGHT,
    ),
    punished(
        "list",
        KINDS,
        "returns a list",
        "wants an array",
        step="return np.subtract(theta, lr * np.asarray(grad)).tolist()",
    ),
    punished(
        "tuple",
        KINDS,
        "returns a tuple",
        "wants an array",
        step="moved = theta - lr * grad\nreturn moved if np.ndim(moved) < 1 else tuple(moved)",
    ),
    punished(
        "float32",
        KINDS,
        "counts in single precision",
        "to the last bit",
        step="return np.float32(theta) - np.float32(lr) * np.float32(grad)",
    ),
    punished(
        "scalar",
        KINDS,
        "returns a Python number for a number",
        "wants an array",
        step="moved = theta - lr * grad\nreturn float(moved) if np.ndim(moved) == 0 else list(moved)",
    ),
    punished(
        "copy",
        "modifies a copy",
        "writes into an array, which is its own",
        "forbids -=",
        step="moved = np.array(theta, dtype=float)\nmoved -= lr * np.asarray(grad)\nreturn moved",
    ),
    punished(
        "torch",
        "uses torch tensors for arrays",
        "answers with tensors",
        "wants an array",
        step="import torch\nreturn torch.as_tensor(theta) - lr * torch.as_tensor(grad)",
        limits="with torch",
    ),
    punished(
        "helpers",
        "defines helpers in other cells",
        "calls a function of another cell",
        "takes the function alone",
        "def scaled(grad, lr):\n    return lr * grad",
        "return theta - scaled(grad, lr)",
    ),
    punished(
        "constants",
        "defines helpers in other cells",
        "uses a number of another cell",
        "takes the function alone",
        "DOWNHILL = -1",
        "return theta + DOWNHILL * lr * grad",
    ),
    punished(
        "out-of-order",
        "out-of-order execution counts",
        "was run from the bottom up",
        "by execution count",
        hand_in=out_of_order,
    ),
    punished(
        "slow",
        "slow but within the limit",
        "thinks a while about each answer",
        "a fifth of a second",
        step="import time\ntime.sleep(0.25)\n" + RIGHT,
    ),
    punished("extra-cells", "extra cells", "a cell of its own before the tasks", "counts cells", "2 - 0.5 * 4"),
    punished(
        "extra-imports",
        "extra imports",
        "imports what nobody asked for",
        "allows numpy alone",
        "import itertools, math, collections",
    ),
    Case(
        "walks-with-its-step",
        "defines helpers in other cells",
        "descend calls gradient_step, the answer of another task",
        "punishing",
        step=RIGHT,
        walk=HONEST_WALK.replace("path[-1] - lr * grad_fn(path[-1])", "gradient_step(path[-1], grad_fn(path[-1]), lr)"),
        points=(3, 5),
        kind="right",
        fools="takes descend alone",
    ),
)
