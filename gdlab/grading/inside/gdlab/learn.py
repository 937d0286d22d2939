"""In the box a check only notes which functions it was given; the judge asks them later, from outside."""

CHECKED: dict = {}


def check(name, *functions):
    CHECKED[name] = functions
