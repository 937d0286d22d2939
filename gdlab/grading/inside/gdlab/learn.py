"""In the box a check only notes which function it was given; the judge asks it later, from outside."""

CHECKED: dict = {}


def check(name, function):
    CHECKED[name] = function
