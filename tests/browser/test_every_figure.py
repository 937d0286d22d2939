"""What every figure promises its readers, whoever they are: checked for each one, in a page of its own over file://.

`new_page` fails a test on any console error and on any request to another host. A figure that joins
`SCRIPTS` is checked here at once; its own behaviour has a file of its own.
"""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import expect

import gdlab.figures
from gdlab.figures.base import SCRIPTS

pytestmark = [pytest.mark.system, pytest.mark.parametrize("name", SCRIPTS)]

DESK = {"viewport": {"width": 1440, "height": 1000}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SCREENS = pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])


def make(name):
    return getattr(gdlab.figures, name)()


@pytest.fixture
def show(open_figures):
    """Show a figure as it comes: `show("bowl_walk", hash="#bowl_walk.lr=0.9", viewport=…)` -> page."""
    return lambda name, **settings: open_figures(make(name), **{**DESK, **settings})


def sliders(page):
    """All that can be dragged: handles in the picture and range inputs."""
    return page.locator(".gdl [role=slider]:visible, .gdl input[type=range]:visible").all()


def reading(node):
    return node.get_attribute("aria-valuetext")


# Every control, by every hand


def test_one_control_is_the_main_one(show, name):
    expect(show(name).locator(".gdl [data-main]")).to_have_count(1)


def test_every_slider_moves_by_keys(show, name):
    page = show(name)
    for node in sliders(page):
        before = reading(node)
        node.focus()
        for key in ("ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"):
            page.keyboard.press(key)
            page.wait_for_timeout(40)  # a figure draws once a frame: keys pressed at once would cancel out
            if reading(node) != before:
                break
        assert reading(node) != before, node.get_attribute("aria-label")


def grip(node):
    """Where to seize a slider, and how far there is room to either side."""
    part = node.locator(".gdl-thumb") if node.evaluate("node => node.tagName") == "g" else node
    box = part.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def goals(x, y):
    return [(x + dx, y + dy) for dx, dy in ((50, 0), (-50, 0), (0, -40), (0, 40), (110, 0), (-110, 0))]


def test_every_slider_moves_by_mouse(show, name):
    page = show(name)
    for node in sliders(page):
        node.scroll_into_view_if_needed()
        before, (x, y) = reading(node), grip(node)
        for goal in goals(x, y):
            page.mouse.move(*grip(node))
            page.mouse.down()
            page.mouse.move(*goal, steps=4)
            page.mouse.up()
            page.wait_for_timeout(40)
            if reading(node) != before:
                break
        assert reading(node) != before, node.get_attribute("aria-label")


def test_every_handle_moves_by_finger_and_the_page_stays(show, name):
    page = show(name, **PHONE)
    finger = page.context.new_cdp_session(page)

    def touch(kind, *points):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    for node in page.locator(".gdl [role=slider]:visible").all():
        node.evaluate("node => node.scrollIntoView({ block: 'center' })")
        stood, before, (x, y) = page.evaluate("scrollY"), reading(node), grip(node)
        for goal in goals(x, y):
            sx, sy = grip(node)
            touch("touchStart", (sx, sy))
            for part in (0.3, 0.6, 1.0):
                touch("touchMove", (sx + (goal[0] - sx) * part, sy + (goal[1] - sy) * part))
            touch("touchEnd")
            page.wait_for_timeout(40)
            if reading(node) != before:
                break
        assert reading(node) != before, node.get_attribute("aria-label")
        assert page.evaluate("scrollY") == stood


REACHABLE = """() => {
    const seen = new Set(), wanted = [];
    for (const node of document.querySelectorAll('.gdl :is(button, input, select, [tabindex="0"])')) {
        if (!node.checkVisibility({ visibilityProperty: true })) continue;
        const key = node.type === 'radio' ? node.name : node;
        if (!seen.has(key)) { seen.add(key); wanted.push(node.type === 'radio' ? 'group ' + node.name : node.getAttribute('aria-label') || node.textContent); }
    }
    return wanted;
}"""

FOCUSED = """() => {
    const node = document.activeElement;
    if (!node.closest('.gdl')) return null;
    const shows = (one) => one && getComputedStyle(one).outlineStyle !== 'none' && parseFloat(getComputedStyle(one).outlineWidth) >= 2;
    const thumb = node.querySelector(':scope .gdl-thumb');
    return { name: node.type === 'radio' ? 'group ' + node.name : node.getAttribute('aria-label') || node.textContent,
        visible: Boolean(shows(node) || (node.type === 'radio' && shows(node.nextElementSibling)) || (thumb && parseFloat(getComputedStyle(thumb).strokeWidth) >= 4)) };
}"""


def test_tab_reaches_every_control_and_focus_shows(show, name):
    page = show(name)
    wanted, reached = page.evaluate(REACHABLE), []
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused:
            assert focused["visible"], f"{focused['name']} has the focus, and nothing shows it"
            reached.append(focused["name"])
    assert sorted(set(reached)) == sorted(set(wanted))


def work_through(page):
    """Move everything that can be moved, a little; yields after each."""
    for node in sliders(page):
        node.focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowUp"):
            page.keyboard.press(key)
        yield node.get_attribute("aria-label")
    for node in page.locator(".gdl select:visible").all():
        for value in node.locator("option").evaluate_all("all => all.map((one) => one.value)"):
            node.select_option(value)
            yield value
    for node in page.locator(".gdl input[type=radio]").all():
        if node.is_visible():
            node.check(force=True)
            yield node.get_attribute("value")
    for node in page.locator(".gdl button:visible").all():
        if node.is_visible() and "link" not in (node.get_attribute("class") or ""):
            node.click(force=True)
            yield node.inner_text()


@SCREENS
def test_nothing_jumps_while_a_reader_works_through_every_control(show, name, screen):
    page = show(name, **screen)
    page.evaluate("document.querySelectorAll('.gdl').forEach((root) => root.scrollIntoView())")
    height = "Math.round(document.querySelector('.gdl').getBoundingClientRect().height)"
    before = page.evaluate(height)
    for what in work_through(page):
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate(height) == before, f"{what} changed the figure's height"


# Readers differ


@SCREENS
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(show, serious_findings, name, theme, screen):
    page = show(name, theme=theme, color_scheme=theme, **screen)
    assert serious_findings(page) == []


def test_colours_follow_the_theme(show, name):
    look = "getComputedStyle(document.querySelector('.gdl')).backgroundColor"
    assert show(name).evaluate(look) != show(name, theme="dark").evaluate(look)


def test_on_a_phone_nothing_scrolls_sideways(show, name):
    page = show(name, **PHONE)
    for _ in ("as it comes", *work_through(page)):
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        widest = "Math.max(...[...document.querySelectorAll('.gdl :not(svg, svg *)')].map((node) => node.getBoundingClientRect().right))"
        assert page.evaluate(widest) <= 390


CUT_OFF = """() => {
    const root = document.querySelector('.gdl').getBoundingClientRect();
    return [...document.querySelectorAll('.gdl svg text')].filter((node) => node.textContent && node.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !node.closest('[clip-path]'))
        .filter((node) => { const box = node.getBoundingClientRect(); return box.left < root.left - 1 || box.right > root.right + 1 || box.top < root.top - 1; })
        .map((node) => node.textContent);
}"""


@SCREENS
def test_no_words_in_the_picture_are_cut_off(show, name, screen):
    assert show(name, **screen).evaluate(CUT_OFF) == []


def test_every_target_is_big_enough_for_a_finger(show, name):
    page = show(name, **PHONE)
    for node in page.locator(".gdl button:visible, .gdl select:visible, .gdl input:visible").all():
        box = node.bounding_box()
        assert min(box["width"], box["height"]) >= 24, node.evaluate("node => node.outerHTML")


def test_numbers_are_announced_politely_and_change(show, name):
    page = show(name)
    line = page.locator(".gdl [aria-live=polite]").first
    before = line.inner_text()
    main = page.locator(".gdl [data-main]")
    main.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(line).not_to_have_text(before)


FRAMES_TO_SETTLE = """async () => {
    const root = document.querySelector('.gdl'), main = root.querySelector('[data-main]');
    main.focus();
    if (main.type === 'range') { main.value = Number(main.value) + Number(main.step); main.dispatchEvent(new Event('input', { bubbles: true })); }
    else main.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true, cancelable: true }));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return root.dataset.settled;
}"""


def test_with_reduced_motion_a_change_is_a_jump(show, name):
    assert show(name, reduced_motion="reduce").evaluate(FRAMES_TO_SETTLE) == "true"


def test_nothing_moves_by_itself(show, name):
    page = show(name)
    page.evaluate("new Promise((done) => setTimeout(done, 400))")
    changes = """() => new Promise((done) => {
        const seen = []; const watch = new MutationObserver((all) => seen.push(...all.map((one) => one.target.outerHTML || one.target.data)));
        watch.observe(document.querySelector('.gdl'), { subtree: true, childList: true, attributes: true, characterData: true });
        setTimeout(() => done(seen), 800); })"""
    assert page.evaluate(changes) == []


def test_without_javascript_the_still_picture_stands_there(show, name):
    page = show(name, java_script_enabled=False)
    assert page.locator(".gdl-still svg").bounding_box()["height"] > 150
    assert page.locator(".gdl").count() == 0


def test_on_paper_the_still_picture_stands_there(show, name):
    page = show(name, theme="dark")
    expect(page.locator(".gdl-still svg")).to_be_hidden()
    page.emulate_media(media="print")
    expect(page.locator(".gdl-still svg")).to_be_visible()
    expect(page.locator(".gdl")).to_be_hidden()
    assert page.locator(".gdl-still svg text").first.evaluate("node => getComputedStyle(node).fill") == "rgb(0, 0, 0)"


def test_two_figures_in_a_page_do_not_disturb_each_other(open_figures, name):
    page = open_figures(make(name), make(name), **DESK)
    mains = page.locator(".gdl [data-main]")
    before = reading(mains.first), reading(mains.last)
    mains.last.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(mains.last).not_to_have_attribute("aria-valuetext", before[1])
    assert reading(mains.first) == before[0]
    ids = page.evaluate("[...document.querySelectorAll('.gdl [id], .gdl-figure[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))


# The address


def another(value, limit):
    """A value of a setting that is not the one it has."""
    if limit["kind"] == "switch":
        return not value
    if limit["kind"] == "choice":
        return next(option for option in limit["options"] if option != value)
    if limit["kind"] == "whole":
        return value + 1 if value < limit["max"] else value - 1
    return (value + limit["max"]) / 2 if abs(limit["max"]) <= 1 else value / 2 if value else 0.5


def asked_for(name):
    made = make(name)
    changed = {key: another(getattr(made, key), limit) for key, limit in made.limits().items()}
    return {
        f"{name}.{key}": str(value).lower()
        if isinstance(value, bool)
        else value
        if isinstance(value, str)
        else f"{value:.9g}"
        for key, value in changed.items()
    }


def copied(page):
    """What the figure's own link says."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy a link").click()
    expect(page.locator(".gdl-share [role=status]")).to_have_text("Copied.")
    return page.evaluate("navigator.clipboard.readText()")


def test_a_link_leads_to_an_exact_setting_and_back(show, name):
    asked = asked_for(name)
    page = show(name, hash="#" + urlencode(asked))
    found = dict(parse_qsl(urlsplit(copied(page)).fragment))
    assert {key: float(value) if value[0].isdigit() else value for key, value in found.items()} == {
        key: float(value) if value[0].isdigit() else value for key, value in asked.items()
    }


def test_what_a_reader_sets_stands_in_the_address_and_survives_a_reload(show, name):
    page = show(name)
    before = urlsplit(page.url).fragment
    main = page.locator(".gdl [data-main]")
    main.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.hash !== ''")
    assert before == "" and urlsplit(page.url).fragment.startswith(name + ".")
    page.wait_for_timeout(400)
    said = reading(main)
    page.reload()
    expect(main).to_have_attribute("aria-valuetext", said)


def test_junk_in_an_address_leaves_the_figure_as_it_came(show, name):
    came = reading(show(name).locator(".gdl [data-main]"))
    junk = {f"{name}.{key}": value for key in make(name).settings for value in ("1e999",)}
    junk |= {f"{name}.trouble": "hm", f"{name}.__proto__": "1", f"{name}.": "", "a.b.c": "d"}
    page = show(name, hash="#" + urlencode(junk))
    assert reading(page.locator(".gdl [data-main]")) == came
    assert urlsplit(copied(page)).fragment == name


def test_without_a_clipboard_the_link_can_be_copied_by_hand(show, name):
    page = show(name)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    page.get_by_role("button", name="Copy a link").click()
    expect(page.get_by_role("textbox", name="link to this setting")).to_have_value(page.url.split("#")[0] + "#" + name)
