"""Counting in a real browser: gdlab's batches and numbers in every frame, whatever n, B and drop-last are."""

import json

import pytest
from playwright.sync_api import expect

from gdlab import counting
from gdlab.figures import epoch_counter

pytestmark = pytest.mark.system


class Counter:
    """The figure on a page, as a reader meets it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".gdl")
        self.line = page.locator(".gdl-line")
        self.made = page.get_by_role("slider", name="updates made")
        self.code = page.locator(".gdl-code")

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def data(self, name):
        return json.loads(self.root.get_attribute(f"data-{name}"))

    def slider(self, name):
        return self.page.get_by_role("slider", name=name)

    def tiles(self, kind):
        """The examples on the tiles of a kind: taken, used, waiting, dropped."""
        return sorted(map(int, self.page.locator(f".gdl-{kind} text").all_text_contents()))

    def expect_frame(self, frame):
        expect(self.root).to_have_attribute("data-frame", str(frame), timeout=15_000)
        expect(self.root).to_have_attribute("data-settled", "true")


@pytest.fixture
def show(open_figures):
    return lambda figure, **settings: Counter(open_figures(figure, **settings))


CASES = [
    (12, 3, False),
    (13, 3, False),
    (13, 3, True),
    (5, 8, False),
    (5, 8, True),
    (48, 1, False),
    (47, 10, True),
    (1, 1, False),
]


def test_batches_and_numbers_are_gdlabs(open_figures):
    figures = [
        epoch_counter(n_examples=n, batch_size=size, drop_last=drop, epochs=3, seed=seed, frame=frame)
        for n, size, drop in CASES
        for seed, frame in ((0, 0), (5, 4), (9_999, 200))
    ]
    page = open_figures(*figures)
    drawn = page.evaluate("[...document.querySelectorAll('.gdl')].map((root) => ({ ...root.dataset }))")
    for said, made in zip(drawn, figures, strict=True):
        assert json.loads(said["batches"]) == made.batches()
        assert int(said["frame"]) == made.frame
        given = (made.n_examples, made.batch_size, made.drop_last)
        expected = [counting.steps_per_epoch(*given)]
        if made.steps:
            expected += [
                *counting.where_am_i(made.frame, *given),
                counting.examples_seen(made.frame, *given),
                str(counting.epochs_seen(made.frame, *given)),
            ]
        assert json.loads(said["counts"]) == expected


def test_each_update_takes_the_next_batch_and_each_epoch_begins_anew(show):
    counter = show(epoch_counter(), reduced_motion="reduce")
    first, second = epoch_counter().batches()
    counter.expect_frame(0)
    assert counter.tiles("waiting") == list(range(12))
    for frame in range(1, 9):
        counter.button("Step").click()
        counter.expect_frame(frame)
        epoch, taken = (first, frame) if frame <= 4 else (second, frame - 4)
        assert counter.tiles("taken") == sorted(epoch[taken - 1])
        assert counter.tiles("used") == sorted(sum(epoch[: taken - 1], []))
        assert counter.tiles("waiting") == sorted(sum(epoch[taken:], []))
    expect(counter.button("Step")).to_have_attribute("aria-disabled", "true")
    expect(counter.line).to_contain_text("24 examples seen: 2 epochs. The run is over.")


def test_tiles_stand_in_the_order_of_the_epoch(show):
    counter = show(epoch_counter(frame=5))
    places = counter.page.locator(".gdl-tile").evaluate_all(
        "all => all.map((one) => [one.getBoundingClientRect().y, one.getBoundingClientRect().x, Number(one.textContent)])"
    )
    assert [example for *_, example in sorted(places)] == sum(epoch_counter().batches()[1], [])
    first = " | ".join(" ".join(map(str, batch)) for batch in epoch_counter().batches()[0])
    expect(counter.page.get_by_text(f"Epoch 0: {first}")).to_be_visible()


def test_the_boundary_is_said(show):
    counter = show(epoch_counter(frame=4))
    expect(counter.line).to_have_text("4 of 8 updates made. 12 examples seen: 1 epoch. Next: step 4, epoch 1 begins.")
    expect(counter.page.locator(".gdl-here")).to_contain_text("Epoch 0complete")
    counter.made.focus()
    counter.page.keyboard.press("ArrowRight")
    counter.expect_frame(5)
    expect(counter.line).to_have_text(
        "5 of 8 updates made. 15 examples seen: 5/4 epochs. Next: step 5, step 1 of epoch 1."
    )


def test_dropped_examples_are_dashed_and_never_taken(show):
    counter = show(epoch_counter(n_examples=13))
    expect(counter.page.locator(".gdl-rule")).to_have_text("⌈13 / 3⌉ = 5 steps an epoch")
    counter.page.get_by_role("switch", name="drop a short last batch").click()
    expect(counter.page.locator(".gdl-rule")).to_have_text("⌊13 / 3⌋ = 4 steps an epoch")
    kept = sorted(sum(epoch_counter(n_examples=13, drop_last=True).batches()[0], []))
    assert counter.tiles("waiting") == kept
    assert counter.tiles("dropped") == sorted(set(range(13)) - set(kept))


def test_the_python_beside_it_says_the_same(show):
    counter = show(epoch_counter())
    for n, size in ((12, 3), (13, 5), (48, 24), (7, 7)):
        counter.slider("examples").fill(str(n))
        counter.slider("batch size").fill(str(size))
        for drop in (True, False):
            counter.page.get_by_role("switch", name="drop a short last batch").click()
            expect(counter.page.locator(".gdl-rule")).to_contain_text(f"{'⌊' if drop else '⌈'}{n} / {size}")
            counter.made.focus()
            counter.page.keyboard.press("End")
            expect(counter.line).to_contain_text("The run is over.")
            lines = counter.code.inner_text().splitlines()
            for call, answer in zip(lines[::2], lines[1::2], strict=True):
                assert str(eval(call, vars(counting).copy())) == answer.strip()


def test_dragging_goes_to_any_update(show):
    counter = show(epoch_counter())
    tick = counter.page.locator(".gdl-grid text").filter(has_text="6").last.bounding_box()
    box = counter.made.locator(".gdl-thumb").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    counter.page.mouse.move(x, y)
    counter.page.mouse.down()
    counter.page.mouse.move(tick["x"] + tick["width"] / 2, y, steps=8)
    counter.page.mouse.up()
    counter.expect_frame(6)


def test_fewer_updates_than_were_made_go_back_to_the_last(show):
    counter = show(epoch_counter(frame=8))
    counter.slider("batch size").fill("6")
    counter.expect_frame(4)
    expect(counter.line).to_contain_text("4 of 4 updates made.")


def test_an_epoch_without_a_full_batch_is_said_to_have_none(show):
    counter = show(epoch_counter(n_examples=5, batch_size=8, drop_last=True))
    expect(counter.line).to_have_text("0 of 0 updates made. Every batch is short, and short ones are dropped.")
    assert counter.tiles("dropped") == list(range(5))
    expect(counter.button("Play")).to_have_attribute("aria-disabled", "true")
    counter.slider("examples").fill("8")
    expect(counter.line).to_contain_text("0 of 2 updates made.")


def test_it_plays_to_the_end(show):
    counter = show(epoch_counter(n_examples=4, batch_size=2, epochs=1))
    counter.button("Play").click()
    counter.expect_frame(2)


@pytest.mark.parametrize("width", [320, 390, 1000])
@pytest.mark.parametrize(("n", "size"), [(48, 1), (48, 48), (47, 5), (12, 3)])
def test_every_tile_has_a_place_of_its_own_above_the_updates(show, n, size, width):
    counter = show(epoch_counter(n_examples=n, batch_size=size), viewport={"width": width, "height": 900})
    boxes = counter.page.locator(".gdl-tile rect").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect()).map((box) => [box.left, box.top, box.right, box.bottom])"
    )
    band = counter.page.locator(".gdl-epoch").first.bounding_box()
    root = counter.root.bounding_box()
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert root["x"] < left and right < root["x"] + root["width"] and bottom < band["y"]
        for other in boxes[:i]:
            assert left >= other[2] or other[0] >= right or top >= other[3] or other[1] >= bottom


def test_a_learners_own_answer_stands_beside_the_right_one(show):
    counter = show(epoch_counter(lambda step, n, size, drop_last: (step // 5, step % 5), frame=2))
    expect(counter.line).to_contain_text("✓ Yours says (0, 2).")
    expect(counter.page.locator(".gdl-wrong")).to_have_count(5)
    counter.made.focus()
    counter.page.keyboard.press("End")
    expect(counter.line).to_contain_text("Yours says (1, 3), it is (2, 0).")
    for name in ("examples", "batch size"):
        expect(counter.slider(name)).to_be_hidden()


def test_a_learners_unwritten_answer_says_what_to_do(show):
    def stub(step, n_examples, batch_size, drop_last):
        raise NotImplementedError

    expect(show(epoch_counter(stub)).line).to_contain_text("Your where_am_i is not written yet")
