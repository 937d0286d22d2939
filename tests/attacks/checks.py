"""What is asked of every case of every family: a family's module has its CASES, and imports these tests."""

from corpus import BOAST, Case
from grading import RUNNERS, GradedClass
from weak_boxes import succeeds
from world import World

MOST_PAGE = 2 << 20
__all__ = [
    "test_every_runner_says_the_same",
    "test_it_harms_nobody",
    "test_it_has_its_outcome",
    "test_it_succeeds_where_its_wall_is_missing",
]
HANDLERS = ("onclick", "onerror", "onload", "onmouseover", "onfocus")


def test_it_has_its_outcome(case: Case, graded: GradedClass) -> None:
    """The points that its functions earned and no more, of the kind required, with its reason on the page."""
    result = graded.results[case.id]
    assert (result.points, result.kind) in [(case.points, kind) for kind in case.kind.split("|")]
    assert any(words in result.words for words in case.says.split("|")), result.words[:3000]
    assert BOAST not in result.words and BOAST not in result.notebook.read_text(encoding="utf-8")


def test_it_harms_nobody(graded: GradedClass) -> None:
    """Everybody around gets all their points, nothing outside the box was touched, every page is small and inert."""
    assert {result.points for result in graded.honest} == {(3, 5)}
    assert graded.problems == []
    assert graded.traces == []
    for result in [*graded.results.values(), *graded.honest]:
        assert result.graded.feedback.stat().st_size < MOST_PAGE, result.graded.submission
        tags = result.page.find_all(True)
        assert not {"script", "iframe", "object", "embed"} & {tag.name for tag in tags}
        assert not [name for tag in tags for name in tag.attrs if name in HANDLERS or name.startswith("on")]


def test_every_runner_says_the_same(request, classes) -> None:
    first, *others = RUNNERS
    for other in others:
        for case in request.module.CASES:
            ours, theirs = (classes(runner).results[case.id].graded for runner in (first, other))
            assert _verdicts(ours, case) == _verdicts(theirs, case), case.id


def _verdicts(graded, case: Case) -> dict:
    """What a runner may have no say in; how a broken process ends may differ where a case leaves it open."""
    told = {name: (v.points, v.outcome, v.mistakes, v.sentences) for name, v in graded.verdicts.items()}
    return {name: one[0] for name, one in told.items()} if "|" in case.kind else told


def test_it_succeeds_where_its_wall_is_missing(case: Case) -> None:
    world = World()
    try:
        assert succeeds(case, world), f"{case.id} proves nothing: it fails in the weakened box too ({case.weak})"
    finally:
        world.close()
