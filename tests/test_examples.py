"""Every example in a docstring gives what stands below it."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

import gdlab

PACKAGE = Path(gdlab.__file__).parent
EXAMPLE = re.compile(r"^\s*>>> ", re.MULTILINE)
WITH_EXAMPLES = [path for path in sorted(PACKAGE.rglob("*.py")) if EXAMPLE.search(path.read_text())]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=[str(path.relative_to(PACKAGE)) for path in WITH_EXAMPLES])
def test_the_examples_in_the_docstrings_are_true(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    result = doctest.testmod(import_module(".".join(parts).removesuffix(".__init__")))
    assert result.failed == 0 and result.attempted > 0
