"""What the theme would have every page carry for nothing, left out of the built book.

The theme brings its icons twice: as 1.4 MB of JavaScript, and as a font of 156 KB with two thousand glyphs
of which the pages show some twenty. The script goes, and the font keeps the glyphs that a page or a style names.
Every page brings the index of the whole book, too, and what searches it, which only the search page reads.
`setup` is a Sphinx extension, listed in _config.yml.
"""

import re
from pathlib import Path
from typing import Any

from fontTools.subset import Options, Subsetter, load_font, save_font

ICON_SCRIPT = re.compile(r'<script[^>]* src="[^"]*fontawesome\.js[^"]*"></script>\n?')
SEARCH_SCRIPT = re.compile(r'<script src="(?:_static/)?(?:searchtools|language_data|searchindex)\.js"></script>\s*')
ICON_RULE = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}')
ICON_IN_A_STYLE = re.compile(r'"(?:\\([ef][0-9a-f]{3})|([\ue000-\uf8ff]))"')  # "\f107", or the character itself
FONT = "fa-solid-900"
FONT_SOURCES = re.compile(rf"src:url\(([^)]*/{FONT})\.woff2\)[^;}}]*")


def _lighten(app, error) -> None:
    if error or app.builder.format != "html":
        return
    book = Path(app.outdir)
    _drop_scripts(book)
    _cut_icon_font(book)


def _drop_scripts(book: Path) -> None:
    for page in book.rglob("*.html"):
        _rewrite(page, lambda text: ICON_SCRIPT.sub("", text))
        if page.stem != "search":
            _rewrite(page, lambda text: SEARCH_SCRIPT.sub("", text))
    for file in (book / "_static" / "scripts").glob("fontawesome.js*"):
        file.unlink()


def _cut_icon_font(book: Path) -> None:
    """Write a font with the glyphs that are used, and point the theme's style to it."""
    fonts = list(book.glob(f"_static/**/{FONT}.ttf"))
    if not fonts:  # another theme
        return
    options = Options(flavor="woff")  # woff2 would save another kilobyte, and needs one more package
    font = load_font(str(fonts[0]), options)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=used_icons(book))
    subsetter.subset(font)
    save_font(font, str(fonts[0].with_suffix(".woff")), options)
    for style in book.glob("_static/**/*.css"):
        _rewrite(style, lambda text: FONT_SOURCES.sub(r'src:url(\1.woff) format("woff")', text))


def used_icons(book: Path) -> set[int]:
    """The code points of the icons that a page or a style of a built book names."""
    styles = "".join(path.read_text(encoding="utf-8") for path in book.glob("_static/**/*.css"))
    named = {name for page in book.rglob("*.html") for name in re.findall(r"fa-[\w-]+", page.read_text("utf-8"))}
    of_pages = {point for rules, point in ICON_RULE.findall(styles) if named & set(re.findall(r"fa-[\w-]+", rules))}
    of_styles = ICON_IN_A_STYLE.findall(ICON_RULE.sub("", styles))
    return {int(point, 16) for point in of_pages} | {
        int(point, 16) if point else ord(sign) for point, sign in of_styles
    }


def _rewrite(file: Path, change) -> None:
    text = file.read_text(encoding="utf-8")
    if (changed := change(text)) != text:
        file.write_text(changed, encoding="utf-8")


def setup(app) -> dict[str, Any]:
    """Sphinx calls this for every extension in _config.yml."""
    app.connect("build-finished", _lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
