"""Writes the sample class: eighteen notebooks as learners hand them in, and the scores they must get.

    python tests/sample_class/make.py

Each learner's answers stand below as they typed them. The notebooks are made from the released
exercise, so that they follow it when it changes; `expected.json` beside them is what the grader is held
to. A test keeps the files in step with this one.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
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
        answers: the bodies of functions as typed, by the function's name; a stub without one is left as it was.
        points: what each function must get; 0 where nothing is said.
        mistakes: what the judge must name, of all functions together.
        extra: a cell of their own, put before the first task.
        drops_checks: whether they deleted the check cells.
    """

    name: str
    answers: Mapping[str, str]
    points: Mapping[str, float] = field(default_factory=dict)
    mistakes: tuple[str, ...] = ()
    extra: str = ""
    drops_checks: bool = False


POINTS = {
    "gradient_step": 3,
    "descend": 5,
    "numerical_gradient": 4,
    "stable_learning_rate": 3,
    "classify_run": 5,
}
"""What each function is worth."""

RIGHT_STEP = "return theta - lr * grad"
RIGHT_WALK = """
path = [theta]
for i in range(steps):
    theta = gradient_step(theta, grad_fn(theta), lr)
    path.append(theta)
return path
"""
RIGHT_SLOPE = """
theta = np.array(theta, dtype=float)
grad = np.zeros(theta.shape)
for i in np.ndindex(theta.shape):
    e = np.zeros(theta.shape)
    e[i] = h
    grad[i] = (loss_fn(theta + e) - loss_fn(theta - e)) / (2 * h)
return grad
"""
RIGHT_LIMIT = "return 2 / np.linalg.eigvalsh(hessian).max()"
RIGHT_WORD = """
if not np.isfinite(losses).all() or losses[-1] > losses[0]:
    return "diverging"
if np.mean(losses[1:] > losses[:-1]) > 1/4:
    return "oscillating"
if losses[-1] > 0.9 * losses[0]:
    return "crawling"
return "converging"
"""
RIGHT = {
    "gradient_step": RIGHT_STEP,
    "descend": RIGHT_WALK,
    "numerical_gradient": RIGHT_SLOPE,
    "stable_learning_rate": RIGHT_LIMIT,
    "classify_run": RIGHT_WORD,
}

CLASS = (
    # Right, in different styles.
    Learner("amara", RIGHT, POINTS),
    Learner(
        "bjorn",
        {
            "gradient_step": """
# element by element, so I can see what happens
new = np.array(theta, dtype=float)
g = np.asarray(grad)
for i in np.ndindex(new.shape):
    new[i] = new[i] - lr * g[i]
return new
""",
            "descend": """
theta = np.asarray(theta, dtype=float)
out = np.zeros((steps + 1,) + theta.shape)
out[0] = theta
for k in range(1, steps + 1):
    out[k] = out[k-1] - lr*np.asarray(grad_fn(out[k-1]))
return out
""",
            "numerical_gradient": """
x = np.array(theta, dtype=float)     # a copy, and not of ints
g = np.zeros_like(x)
for i in np.ndindex(x.shape):
    old = x[i]
    x[i] = old + h
    up = loss_fn(x)
    x[i] = old - h
    down = loss_fn(x)
    x[i] = old          # put it back!!
    g[i] = (up - down) / (2*h)
return g
""",
            "stable_learning_rate": """
steepest = 0
for curvature in np.linalg.eig(hessian)[0]:
    if curvature > steepest:
        steepest = curvature
return 2 / steepest
""",
            "classify_run": """
for loss in losses:
    if not np.isfinite(loss):
        return "diverging"
if losses[-1] > losses[0]:
    return "diverging"
rises = 0
for k in range(1, len(losses)):
    if losses[k] > losses[k-1]:
        rises += 1
if rises / (len(losses) - 1) > 0.25:
    return "oscillating"
fell = losses[0] - losses[-1]
if fell < losses[0] / 10:
    return "crawling"
else:
    return "converging"
""",
        },
        POINTS,
    ),
    Learner(
        "chiara",
        {
            "gradient_step": """
import torch
t = torch.as_tensor(theta, dtype=torch.float64)
return t - lr * torch.as_tensor(grad, dtype=torch.float64)
""",
            "descend": """
import torch
pts = [torch.as_tensor(theta, dtype=torch.float64)]
for _ in range(steps):
    pts.append(gradient_step(pts[-1], grad_fn(pts[-1]), lr))
return torch.stack(pts)
""",
            "numerical_gradient": """
import torch
t = torch.as_tensor(theta, dtype=torch.float64)
flat = t.flatten()
out = torch.empty_like(flat)
for i in range(len(flat)):
    bump = torch.zeros_like(flat)
    bump[i] = h
    out[i] = (loss_fn((flat + bump).reshape(t.shape)) - loss_fn((flat - bump).reshape(t.shape))) / (2 * h)
return out.reshape(t.shape)
""",
            "stable_learning_rate": """
import torch
return 2 / torch.linalg.eigvalsh(torch.tensor(hessian)).max()
""",
            "classify_run": """
import torch
l = torch.tensor(losses)
if (~torch.isfinite(l)).any() or l[-1] > l[0]:
    return "diverging"
if (l.diff() > 0).double().mean() > 0.25:
    return "oscillating"
return "crawling" if (l[0] - l[-1]) / l[0] < 0.1 else "converging"
""",
        },
        POINTS,
    ),
    Learner(
        "divya",
        {
            "gradient_step": "return np.add(theta, np.multiply(-lr, grad))",
            "descend": """
from itertools import accumulate
return list(accumulate(range(steps), lambda t, _: gradient_step(t, grad_fn(t), lr), initial=theta))
""",
            "numerical_gradient": """
shape = np.shape(theta)
return np.reshape([(loss_fn(theta + e) - loss_fn(theta - e)) / (2 * h)
                   for e in h * np.eye(np.size(theta)).reshape(-1, *shape)], shape)
""",
            "stable_learning_rate": "return 2 / np.linalg.norm(hessian, 2)",
            "classify_run": """
tests = {
    "diverging": lambda: not np.isfinite(losses).all() or losses[-1] > losses[0],
    "oscillating": lambda: (np.diff(losses) > 0).mean() > 0.25,
    "crawling": lambda: losses[0] - losses[-1] < losses[0] / 10,
    "converging": lambda: True,
}
return next(word for word, fits in tests.items() if fits())
""",
        },
        POINTS,
        extra="import warnings\nwarnings.warn('trying out warnings')\nimport sys\nprint('to stderr too', file=sys.stderr)",
    ),
    Learner(
        "emeka",
        {
            "gradient_step": """
for k in range(50):
    print('debug: theta is', theta, 'and grad is', grad, '!' * 40)
return theta - grad * lr
""",
            "descend": """
if steps == 0:
    return [theta]
rest = descend(grad_fn, gradient_step(theta, grad_fn(theta), lr), lr, steps - 1)
return [theta] + list(rest)
""",
            "numerical_gradient": """
# five points are better than three
theta = np.asarray(theta) * 1.0
g = np.full(theta.shape, np.nan)
for i, _ in np.ndenumerate(theta):
    e = np.zeros(theta.shape)
    e[i] = h
    near = loss_fn(theta + e) - loss_fn(theta - e)
    far = loss_fn(theta + 2*e) - loss_fn(theta - 2*e)
    g[i] = (8*near - far) / (12*h)
    print('debug: slope number', i, 'is', g[i])
return g
""",
            "stable_learning_rate": """
# power iteration, we had it in linear algebra
v = np.random.default_rng(0).normal(size=len(hessian))
for k in range(500):
    v = hessian @ v
    v = v / np.sqrt(v @ v)
print('debug: lambda max =', v @ hessian @ v)
return 2 / (v @ hessian @ v)
""",
            "classify_run": """
l = list(losses)
up = sum(b > a for a, b in zip(l, l[1:]))
if any(x != x or abs(x) == float('inf') for x in l): return 'diverging'
if l[-1] > l[0]: return 'diverging'
if 4 * up > len(l) - 1: return 'oscillating'
if l[0] - l[-1] < l[0] / 10: return 'crawling'
return 'converging'
""",
        },
        POINTS,
        extra="for i in range(100000):\n    print(i, 'lines and lines of output')",
    ),
    Learner("freya", RIGHT, POINTS, extra="# scratch\n2 - 0.5 * 4", drops_checks=True),
    # The classic mistakes.
    Learner(
        "gustav",
        {
            "gradient_step": "return theta + lr * grad",
            "descend": RIGHT_WALK,
            "numerical_gradient": """
theta = np.array(theta, dtype=float)
grad = np.zeros(theta.shape)
for i in np.ndindex(theta.shape):
    e = np.zeros(theta.shape)
    e[i] = h
    left = loss_fn(theta - e)
    right = loss_fn(theta + e)
    grad[i] = (left - right) / (2 * h)
return grad
""",
            "stable_learning_rate": "return max(np.linalg.eigvalsh(hessian)) / 2",
        },
        {},
        ("adds-the-gradient", "climbs", "down-minus-up", "upside-down"),
    ),
    Learner(
        "hana",
        {
            "gradient_step": """
# learning rate = how often we do it?
return theta - grad
""",
            "descend": """
path = [theta]
for i in range(steps):
    theta = theta - lr * grad_fn(theta)
    path.append(theta)
return np.array(path)
""",
            "numerical_gradient": """
# definition of the derivative
theta = np.array(theta, dtype=float)
f0 = loss_fn(theta)
g = np.zeros(theta.shape)
for i in np.ndindex(theta.shape):
    t = theta.copy()
    t[i] += h
    g[i] = (loss_fn(t) - f0) / h
return g
""",
            "stable_learning_rate": "return 2 / np.trace(hessian)",
            "classify_run": """
d = np.diff(losses)
if not np.isfinite(losses).all() or losses[-1] > losses[0]:
    return "diverging"
elif any(d > 0):
    return "oscillating"
elif -sum(d) < 0.1 * losses[0]:
    return "crawling"
else:
    return "converging"
""",
        },
        {"descend": 5, "classify_run": 4},
        ("forgets-lr", "one-sided", "sum-of-curvatures", "any-rise-is-oscillation"),
    ),
    Learner(
        "ivan",
        {
            "gradient_step": """
theta -= lr * grad
return theta
""",
            "descend": """
path = [theta]
for i in range(steps):
    theta -= lr * grad_fn(theta)
    path.append(theta)
return np.array(path)
""",
            "numerical_gradient": """
theta = np.asarray(theta, dtype=float)
grad = np.zeros(theta.shape)
for i in np.ndindex(theta.shape):
    theta[i] += h
    up = loss_fn(theta)
    theta[i] -= 2 * h
    down = loss_fn(theta)
    grad[i] = (up - down) / (2 * h)
return grad
""",
            "stable_learning_rate": """
lam, vec = np.linalg.eigh(hessian)
return 2 / lam[-1]
""",
            "classify_run": """
if losses[-1] > losses[0]:
    return "diverging"
if np.mean(np.diff(losses) > 0) > 0.25:
    return "oscillating"
if losses[0] - losses[-1] < 0.1 * losses[0]:
    return "crawling"
return "converging"
""",
        },
        {"gradient_step": 2, "descend": 2, "numerical_gradient": 1, "stable_learning_rate": 3, "classify_run": 4},
        ("changes-its-input", "same-array-appended", "never-moves-back", "misses-nan"),
    ),
    Learner(
        "julia",
        {
            "gradient_step": """
new_theta = theta - lr * grad
print(new_theta)
""",
            "descend": """
for i in range(steps):
    theta = theta - lr * grad_fn(theta)
    print(i, theta)
""",
            "numerical_gradient": """
theta = np.array(theta, dtype=float)
for i in np.ndindex(theta.shape):
    e = np.zeros(theta.shape)
    e[i] = h
    print((loss_fn(theta + e) - loss_fn(theta - e)) / (2 * h))
""",
            "stable_learning_rate": "print(2 / np.linalg.eigvalsh(hessian)[-1])",
            "classify_run": """
if losses[-1] > losses[0]:
    print("diverging")
else:
    print("converging")
""",
        },
        {},
        ("prints-not-returns",),
    ),
    Learner(
        "kofi",
        {
            "gradient_step": "theta =- lr * grad\nreturn theta",
            "descend": """
path = []
for i in range(steps):
    theta = theta - lr * grad_fn(theta)
    path.append(theta)
return path
""",
            "numerical_gradient": """
theta = np.array(theta, dtype=float)
grad = np.zeros(theta.shape)
for i in np.ndindex(theta.shape):
    e = np.zeros(theta.shape)
    e[i] = h
    grad[i] = (loss_fn(theta + e) - loss_fn(theta - e)) / 2*h
return grad
""",
            "stable_learning_rate": "return 2 / abs(hessian).max()   # the biggest curvature",
            "classify_run": """
if not np.isfinite(losses).all() or losses[-1] > losses[0]:
    return "diverging"
if (np.diff(losses) > 0).mean() > 0.25:
    return "oscillating"
if losses[0] - losses[-1] < 0.1:
    return "crawling"
return "converging"
""",
        },
        {"stable_learning_rate": 1, "classify_run": 2},
        ("assigns-the-step", "start-not-recorded", "multiplies-by-h", "largest-entry", "absolute-drop"),
    ),
    Learner(
        "lena",
        {
            "gradient_step": RIGHT_STEP,
            "descend": """
g = grad_fn(theta)      # only once, it is expensive
path = [theta]
for i in range(steps):
    path.append(path[-1] - lr * g)
return path
""",
            "numerical_gradient": """
slope = (loss_fn(theta + h) - loss_fn(theta - h)) / (2 * h)   # two calls are enough
return slope * np.ones(np.shape(theta))
""",
            "stable_learning_rate": """
# from the internet: optimal learning rate for quadratics
lam = np.linalg.eigvalsh(hessian)
return 2 / (lam.min() + lam.max())
""",
            "classify_run": RIGHT_WORD,
        },
        {"gradient_step": 3, "numerical_gradient": 1, "classify_run": 5},
        ("gradient-never-recomputed", "moves-all-coordinates", "best-not-limit"),
    ),
    Learner(
        "mateo",
        {
            "gradient_step": "return theta - lr * np.mean(grad)",
            "descend": """
t = np.array(theta, dtype=float)
path = [t.copy()]
for _ in range(steps):
    for i in np.ndindex(t.shape):
        t[i] = t[i] - lr * np.asarray(grad_fn(t))[i]
    path.append(t.copy())
return path
""",
            "numerical_gradient": """
g = np.zeros_like(theta)
for i in np.ndindex(g.shape):
    up = np.array(theta)
    down = np.array(theta)
    up[i] += h
    down[i] -= h
    g[i] = (loss_fn(up) - loss_fn(down)) / (2 * h)
return g
""",
            "stable_learning_rate": "return 2 / np.linalg.norm(hessian)",
            "classify_run": """
if not all(np.isfinite(losses)) or losses[-1] > losses[0]:
    return "diverging"
if np.mean(np.diff(losses) > 0) > 0.25:
    return "oscillating"
# less than ten percent left = learned
return "converging" if losses[-1] <= 0.1 * losses[0] else "crawling"
""",
        },
        {"gradient_step": 1, "descend": 2, "numerical_gradient": 2, "classify_run": 1},
        ("one-slope-for-all", "one-coordinate-at-a-time", "whole-numbers", "frobenius-norm", "wants-zero-loss"),
    ),
    # Half done, untouched, broken.
    Learner("noor", {"gradient_step": RIGHT_STEP}, {"gradient_step": 3}),
    Learner("oskar", {}),
    Learner(
        "priya",
        {
            "gradient_step": "return theta - learning_rate * grad",
            "descend": """
path = [theta]
for i in range(steps)
    path.append(gradient_step(path[-1], grad_fn(path[-1]), lr))
return path
""",
            "numerical_gradient": """
grad = np.zeros(theta)
for i in range(len(theta)):
    grad[i] = (loss_fn(theta[i] + h) - loss_fn(theta[i] - h)) / (2 * h)
return grad
""",
            "stable_learning_rate": "return 2 / max(np.linalg.eigvalsh(Hessian))",
            "classify_run": """
if losses[len(losses)] > losses[0]:
    return "diverging"
return "converging"
""",
        },
    ),
    Learner(
        "quinn",
        {
            "gradient_step": RIGHT_STEP,
            "descend": """
path = [theta]
n = 0
while n < steps:
    path.append(gradient_step(path[-1], grad_fn(path[-1]), lr))
return path
""",
            "numerical_gradient": """
theta = np.array(theta, dtype=float)
grad = np.zeros(theta.shape)
for i in np.ndindex(theta.shape):
    e = np.zeros(theta.shape)
    e[i] = h
    grad[i] = (loss_fn(theta + e) - loss_fn(theta - e)) / h
return grad
""",
            "stable_learning_rate": RIGHT_LIMIT,
            "classify_run": """
if not np.isfinite(losses).all() or losses[-1] > losses[0]:
    return "diverging"
if (np.diff(losses) > 0).mean() > 0.25:
    return "oscillating"
return "convergent"     # crawling: ask in the lab
""",
        },
        {"gradient_step": 3, "stable_learning_rate": 3, "classify_run": 1},
        ("divides-by-h",),
    ),
    Learner(
        "rosa",
        {
            "gradient_step": RIGHT_STEP,
            "descend": """
# stop when it no longer moves
path = [theta]
while True:
    new = gradient_step(path[-1], grad_fn(path[-1]), lr)
    path.append(new)
    if len(path) == steps:
        break
return path
""",
            "numerical_gradient": RIGHT_SLOPE,
            "stable_learning_rate": "return 2 / np.linalg.eigvalsh(hessian)[0]   # [0] = the first = the largest",
            "classify_run": """
if (np.diff(losses) > 0).mean() > 0.25:
    return "oscillating"
if not np.isfinite(losses).all() or losses[-1] > losses[0]:
    return "diverging"
if losses[0] - losses[-1] < 0.1 * losses[0]:
    return "crawling"
return "converging"
""",
        },
        {"gradient_step": 3, "numerical_gradient": 4, "classify_run": 2},
        ("smallest-curvature", "oscillation-before-divergence"),
    ),
)


def notebook_of(learner: Learner) -> NotebookNode:
    """The released exercise as this learner handed it in, with the odd output left behind."""
    notebook = nbformat.read(EXERCISE, as_version=4)
    for cell in notebook.cells:
        body = learner.answers.get(cell.id.replace("-", "_"), "")
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
    """The points and mistakes that the judge must give, by learner."""
    return {
        learner.name: {
            "points": {name: learner.points.get(name, 0) for name in POINTS},
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
