"""What every figure promises in Python: small scripts that ask nobody, settings that a link can hold, a picture."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
import traitlets as t

import gdlab.figures
from gdlab.figures.base import (
    LIBRARY,
    MIME,
    SCRIPTS,
    Figure,
    Number,
    bundle,
    library_for,
    packed,
    page_script,
    source,
    squeezed,
)


@pytest.mark.parametrize("figure", SCRIPTS)
def test_a_figure_is_under_30_kilobytes_of_script(figure):
    assert len(bundle(figure).encode()) < 30_000


def test_scripts_import_nothing_and_ask_nobody():
    for script in (page_script(), *map(bundle, SCRIPTS)):
        assert "import " not in script and "fetch(" not in script
        assert "http" not in script.replace("http://www.w3.org/2000/svg", "")


def test_a_bundle_holds_what_the_figure_uses_and_nothing_else():
    kept = library_for("descend(bowl.grad, 1, 2, 3)")
    assert "let bowl" in kept and "function descend" in kept
    assert "rosenbrock" not in kept and "function player" not in kept
    assert "let progress" in library_for("schedules.wsd(1, {})")  # what is used by what is used


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_only_declares(name):
    for line in source(name + ".js").splitlines():
        assert re.match(r"$|[ })\]]|//|const |function ", line), line


def bare(script):
    """A script without what packing may change: spaces, brackets around one name, a sign or a nought too many."""
    script = re.sub(r"\s", "", re.sub(r"\bconst\b", "let", script))
    script = re.sub(r"\((\w+)\)=>", r"\1=>", script)
    return re.sub(r";(?=})|,(?=[\])}])|\b0(?=\.\d)", "", re.sub(r"[;,]let(?=[\[{\w])|,", ",", script))


def test_packing_leaves_out_comments_and_spaces_and_nothing_else():
    text = packed("engine")
    assert "//" not in text.replace("http://www.w3.org", "")
    kept = [line for line in source("engine.js").splitlines() if not line.strip().startswith("//")]
    written = re.sub(r"(?<=[;,{>])  //.*", "", "\n".join(kept))
    assert bare(text) == bare(written)
    assert len(text) < 0.8 * len(source("engine.js"))


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("const a = [1, 2];  // two\nlet b = a ? a : 3;", "let a=[1,2],b=a?a:3;"),
        (
            "let a = 1;\nb(a);\nconst c = (d) => { let e; e = d; let f = e; return f };",
            "let a=1;b(a);let c=d=>{let e;e=d;let f=e;return f};",
        ),
        (
            "for (let i = 0; i < 2; i++) { const [a, b] = c; const { d } = `; let ${b}`; }",
            "for(let i=0;i<2;i++){let[a,b]=c,{d}=`; let ${b}`}",
        ),
        ("a + b - c / d % e", "a+b-c/d%e"),
        ("f(a) + (b - 10.5) / 0.5", "f(a)+(b-10.5)/.5"),
        ("a + +b - -c", "a + +b - -c"),
        ("return (a) => f(b)", "return(a)=>f(b)"),
        ("a !== b && !c", "a!==b&&!c"),
        ("return a in b", "return a in b"),
        ("{ f([a, b,]); }", "{f([a,b])}"),
        ('say("a , b \\" = c")', 'say("a , b \\" = c")'),
        ('`a , ${b , c} = ${d ? `e : f` : "g ; h"} ; i` , j', '`a , ${b,c} = ${d?`e : f`:"g ; h"} ; i`,j'),
        ("`a {, b` , { c : `}` , d }", "`a {, b`,{c:`}`,d}"),
    ],
    ids=[
        "signs",
        "declarations",
        "loops",
        "sums",
        "brackets",
        "plus and minus",
        "functions",
        "not",
        "words",
        "last",
        "string",
        "template",
        "braces",
    ],
)
def test_packing_keeps_what_stands_between_quotes(written, kept):
    assert squeezed(written) == kept


@pytest.mark.parametrize("figure", SCRIPTS)
def test_every_trait_is_a_setting_or_told_and_reaches_the_script(figure):
    made = getattr(gdlab.figures, figure)()
    for name in made.settings + made.told:
        learned = name.removesuffix("_lr") in {
            one["id"] for one in made.state().get("field", ())
        }  # from the race's field
        assert learned or f'"{name}"' in bundle(figure), name
        assert made.class_traits(sync=True)[name]
    assert made.figure == figure


@pytest.mark.parametrize("figure", SCRIPTS)
def test_the_output_has_widget_state_settings_and_picture(figure):
    data, _ = getattr(gdlab.figures, figure)()._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"]
    content = json.loads(json.dumps(data[MIME], allow_nan=False))
    assert content["svg"] == data["image/svg+xml"]
    assert set(content["settings"]) <= set(content["state"])
    root = ElementTree.fromstring(content["svg"])
    assert root.find("{http://www.w3.org/2000/svg}title").text


@pytest.mark.parametrize("figure", SCRIPTS)
def test_a_number_without_a_value_is_refused(figure):
    made = getattr(gdlab.figures, figure)()
    for name in made.settings:
        if isinstance(made.class_traits()[name], Number):
            with pytest.raises(t.TraitError):
                setattr(made, name, float("nan"))


def test_a_setting_that_no_link_can_hold_is_refused():
    class Boundless(Figure):
        settings = ("rate",)
        rate = Number()

    with pytest.raises(TypeError, match="rate cannot stand in a link"):
        Boundless.limits()


def test_a_figure_without_a_picture_is_told_to_make_one():
    with pytest.raises(NotImplementedError, match="define picture"):
        Figure().picture()
