"""Mutation testing: break the reference mathematics in every small way and see that a test notices each time.

A mutant is a copy of the code with one thing changed: a + that is a −, a < that is a ≤, a 1 that is a
2, an argument left out. A mutant that fails a test is killed. One that passes them all has survived,
and then either a test is missing or the change can make no difference (DeMillo, Lipton, Sayward 1978).
`make mutants` runs mutmut, writes `benchmarks/mutants.md` and fails unless `equivalent.toml`, next to
this file, says of every survivor why it is no mistake.

mutmut changes what is inside functions, tries each mutant in a process of its own, and asks only the
tests that call the function. It leaves decorated functions alone, so the copy it gets spells decorators
out; and because it switches a mutant on after the import, a module's own decorators work at each call.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import libcst

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "_build" / "mutation"
ARGUMENTS = Path(__file__).with_name("equivalent.toml")
PAGE = ROOT / "benchmarks" / "mutants.md"
MODULES = ("rules", "schedules", "batching", "counting")

# torch.compile cannot look through mutmut's switch between mutants; threads do not survive a fork.
SURROUNDINGS = {
    "TORCHDYNAMO_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}

# Hypothesis's own profile "ci" (pyproject.toml chooses it) tries the same examples every time and keeps none. Here
# it stops at the first that fails, too: to find the smallest would take longer than everything else.
CONFTEST = """\
from hypothesis import Phase, settings

phases = (Phase.explicit, Phase.generate)
settings.register_profile("ci", settings.get_profile("ci"), phases=phases, report_multiple_bugs=False)
"""


@dataclass(frozen=True)
class Mutant:
    """One change to one function, and what came of it: "killed", "timed out", "survived" or what went wrong."""

    module: str
    function: str
    change: str
    outcome: str


@dataclass(frozen=True)
class Argument:
    """Why some changes to one function cannot change any answer."""

    module: str
    function: str
    changes: tuple[str, ...]
    why: str


# ----------------------------------------------------------------- what mutmut gets


class _SpellOut(libcst.CSTTransformer):
    def __init__(self):
        self.depth = 0

    def visit_FunctionDef(self, node):
        self.depth += 1

    visit_ClassDef = visit_FunctionDef

    def leave_ClassDef(self, original_node, updated_node):
        self.depth -= 1
        return updated_node

    def leave_FunctionDef(self, original_node, updated_node):
        self.depth -= 1
        if not updated_node.decorators:
            return updated_node
        name = updated_node.name.value
        decorators = [libcst.Module([]).code_for_node(d.decorator) for d in updated_node.decorators]
        if self.depth:
            decorated = "".join(f"{d}(" for d in decorators) + name + ")" * len(decorators)
        else:
            decorated = "".join(f"{d}(" for d in decorators) + "_function" + ")" * len(decorators)
            decorated = f"lambda *args, _function={name}, **kwargs: {decorated}(*args, **kwargs)"
            decorated = f"functools.wraps({name})({decorated})"
        spelled_out = libcst.parse_statement(f"{name} = {decorated}  # pragma: no mutate")
        return libcst.FlattenSentinel([updated_node.with_changes(decorators=()), spelled_out])


def spell_out_decorators(source: str) -> str:
    """The same module, in which `@decorator def f` has become `def f` and `f = decorator(f)`.

    At the top of a module the decorator is put on anew at each call. (Such a module has to import functools.)

    >>> print(spell_out_decorators("class One:\\n    @property\\n    def one(self): return 1"))
    class One:
        def one(self): return 1
        one = property(one)  # pragma: no mutate
    >>> print(spell_out_decorators("@twice\\ndef one(): return 1"))
    def one(): return 1
    one = functools.wraps(one)(lambda *args, _function=one, **kwargs: twice(_function)(*args, **kwargs))  # pragma: no mutate
    """
    return libcst.parse_module(source).visit(_SpellOut()).code.strip()


def prepare(work: Path) -> None:
    """A fresh folder with copies of the package, of the four files of tests and of the settings."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "gdlab", work / "gdlab", ignore=shutil.ignore_patterns("__pycache__"))
    (work / "tests").mkdir()
    (work / "tests" / "conftest.py").write_text(CONFTEST, "utf-8")
    shutil.copy(ROOT / "pyproject.toml", work)
    for module in MODULES:
        shutil.copy(ROOT / "tests" / f"test_{module}.py", work / "tests")
        copy = work / "gdlab" / f"{module}.py"
        copy.write_text(spell_out_decorators(copy.read_text("utf-8")) + "\n", "utf-8")


# ------------------------------------------------------------------ what comes back


def read_mutants(work: Path) -> list[Mutant]:
    """Every mutant of a finished run."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    names = {"timeout": "timed out", "segfault": "timed out"}  # who ignores the first signal gets a second, harder one
    mutants = []
    with contextlib.chdir(work):
        for module in MODULES:
            data = SourceFileMutationData(path=f"gdlab/{module}.py")
            data.load()
            for key, code in data.exit_code_by_key.items():
                function, owner = orig_function_and_class_names_from_key(key)
                outcome = status_by_exit_code[code]
                change = "" if outcome == "killed" else one_line(get_diff_for_mutant(key, path=data.path))
                function = f"{owner}.{function}" if owner else function
                mutants.append(Mutant(module, function, change, names.get(outcome, outcome)))
    return mutants


def one_line(diff: str) -> str:
    """A unified diff as what stood there and what stands there now, without comments.

    >>> one_line("--- a\\n+++ a\\n@@ -1,2 +1,2 @@\\n def f(x):\\n-    return x + 1\\n+    return x - 1")
    'return x + 1 → return x - 1'
    """
    lines = [line.partition("  # ")[0] for line in diff.splitlines()[2:]]
    before, after = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return f"{before} → {after}"


def read_arguments(path: Path) -> list[Argument]:
    entries = tomllib.loads(path.read_text("utf-8")).get("equivalent", [])
    return [Argument(e["module"], e["function"], tuple(e["changes"]), e["why"]) for e in entries]


def compare(mutants: list[Mutant], arguments: list[Argument]) -> tuple[Counter, Counter]:
    """The survivors that no argument covers, and the changes argued for that did not survive."""
    survived = Counter((m.module, m.function, m.change) for m in mutants if m.outcome == "survived")
    argued = Counter((a.module, a.function, change) for a in arguments for change in a.changes)
    return survived - argued, argued - survived


# ---------------------------------------------------------------------- the page


def page(mutants: list[Mutant], arguments: list[Argument], minutes: float, processes: int) -> str:
    """`benchmarks/mutants.md`: the table, and every survivor with the argument for it."""
    unargued, _ = compare(mutants, arguments)
    lines = [
        "# Mutants of the mathematics",
        "",
        "Made by `make mutants`: each mutant is one small change inside one function, tried against the tests that call",
        "the function. A mutant that a test fails, or that never comes to an end, is noticed; one that passes survives.",
        "mutmut leaves alone the words of f-strings, calls of len and isinstance, and what stands outside functions.",
        "",
        "| module | mutants | killed | timed out | survived | of these without an argument |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for module in (*MODULES, "all"):
        counts = Counter(m.outcome for m in mutants if module in (m.module, "all"))
        open_ones = sum(count for key, count in unargued.items() if module in (key[0], "all"))
        row = (counts.total(), counts["killed"], counts["timed out"], counts["survived"], open_ones)
        lines.append(f"| {module} | " + " | ".join(f"{number:,}" for number in row) + " |")
    lines += ["", "## The survivors, and why none of them is a mistake"]
    for module in MODULES:
        entries = [argument for argument in arguments if argument.module == module]
        lines += ["", f"### {module}"] if entries else []
        for argument in entries:
            lines += ["", f"`{argument.function}`: {argument.why}", ""]
            lines += [f"- {_code(change)}" for change in argument.changes]
    for key in unargued.elements():
        lines += ["", f"Without an argument: `{key[0]}.{key[1]}`, {_code(key[2])}"]
    versions = "; ".join(f"{name} {version(name)}" for name in ("mutmut", "pytest", "hypothesis", "numpy", "torch"))
    today = datetime.date.today().isoformat()
    lines += [
        "",
        f"{minutes:.0f} minutes, {processes} process(es); Python {platform.python_version()}; {versions}; {today}",
    ]
    return "\n".join(lines) + "\n"


def _code(change: str) -> str:
    before, _, after = change.partition(" → ")
    return f"`{before}` → `{after}`"


def complaints(mutants: list[Mutant], arguments: list[Argument]) -> list[str]:
    """What is wrong with this run, in sentences; nothing, if all is well."""
    unargued, stale = compare(mutants, arguments)
    odd = [m for m in mutants if m.outcome not in {"killed", "timed out", "survived"}]
    said = [
        f"gdlab.{m.module}.{m.function} has a mutant that could not be judged ({m.outcome}): {m.change}" for m in odd
    ]
    said += [
        f"A mutant of gdlab.{module}.{function} survives. Write a test that fails on it in tests/test_{module}.py, or, if "
        f"it cannot change any answer, say why in {ARGUMENTS.relative_to(ROOT)}:\n    {json.dumps(change, ensure_ascii=False)}"
        for module, function, change in unargued.elements()
    ]
    said += [
        f"{ARGUMENTS.relative_to(ROOT)} argues for a mutant of gdlab.{module}.{function} that did not survive or no longer "
        f"exists; remove it:\n    {json.dumps(change, ensure_ascii=False)}"
        for module, function, change in stale.elements()
    ]
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutation testing of the reference mathematics.")
    parser.add_argument("--processes", type=int, default=2, help="how many mutants to try at a time")
    parser.add_argument(
        "only", nargs="*", help="try only these, such as 'gdlab.counting.*', and leave the page as it is"
    )
    settings = parser.parse_args()
    prepare(WORK)
    begin = datetime.datetime.now()
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [str(mutmut), "run", "--max-children", str(settings.processes), *settings.only]
    if subprocess.run(command, cwd=WORK, env=os.environ | SURROUNDINGS).returncode:
        print("mutmut stopped before it was done: its own words are above.", file=sys.stderr)
        return 2
    minutes = (datetime.datetime.now() - begin).total_seconds() / 60
    mutants, arguments = read_mutants(WORK), read_arguments(ARGUMENTS)
    if settings.only:
        tried = {(m.module, m.function) for m in mutants if m.outcome != "not checked"}
        mutants = [m for m in mutants if m.outcome != "not checked"]
        arguments = [a for a in arguments if (a.module, a.function) in tried]
    else:
        PAGE.write_text(page(mutants, arguments, minutes, settings.processes), "utf-8")
    said = complaints(mutants, arguments)
    print("\n".join(["", *said, f"{len(mutants)} mutants tried; {PAGE.relative_to(ROOT)} tells of all of them."]))
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
