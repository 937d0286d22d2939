"""What lateness costs, as a plugin of nbgrader's: all of the points, or a share of them for each hour or day begun.

    taken off = points · min(1, share · ⌈time late / period⌉)

nbgrader's own plugin knows "none" and "zero"; this one has them too. Which one a class uses stands in the
nbgrader_config.json beside its gradebook, where nbgrader's commands look as well.
"""

import json
import math
import re
from pathlib import Path

from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Enum, Float

from gdlab.grading.recording import write_whole

PERIODS = {"hour": 3600.0, "day": 86400.0}
SETTINGS = "nbgrader_config.json"
SPELLED = re.compile(r"(\d+(?:\.\d+)?) ?% ?(?:/|a|an|per) ?(hour|day)")


class BadPenalty(ValueError):
    """No penalty is spelled like that; the message says how they are."""


class LatePenalty(LateSubmissionPlugin):
    """nbgrader's methods for late submissions, and "share": a share of the points for each hour or day begun."""

    penalty_method = Enum(("none", "zero", "share"), default_value="none", help="What lateness costs.").tag(config=True)
    share = Float(0.0, min=0.0, max=1.0, help="The share taken off for each period begun.").tag(config=True)
    period = Enum(tuple(PERIODS), default_value="day", help="How long a period is.").tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """The points to take off from `score` points; None for nothing, as nbgrader has it."""
        if self.penalty_method != "share":
            return super().late_submission_penalty(student_id, score, total_seconds_late)
        begun = math.ceil(total_seconds_late / PERIODS[self.period])
        return score * min(1.0, self.share * begun)


def penalty_settings(spelled: str) -> dict:
    """A penalty as settings of nbgrader's.

    Args:
        spelled: "none", "zero", or a share as in "10%/day", "5 % an hour".

    Raises:
        BadPenalty: if it is none of these.

    >>> penalty_settings("10%/day")["LatePenalty"]
    {'penalty_method': 'share', 'share': 0.1, 'period': 'day'}
    """
    asked = SPELLED.fullmatch(spelled.strip())
    if asked and float(asked[1]) <= 100:
        chosen = {"penalty_method": "share", "share": float(asked[1]) / 100, "period": asked[2]}
    elif spelled in ("none", "zero"):
        chosen = {"penalty_method": spelled}
    else:
        raise BadPenalty(
            f"{spelled!r} is no penalty: say none, zero, or a share of the points as in 10%/day or 5%/hour."
        )
    return {
        "AssignLatePenalties": {"plugin_class": f"{LatePenalty.__module__}.{LatePenalty.__name__}"},
        "LatePenalty": chosen,
    }


def keep_settings(out: Path, settings: dict) -> None:
    """Write settings beside the gradebook in `out`, where nbgrader's commands look; others that are there stay."""
    path = out / SETTINGS
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_whole(path, json.dumps({**kept, **settings}, indent=2) + "\n")


def spelled_penalty(plugin: LateSubmissionPlugin) -> str:
    """What a plugin takes off, in words."""
    if isinstance(plugin, LatePenalty) and plugin.penalty_method == "share":
        return f"{100 * plugin.share:g} % of the points for each {plugin.period} begun"
    words = {"none": "nothing", "zero": "all points"}
    return (
        words[plugin.penalty_method] if type(plugin) in (LatePenalty, LateSubmissionPlugin) else type(plugin).__name__
    )
