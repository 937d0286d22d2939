"""Learning-rate regimes in Python: the named regimes are what the walks really do."""

import numpy as np
import pytest
import traitlets

from gdlab.figures import learning_rate_regimes
from gdlab.figures.bowl import walk_path
from gdlab.figures.regimes import regime


@pytest.mark.parametrize(
    ("lr", "name"),
    [
        *((0.0, "crawling"), (0.02, "crawling"), (0.0499, "crawling"), (0.05, "converging"), (0.3, "converging")),
        *(
            (0.5, "converging"),
            (0.501, "overshooting"),
            (0.999, "overshooting"),
            (1.0, "critical"),
            (1.001, "diverging"),
        ),
    ],
)
def test_the_product_of_curvature_and_rate_decides(lr, name):
    assert regime(lr) == name


def test_another_curvature_has_other_limits():
    assert regime(0.1, curvature=20.0) == "critical"


@pytest.mark.parametrize("lr", np.linspace(0.01, 1.2, 120).round(3))
def test_the_walk_does_what_its_regime_says(lr):
    theta = np.array(walk_path(-1.0, float(lr), 8))
    away = np.abs(theta - 3)
    comes_closer = bool(((np.diff(away) < 0) | np.isclose(away[1:], 0)).all())
    crosses = bool((np.sign(theta[1:] - 3) != np.sign(theta[:-1] - 3)).all())
    name = regime(float(lr))
    assert comes_closer == (name in ("crawling", "converging", "overshooting"))
    if lr != 0.5:
        assert crosses == (name in ("overshooting", "critical", "diverging"))
    if name == "crawling":
        assert away[-1] > 0.4 * away[0]


def test_it_starts_with_a_question():
    rates = learning_rate_regimes()
    assert (rates.lr, rates.theta0, rates.steps, rates.frame, rates.ask, rates.guess) == (0.02, -1.0, 8, 8, True, "")
    assert rates.regime == "crawling"


def test_traits_are_live():
    rates = learning_rate_regimes(steps=3)
    assert rates.frame == 3
    rates.lr = 0.3
    assert rates.trajectory() == pytest.approx([-1, 1.4, 2.36, 2.744])
    rates.steps = 2
    assert rates.frame == 2


def test_paper_shows_three_rates_side_by_side():
    picture = learning_rate_regimes().picture()
    for words in ("η = 0.02: crawling", "η = 0.3: converging", "η = 1.05: diverging"):
        assert words in picture


@pytest.mark.parametrize("wrong", [{"lr": -0.1}, {"lr": 11.0}, {"steps": 0}, {"guess": "fast"}], ids=str)
def test_what_makes_no_walk_is_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        learning_rate_regimes(**wrong)
