"""What the judge says about one exercise: data first, then how a notebook and a terminal show it."""

import html
from collections.abc import Iterable, Mapping

import msgspec

METADATA = "gdlab"
"""Under which name a notebook keeps a verdict in the metadata of the output that shows it."""

OUTCOMES = {
    "right": "Right",
    "partly": "Partly right",
    "wrong": "Not yet",
    "raised": "It raised an error",
    "untouched": "Not started",
    "missing": "Not found",
    "slow": "Out of time",
    "ended": "Its process ended",
    "unreadable": "No answer to judge",
    "unknown": "No such exercise",
}


class PartResult(msgspec.Struct, frozen=True):
    """One share of the points: what it is for, what it is worth, what was earned."""

    title: str
    points: float
    earned: float


class FailingCase(msgspec.Struct, frozen=True):
    """The first case that failed: its inputs as text, and expected against got at `where`."""

    inputs: tuple[tuple[str, str], ...]
    where: str = ""
    expected: str = ""
    got: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """Points, the first thing that is wrong, and the case that shows it.

    As the last value of a notebook cell it shows as a card; its plain text is the points, which is
    what nbgrader reads as partial credit.

    Attributes:
        exercise, version: which exercise, as it stood.
        points, max_points: earned, and possible.
        outcome: a key of `OUTCOMES`.
        sentences: to the learner, the most useful first.
        mistakes: names of the mistakes recognised.
        parts: how the points add up.
        case: the first case that failed, where one did.
        line: the learner's line that raised.
        picture: their function at work, as SVG.
        seed: what the cases were drawn from.
        notes: for the instructor: libraries that the function takes the answer from.
    """

    exercise: str
    version: int
    points: float
    max_points: float
    outcome: str
    sentences: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    parts: tuple[PartResult, ...] = ()
    case: FailingCase | None = None
    line: str = ""
    picture: str = ""
    seed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        return self.outcome == "right"

    @property
    def headline(self) -> str:
        return f"{OUTCOMES[self.outcome]}: {self.points:g} of {self.max_points:g} points"

    def __repr__(self) -> str:
        return f"{self.points:g}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict[str, str], dict[str, dict]]:
        """What a notebook shows, and what it keeps beside it (read by `gdlab progress`)."""
        stored = msgspec.to_builtins(msgspec.structs.replace(self, picture=""))
        return {"text/plain": repr(self), "text/html": as_html(self)}, {METADATA: stored}


def verdicts_in(cells: Iterable[Mapping]) -> dict[str, Verdict]:
    """The verdicts that a notebook keeps in its cells' outputs, by exercise; what is no verdict is passed over."""
    found = {}
    for cell in cells:
        for output in cell.get("outputs", []):
            try:
                verdict = msgspec.convert(output.get("metadata", {}).get(METADATA), Verdict)
            except (msgspec.ValidationError, AttributeError):
                continue
            found[verdict.exercise] = verdict
    return found


def as_text(verdict: Verdict) -> str:
    """A verdict in a few lines of plain text."""
    lines = [f"{verdict.exercise}: {verdict.headline}", *verdict.sentences]
    if verdict.line:
        lines.append(verdict.line)
    if verdict.case:
        lines += [_aligned(f"  {name} = ", value) for name, value in verdict.case.inputs]
        if verdict.case.expected:
            lines += [verdict.case.where] * bool(verdict.case.where)
            lines += [_aligned("  expected    ", verdict.case.expected), _aligned("  your answer ", verdict.case.got)]
    return "\n".join(lines)


def _aligned(head: str, value: str) -> str:
    return head + value.replace("\n", "\n" + " " * len(head))


STYLE = """
.gdlab-verdict{border:1px solid #8884;border-left:5px solid var(--gdlab-tone);border-radius:6px;padding:.7em 1em;margin:.4em 0;
 font-family:system-ui,sans-serif;font-size:14px;line-height:1.5;max-width:46em;color:inherit}
.gdlab-verdict.right{--gdlab-tone:#009e73}.gdlab-verdict.partly{--gdlab-tone:#e69f00}.gdlab-verdict.wrong{--gdlab-tone:#d55e00}
.gdlab-verdict p{margin:.3em 0}.gdlab-verdict .head{font-weight:600}.gdlab-verdict .say{font-size:15px}
.gdlab-verdict .rows{display:grid;grid-template-columns:minmax(6em,max-content) 1fr;gap:.15em 1em;margin:.5em 0}
.gdlab-verdict dt{opacity:.75;font-weight:400;float:none;width:auto;margin:0;white-space:nowrap}
.gdlab-verdict dd{margin:0;min-width:0;width:auto;float:none}
.gdlab-verdict .compared{font-weight:600}
.gdlab-verdict pre{display:inline;margin:0;padding:0;background:none;border:0;color:inherit;
 font:inherit;font-family:ui-monospace,Menlo,monospace;font-size:13px;white-space:pre-wrap;overflow-wrap:anywhere}
.gdlab-verdict svg{display:block;max-width:100%;height:auto;margin-top:.6em}
"""


def as_html(verdict: Verdict, *, with_style: bool = True) -> str:
    """A verdict as a card; everything that came from the learner is escaped."""
    tone = {"right": "right", "partly": "partly"}.get(verdict.outcome, "wrong")
    sign = "✓" if verdict.right else "✗"
    body = [f'<p class="head">{sign} {html.escape(verdict.exercise)} · {html.escape(verdict.headline)}</p>']
    body += [f'<p class="say">{html.escape(sentence)}</p>' for sentence in verdict.sentences]
    body += [f"<p>{_code(verdict.line)}</p>"] if verdict.line else []
    body += [_case(verdict.case)] if verdict.case else []
    body += [_parts(verdict.parts)] if verdict.outcome == "partly" else []
    body.append(verdict.picture)
    style = f"<style>{STYLE}</style>" if with_style else ""
    return f'{style}<div class="gdlab-verdict {tone}" role="status">{"".join(body)}</div>'


def _code(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


def _rows(rows, kind: str = "") -> str:
    """Names and values side by side."""
    cells = "".join(f"<dt>{html.escape(name)}</dt><dd>{_code(value)}</dd>" for name, value in rows)
    return f'<dl class="rows {kind}">{cells}</dl>'


def _case(case: FailingCase) -> str:
    called = f"<p>For these inputs:</p>{_rows(case.inputs)}"
    if not case.expected:
        return called
    place = f"<p>{html.escape(case.where)}</p>" if case.where else ""
    return called + place + _rows([("expected", case.expected), ("your answer", case.got)], "compared")


def _parts(parts) -> str:
    return _rows(
        (f"{'✓' if part.earned else '✗'} {part.title}", f"{part.earned:g} of {part.points:g}") for part in parts
    )
