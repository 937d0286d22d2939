"""Submissions that want points for answers they did not give: by lying objects, patched tools and forged messages.

In all of them gradient_step is wrong unless its points say otherwise. `fools` names the stock check that falls for
it (`weak_boxes.py`): the way many an instructor writes an assertion, in the learner's own process.
"""

from corpus import WRONG, Case

LINES = (
    "always-equal object as answer",
    "ndarray subclass with lying methods",
    "NaN, inf, −0.0, complex, object array, masked array, 0-d, huge shape, negative stride, big-endian",
    "patched numpy.testing, np.allclose, abs, AssertionError, isinstance",
    "AST or input transformer that empties later cells",
    "pre_run_cell hooks",
    "replaced displayhook, showtraceback, set_custom_exc",
    "displayhook(1e9)",
    "sys.exit, os._exit(0) in a cell, in a function, after the last case",
    "forged result frame, forged results file, claimed 500 MB frame, truncated frame, garbage bytes, pickle bytes",
    "walking frames and gc to find the expected value",
    "reading In history",
    "hard-coded public cases",
    "importing the reference package",
    "calling torch.optim where it is not allowed",
    "a function that answers right only on the first call",
    "state kept between calls",
    "score −1, NaN, text, above the maximum",
)
OBJECTS, SUBCLASS, VALUES, PATCHED, EMPTIED, HOOKS, SHOWN, _, EXITS, FRAMES, FOUND, *_ = LINES

YES = """
class Yes(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = float.__hash__
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __array__(self, *args, **kwargs): return np.array(0.0)
"""

LYING_FUNCTIONS = """
class Liar(np.ndarray):
    def __array_function__(self, function, types, args, kwargs): return True
"""

LYING_EQ = """
class Liar(np.ndarray):
    def __eq__(self, other): return np.ones(1, dtype=bool)
"""

LYING_REPR = """
class Liar(np.ndarray):
    def __repr__(self): return '0.5'
    __str__ = __repr__
"""

LYING_FLOAT = """
class Liar:
    def __float__(self): return float(eval('expected', __import__('__main__').__dict__))
"""

LYING_SUBTRACTION = """
class Liar(np.ndarray):
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
"""

CLEAN_EXIT = """
import builtins
class AssertionError(SystemExit):
    def __init__(self, *args): super().__init__(0)
builtins.AssertionError = AssertionError
"""

NO_ASSERTIONS = """
import ast
class Emptier(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.copy_location(ast.Pass(), node)
get_ipython().ast_transformers.append(Emptier())
"""

NO_CELLS = """
import ast
class Emptier(ast.NodeTransformer):
    def visit_Module(self, node): return ast.Module([], [])
get_ipython().ast_transformers.append(Emptier())
"""

NO_TEXT = """
def emptied(lines):
    return [line for line in lines if not line.startswith('assert')]
get_ipython().input_transformers_cleanup.append(emptied)
"""

HOOK = """
def patch(info):
    np.allclose = lambda *args, **kwargs: True
get_ipython().events.register('pre_run_cell', patch)
"""

HOOK_AFTER = """
def patch(result):
    result.error_in_exec = result.error_before_exec = None
get_ipython().events.register('post_run_cell', patch)
"""

FRAMES_WALKED = """
import sys
frame = sys._getframe()
while frame:
    for names in (frame.f_locals, frame.f_globals):
        if 'expected' in names:
            return names['expected']
    frame = frame.f_back
return 0 * theta
"""

COLLECTED = """
import gc
for thing in gc.get_objects():
    if type(thing) is dict and type(thing.get('expected')) is float:
        return thing['expected']
return 0 * theta
"""

HISTORY = """
import re
for text in reversed(In):
    found = re.search(r'== (-?[0-9.]+)', text)
    if found:
        return float(found[1])
return 0 * theta
"""

FRAME_IN_HAND = """
import gc, sys, time
wire = sys.modules['wire']
[channel] = [thing for thing in gc.get_objects() if isinstance(thing, wire.Channel)]
to_judge = channel._write_fd
"""

RESULTS_FILE = """
import json, os
json.dump({'points': 3}, open('results.json', 'w'))
os._exit(0)
"""

RESULTS_EVERYWHERE = """
import os
for fd in map(int, os.listdir('/proc/self/fd')):
    if fd < 3:
        continue
    try:
        os.write(fd, b'{"points": 3}\\n')
    except OSError:
        pass
os._exit(0)
"""

FLOOD = """
import os, threading
body = channel._encoder.encode(wire.Query(0, []))
flood = (wire.LENGTH.pack(len(body)) + body) * 10_000
def drain():
    while True:
        try:
            os.read(channel._read_fd, 1 << 20)
        except OSError:
            time.sleep(0.001)
threading.Thread(target=drain, daemon=True).start()
while True:
    left = memoryview(flood)
    while left:
        try:
            left = left[os.write(to_judge, left):]
        except BlockingIOError:
            pass
"""

PICKLE = """
import os, pickle
class Run:
    def __reduce__(self): return (os.mkdir, ('{outside}/unpickled',))
body = pickle.dumps(Run())
os.write(to_judge, wire.LENGTH.pack(len(body)) + body)
time.sleep(5)
"""


def lies(id: str, line: str, does: str, fools: str, step: str, cell: str = "", weak: str = "naive", **required) -> Case:
    """A case that some stock check, in the learner's own process, takes for right."""
    return Case(id, line, does, weak, cell, step, fools=fools, **required)


def handed_in_as_output(text: str):
    """A notebook whose check cell has been run already, and shows this."""

    def hand_in(folder, notebook):
        import json

        check = next(cell for cell in notebook["cells"] if cell["id"] == "check-gradient-step")
        check["source"] = text
        shown = {"output_type": "execute_result", "data": {"text/plain": text}, "metadata": {}, "execution_count": 1}
        check["outputs"] = [shown]
        (folder / "update_rule.ipynb").write_text(json.dumps(notebook))

    return hand_in


CASES = (
    lies("always-equal", OBJECTS, "an object that is equal to everything", "equals", "return Yes()", YES),
    lies("always-equal-in-a-list", OBJECTS, "the same, in a list", "equals", "return [Yes()][0]", YES),
    lies("never-far", OBJECTS, "an object whose distance to everything is 0", "difference", "return Yes()", YES),
    Case(
        "answers-with-its-name",
        OBJECTS,
        "a float that is equal to everything, and wrong for arrays alone",
        "naive",
        YES,
        "return Yes(theta - lr * grad) if np.ndim(theta) == 0 else Yes()",
        points=(1, 5),
        kind="partly",
        fools="equals",
    ),
    lies(
        "lying-eq",
        SUBCLASS,
        "an array that is equal to everything",
        "all equal",
        "return np.zeros(1).view(Liar)",
        LYING_EQ,
    ),
    lies(
        "lying-functions",
        SUBCLASS,
        "an array that answers in NumPy's name",
        "allclose",
        "return np.zeros(1).view(Liar)",
        LYING_FUNCTIONS,
    ),
    lies("lying-repr", SUBCLASS, "an array that looks right", "printed", "return np.zeros(1).view(Liar)", LYING_REPR),
    lies(
        "lying-distance",
        SUBCLASS,
        "an array whose distance to everything is 0",
        "difference",
        "return np.zeros(1).view(Liar)",
        LYING_SUBTRACTION,
    ),
    lies(
        "lying-float",
        SUBCLASS,
        "an object that turns into the number expected",
        "as float",
        "return Liar()",
        LYING_FLOAT,
        kind="unreadable",
        says="an object of type Liar",
    ),
    lies("nan", VALUES, "NaN, which is not far from anything", "not far", "return theta * np.nan"),
    lies("inf", VALUES, "infinity, relative to which everything is near", "relative", "return theta * np.inf"),
    lies("minus-zero", VALUES, "−0.0, which has the right sign", "sign", "return -0.0 * np.abs(theta)"),
    lies(
        "complex",
        VALUES,
        "the right real part, and something imaginary",
        "cast",
        "return theta - lr * grad + 1e9j",
        kind="unreadable",
        says="complex",
    ),
    lies(
        "object-array",
        VALUES,
        "an array of objects that are equal to everything",
        "all equal",
        "return np.array([Yes()], dtype=object)",
        YES,
        kind="unreadable",
        says="array of object",
    ),
    lies(
        "masked", VALUES, "an array whose every entry is masked", "none far", "return np.ma.masked_all(np.shape(theta))"
    ),
    lies("no-dimensions", VALUES, "one number for a whole array", "broadcast", "return np.array(0.5)"),
    lies("empty", VALUES, "an array without entries, all of them right", "all equal", "return np.zeros((0,))"),
    Case(
        "huge-shape",
        VALUES,
        "three million numbers in eight bytes, by a stride of 0",
        "no cap",
        step="return np.broadcast_to(0.0, (3000, 1000))",
        kind="unreadable",
        says="1,000,000 is the most",
        fools="numbers",
    ),
    Case(
        "negative-stride",
        VALUES,
        "right, and stored backwards",
        "careless wire",
        step="backwards = np.flip(theta - lr * grad).copy()\nreturn np.flip(backwards)",
        points=(3, 5),
        kind="right",
    ),
    Case(
        "big-endian",
        VALUES,
        "right, in the other order of bytes",
        "careless wire",
        step="return np.asarray(theta - lr * grad).astype('>f8')",
        points=(3, 5),
        kind="right",
    ),
    lies(
        "patches-testing",
        PATCHED,
        "numpy.testing finds nothing any more",
        "testing",
        WRONG,
        "np.testing.assert_allclose = np.testing.assert_array_equal = lambda *args, **kwargs: None",
    ),
    lies(
        "patches-allclose",
        PATCHED,
        "everything is close",
        "allclose",
        WRONG,
        "np.allclose = np.array_equal = np.isclose = lambda *args, **kwargs: True",
    ),
    lies(
        "patches-abs",
        PATCHED,
        "every distance is 0",
        "difference",
        WRONG,
        "import builtins\nnp.abs = builtins.abs = lambda value: 0.0",
    ),
    lies("patches-assertion-error", PATCHED, "a failed assertion is a clean exit", "script testing", WRONG, CLEAN_EXIT),
    lies(
        "patches-isinstance",
        PATCHED,
        "everything is of every type",
        "type",
        "return 'an array, surely'",
        "import builtins\nkept = builtins.isinstance\nbuiltins.isinstance = lambda thing, kind: kept(thing, str) and kind is np.ndarray or kept(thing, kind)",
    ),
    lies("drops-assertions", EMPTIED, "assertions disappear from later cells", "equals", WRONG, NO_ASSERTIONS),
    lies(
        "empties-cells",
        EMPTIED,
        "later cells do nothing, the learner's own among them",
        "equals",
        WRONG,
        NO_CELLS,
        points=(0, 0),
        kind="missing",
        says="There is no function called gradient_step",
    ),
    lies("drops-lines", EMPTIED, "lines of later cells disappear before they are read", "equals", WRONG, NO_TEXT),
    lies("hook-before", HOOKS, "patches NumPy anew before each cell", "allclose", WRONG, HOOK),
    lies("hook-after", HOOKS, "takes the error out of each cell's result", "result", WRONG, HOOK_AFTER),
    lies(
        "displayhook",
        SHOWN,
        "what a cell shows is always 3",
        "displayed points",
        WRONG,
        "hook = type(get_ipython().displayhook)\nkept = hook.__call__\nhook.__call__ = lambda self, value=None: kept(self, 3.0)",
    ),
    lies(
        "showtraceback",
        SHOWN,
        "no error is shown any more",
        "equals",
        WRONG,
        "get_ipython().showtraceback = lambda *args, **kwargs: None",
    ),
    lies(
        "custom-exceptions",
        SHOWN,
        "errors are handled by a function that keeps quiet",
        "equals",
        WRONG,
        "get_ipython().set_custom_exc((Exception,), lambda *args, **kwargs: None)",
    ),
    lies(
        "a-billion-points",
        "displayhook(1e9)",
        "shows a billion where a score is read",
        "displayed points",
        "import sys\nsys.displayhook(1e9)\nreturn 0 * theta",
    ),
    lies("sys-exit-in-a-cell", EXITS, "leaves politely in a cell", "script equals", WRONG, "raise SystemExit(0)"),
    lies(
        "exit-in-a-cell",
        EXITS,
        "leaves at once in a cell",
        "equals",
        WRONG,
        "import os\nos._exit(0)",
        says="This cell ended",
    ),
    lies(
        "sys-exit-in-the-function",
        EXITS,
        "leaves politely when asked",
        "script equals",
        "raise SystemExit(0)",
        kind="ended",
        says="tried to end the program",
    ),
    lies("exit-in-the-function", EXITS, "leaves at once when asked", "equals", "import os\nos._exit(0)", kind="ended"),
    lies(
        "exit-by-a-timer",
        EXITS,
        "gives no answer, and leaves from another thread",
        "equals",
        "import os, threading\nthreading.Timer(0.3, os._exit, [0]).start()\nwhile True:\n    pass",
        kind="ended",
    ),
    lies(
        "exit-after-the-last-case",
        EXITS,
        "takes back the exit code at the very end",
        "script equals",
        WRONG,
        "import atexit, os\natexit.register(os._exit, 0)",
    ),
    lies(
        "results-file",
        FRAMES,
        "writes the results itself",
        "results file",
        RESULTS_FILE.strip(),
        weak="results from outside",
        kind="ended",
    ),
    lies(
        "results-pipe",
        FRAMES,
        "writes a result into whatever is open",
        "results pipe",
        RESULTS_EVERYWHERE.strip(),
        weak="results from outside",
        kind="ended",
    ),
    Case(
        "forged-value",
        FRAMES,
        "sends the answer of a public test beside its own",
        "public case",
        FRAME_IN_HAND,
        "channel.send(wire.Value(0.5))\nreturn 0 * theta",
    ),
    Case(
        "claimed-500-mb",
        FRAMES,
        "announces 500 MB to the judge",
        "no cap",
        FRAME_IN_HAND,
        "import os\nos.write(to_judge, wire.LENGTH.pack(500 << 20))\ntime.sleep(5)",
        kind="ended",
        says="something that is not an answer|ended the program",
        fools="waits",
    ),
    Case(
        "sent-40-mb",
        FRAMES,
        "sends 40 MB to the judge",
        "no cap",
        FRAME_IN_HAND,
        "channel.send(wire.Value('x' * (40 << 20)))\ntime.sleep(5)",
        kind="ended",
        fools="characters",
    ),
    Case(
        "a-million-lists",
        FRAMES,
        "sends a megabyte that becomes sixty-four of them in the judge's memory",
        "no cap",
        FRAME_IN_HAND,
        "channel.send(wire.Value([[]] * 1_100_000))\ntime.sleep(5)",
        kind="ended",
        fools="characters",
    ),
    Case(
        "flood-of-questions",
        FRAMES,
        "asks the judge so fast that it never has to wait, and never ends",
        "no deadline",
        FRAME_IN_HAND,
        FLOOD.strip(),
        kind="slow",
        limits="short",
    ),
    Case(
        "half-a-frame",
        FRAMES,
        "sends half of a message and falls silent",
        "no deadline",
        FRAME_IN_HAND,
        "import os\nos.write(to_judge, wire.LENGTH.pack(1000) + b'x')\ntime.sleep(5)",
        kind="slow",
        limits="short",
    ),
    Case(
        "garbage",
        FRAMES,
        "sends bytes that are no message",
        "unpickling",
        FRAME_IN_HAND,
        "import os\nos.write(to_judge, wire.LENGTH.pack(64) + bytes(range(64)))\ntime.sleep(5)",
        kind="ended",
        fools="breaks",
    ),
    Case(
        "pickle",
        FRAMES,
        "sends a pickle that makes a folder where it is opened",
        "unpickling",
        FRAME_IN_HAND,
        PICKLE.strip(),
        kind="ended",
        fools="runs",
    ),
    lies("walks-frames", FOUND, "looks for the expected value in its callers", "equals", FRAMES_WALKED.strip()),
    lies("walks-memory", FOUND, "looks for the expected value in all there is", "equals", COLLECTED.strip()),
    lies(
        "reads-history",
        "reading In history",
        "reads the expected value in the test's own text",
        "equals",
        HISTORY.strip(),
    ),
    lies(
        "hard-coded",
        "hard-coded public cases",
        "knows the answers to the public tests by heart",
        "equals",
        "return {(2.0, 3.0, 0.5): 0.5}.get((theta, grad, lr), 0.0) if np.ndim(theta) == 0 else 0 * theta",
    ),
    lies(
        "imports-reference",
        "importing the reference package",
        "returns what the course's own function returns",
        "equals",
        "from gdlab.rules import gradient_step as right\nreturn right(theta, grad, lr)",
        kind="raised",
        says="No module named 'gdlab.rules'",
    ),
    Case(
        "torch-optim",
        "calling torch.optim where it is not allowed",
        "lets a library do it: right, and noted for the instructor",
        "naive",
        step="import torch\nt = torch.tensor(theta, dtype=torch.float64, requires_grad=True)\nt.grad = torch.tensor(grad, dtype=torch.float64)\ntorch.optim.SGD([t], lr=lr).step()\nreturn t",
        points=(3, 5),
        kind="right",
        limits="with torch",
        fools="equals",
    ),
    lies(
        "right-once",
        "a function that answers right only on the first call",
        "right on the first call, wrong from then on",
        "equals",
        "asked.append(1)\nreturn theta - lr * grad if len(asked) == 1 else 0 * theta",
        "asked = []",
    ),
    lies(
        "remembers-its-first-answer",
        "state kept between calls",
        "gives the first answer again and again",
        "equals",
        "asked.append(theta - lr * grad)\nreturn asked[0]",
        "asked = []",
    ),
    lies(
        "counts-its-calls",
        "state kept between calls",
        "right until the sixth call, when the first question comes once more",
        "equals",
        "asked.append(1)\nreturn theta - lr * grad if len(asked) < 6 else 0 * theta",
        "asked = []",
        points=(1, 5),
        kind="partly",
        says="The second call with the same inputs gave another answer",
    ),
    *(
        Case(
            f"score-{name}",
            "score −1, NaN, text, above the maximum",
            f"the check cell was rewritten, and shows {text}",
            "stock score",
            hand_in=handed_in_as_output(text),
            fools=fools,
        )
        for name, text, fools in (
            ("minus-one", "-1", "more than nothing"),
            ("nan", "nan", "more than nothing"),
            ("text", "'all right'", "more than nothing"),
            ("a-thousand", "1000", "more than nothing"),
        )
    ),
    lies(
        "check-of-its-own",
        "score −1, NaN, text, above the maximum",
        "check is a function that shows a thousand points",
        "displayed points",
        WRONG,
        "class Always:\n    def __call__(self, *args): return 1000.0\ncheck = score = Always()",
    ),
)
