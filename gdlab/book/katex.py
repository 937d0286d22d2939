"""KaTeX as a program of its own: one question a line, `["\\\\nabla L", false]`, and one answer a line, as JSON.

The build asks it (gdlab/book/formulas.py). V8 brings threads, and a process that has threads cannot be copied safely; the
build makes copies of itself to write pages side by side, and so keeps V8 out.
"""

import json
import sys
from pathlib import Path

from py_mini_racer import MiniRacer

KATEX = Path(__file__).parents[2] / "book" / "_vendor" / "katex"
TYPESET = """const typeset = (tex, displayMode) => {
    try { return { html: katex.renderToString(tex, { displayMode, strict: "error" }) }; }
    catch (error) { return { error: error.rawMessage ?? error.message }; }
}"""


def main() -> None:
    """Answer until nobody asks any more."""
    with MiniRacer() as v8:
        v8.eval((KATEX / "katex.min.js").read_text(encoding="utf-8"))
        v8.eval(TYPESET)
        for question in sys.stdin:
            print(json.dumps(dict(v8.call("typeset", *json.loads(question)))), flush=True)


if __name__ == "__main__":
    main()
