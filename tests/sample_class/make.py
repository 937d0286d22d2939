"""Writes the sample class: eighteen notebooks as learners hand them in, and the scores they must get.

    python tests/sample_class/make.py

Each learner's answers stand below as they typed them. The notebooks are made from the released
exercise, so that they follow it when it changes; `expected.json` beside them is what the grader is held
to. A test keeps the files in step with this one.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

HERE = Path(__file__).resolve().parent
EXERCISE = HERE.parents[1] / "exercises" / "update_rule" / "update_rule.ipynb"


@dataclass(frozen=True)
class Learner:
    """One learner's work.

    Attributes:
        name: the folder in submitted/.
        step, walk: the bodies of gradient_step and descend as typed; "" leaves the stub as it was.
        scores: points for (gradient_step, descend).
        mistakes: what the judge must name, of both together.
        extra: a cell of their own, put before the first task.
        drops_checks: whether they deleted the check cells.
    """

    name: str
    step: str
    walk: str
    scores: tuple[float, float]
    mistakes: tuple[str, ...] = ()
    extra: str = ""
    drops_checks: bool = False


RIGHT_STEP = "return theta - lr * grad"
RIGHT_WALK = """
path = [theta]
for i in range(steps):
    theta = gradient_step(theta, grad_fn(theta), lr)
    path.append(theta)
return path
"""

CLASS = (
    # Right, in different styles.
    Learner("amara", RIGHT_STEP, RIGHT_WALK, (3, 5)),
    Learner(
        "bjorn",
        """
# element by element, so I can see what happens
new = np.array(theta, dtype=float)
g = np.asarray(grad)
for i in np.ndindex(new.shape):
    new[i] = new[i] - lr * g[i]
return new
""",
        """
theta = np.asarray(theta, dtype=float)
out = np.zeros((steps + 1,) + theta.shape)
out[0] = theta
for k in range(1, steps + 1):
    out[k] = out[k-1] - lr*np.asarray(grad_fn(out[k-1]))
return out
""",
        (3, 5),
    ),
    Learner(
        "chiara",
        """
import torch
t = torch.as_tensor(theta, dtype=torch.float64)
return t - lr * torch.as_tensor(grad, dtype=torch.float64)
""",
        """
import torch
pts = [torch.as_tensor(theta, dtype=torch.float64)]
for _ in range(steps):
    pts.append(gradient_step(pts[-1], grad_fn(pts[-1]), lr))
return torch.stack(pts)
""",
        (3, 5),
    ),
    Learner(
        "divya",
        "return np.add(theta, np.multiply(-lr, grad))",
        """
from itertools import accumulate
return list(accumulate(range(steps), lambda t, _: gradient_step(t, grad_fn(t), lr), initial=theta))
""",
        (3, 5),
        extra="import warnings\nwarnings.warn('trying out warnings')\nimport sys\nprint('to stderr too', file=sys.stderr)",
    ),
    Learner(
        "emeka",
        """
for k in range(50):
    print('debug: theta is', theta, 'and grad is', grad, '!' * 40)
return theta - grad * lr
""",
        """
if steps == 0:
    return [theta]
rest = descend(grad_fn, gradient_step(theta, grad_fn(theta), lr), lr, steps - 1)
return [theta] + list(rest)
""",
        (3, 5),
        extra="for i in range(100000):\n    print(i, 'lines and lines of output')",
    ),
    Learner("freya", RIGHT_STEP, RIGHT_WALK, (3, 5), extra="# scratch\n2 - 0.5 * 4", drops_checks=True),
    # The classic mistakes.
    Learner(
        "gustav",
        "return theta + lr * grad",
        RIGHT_WALK,
        (0, 0),
        ("adds-the-gradient", "climbs"),
    ),
    Learner(
        "hana",
        """
# learning rate = how often we do it?
return theta - grad
""",
        """
path = [theta]
for i in range(steps):
    theta = theta - lr * grad_fn(theta)
    path.append(theta)
return np.array(path)
""",
        (0, 5),
        ("forgets-lr",),
    ),
    Learner(
        "ivan",
        """
theta -= lr * grad
return theta
""",
        """
path = [theta]
for i in range(steps):
    theta -= lr * grad_fn(theta)
    path.append(theta)
return np.array(path)
""",
        (2, 2),
        ("changes-its-input", "same-array-appended"),
    ),
    Learner(
        "julia",
        """
new_theta = theta - lr * grad
print(new_theta)
""",
        """
for i in range(steps):
    theta = theta - lr * grad_fn(theta)
    print(i, theta)
""",
        (0, 0),
        ("prints-not-returns",),
    ),
    Learner(
        "kofi",
        "theta =- lr * grad\nreturn theta",
        """
path = []
for i in range(steps):
    theta = theta - lr * grad_fn(theta)
    path.append(theta)
return path
""",
        (0, 0),
        ("assigns-the-step", "start-not-recorded"),
    ),
    Learner(
        "lena",
        RIGHT_STEP,
        """
g = grad_fn(theta)      # only once, it is expensive
path = [theta]
for i in range(steps):
    path.append(path[-1] - lr * g)
return path
""",
        (3, 0),
        ("gradient-never-recomputed",),
    ),
    Learner(
        "mateo",
        "return theta - lr * np.mean(grad)",
        """
t = np.array(theta, dtype=float)
path = [t.copy()]
for _ in range(steps):
    for i in np.ndindex(t.shape):
        t[i] = t[i] - lr * np.asarray(grad_fn(t))[i]
    path.append(t.copy())
return path
""",
        (1, 2),
        ("one-slope-for-all", "one-coordinate-at-a-time"),
    ),
    # Half done, untouched, broken.
    Learner("noor", RIGHT_STEP, "", (3, 0)),
    Learner("oskar", "", "", (0, 0)),
    Learner(
        "priya",
        "return theta - learning_rate * grad",
        """
path = [theta]
for i in range(steps)
    path.append(gradient_step(path[-1], grad_fn(path[-1]), lr))
return path
""",
        (0, 0),
    ),
    Learner(
        "quinn",
        RIGHT_STEP,
        """
path = [theta]
n = 0
while n < steps:
    path.append(gradient_step(path[-1], grad_fn(path[-1]), lr))
return path
""",
        (3, 0),
    ),
    Learner(
        "rosa",
        RIGHT_STEP,
        """
# stop when it no longer moves
path = [theta]
while True:
    new = gradient_step(path[-1], grad_fn(path[-1]), lr)
    path.append(new)
    if len(path) == steps:
        break
return path
""",
        (3, 0),
    ),
)


def notebook_of(learner: Learner) -> NotebookNode:
    """The released exercise as this learner handed it in, with the odd output left behind."""
    notebook = nbformat.read(EXERCISE, as_version=4)
    for cell in notebook.cells:
        body = {"gradient_step": learner.step, "descend": learner.walk}.get(cell.id.replace("-", "_"), "")
        if body:
            stub = cell.source.index("    # YOUR CODE HERE")
            cell.source = cell.source[:stub] + "\n".join(
                f"    {line}" if line else line for line in body.strip("\n").splitlines()
            )
        if cell.id == "setup":
            cell.execution_count = 1
            cell.outputs = [new_output("display_data", data={"text/plain": "<gdlab.figures.bowl.BowlWalk object>"})]
    if learner.extra:
        notebook.cells[2:2] = [
            new_markdown_cell("my notes", id="my-notes"),
            new_code_cell(learner.extra, id="my-scratch"),
        ]
    if learner.drops_checks:
        notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("check-")]
    return notebook


def expected() -> dict:
    """The scores and mistakes that the judge must give, by learner."""
    return {
        learner.name: {
            "gradient_step": learner.scores[0],
            "descend": learner.scores[1],
            "mistakes": list(learner.mistakes),
        }
        for learner in CLASS
    }


def write(folder: Path) -> None:
    """Write submitted/ and expected.json below `folder`."""
    shutil.rmtree(folder / "submitted", ignore_errors=True)
    for learner in CLASS:
        path = folder / "submitted" / learner.name / "update_rule" / "update_rule.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook_of(learner), path)
    (folder / "expected.json").write_text(json.dumps(expected(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(HERE)
