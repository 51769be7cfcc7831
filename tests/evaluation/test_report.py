"""A page is whole, safe and self-contained."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from hashnet.evaluation import GridItem, GridRow, Page, retrieval_grid, retrieval_grid_svg
from hashnet.evaluation.retrieval_grid import data_uri

SVG = '<svg xmlns="http://www.w3.org/2000/svg"></svg>'


def picture(size=(100, 80)):
    return Image.new("RGB", size, (200, 10, 10))


def grid(relevant=True, caption="a.jpg"):
    return retrieval_grid(
        [GridRow(GridItem(picture(), "q.jpg"), [GridItem(picture(), caption, relevant=relevant)])]
    )


@pytest.mark.parametrize(
    "fill",
    [
        lambda page, text: page.section(text),
        lambda page, text: page.text(text),
        lambda page, text: page.preformatted(text),
        lambda page, text: page.facts([(text, text)]),
        lambda page, text: page.table([(text, text)], header=(text, text), caption=text),
        lambda page, text: page.figure(SVG, text),
        lambda page, text: page.grid(grid(caption=text)),
    ],
)
def test_text_is_escaped_wherever_it_goes(fill):
    page = Page("<script>alert(1)</script>", subtitle="<script>", footer="<script>")
    fill(page, '<script>"')
    assert "<script" not in page.to_html()


def test_a_page_refers_to_nothing_outside_itself():
    page = Page("t").figure(SVG, "c").grid(grid())
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page.to_html())
    assert addresses
    assert all(address.startswith("data:") for address in addresses)


def test_figures_in_a_row_share_one_block_which_is_closed():
    html = Page("t").figure(SVG, "a").figure(SVG, "b").text("c").figure(SVG, "d").to_html()
    assert html.count('<div class="figures">') == 2
    assert html.count("<div") == html.count("</div>")


def test_only_columns_of_numbers_are_set_to_the_right():
    html = Page("t").table([("a", "1.5", "x"), ("b", "20", "3")], header=("n", "v", "w")).to_html()
    assert '<td class="number">1.5</td><td>x</td>' in html


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="must have 2 cells, got 3"):
        Page("t").table([("a", "b"), ("a", "b", "c")])


def test_an_empty_table_is_a_table():
    assert "<tbody></tbody>" in Page("t").table([], header=("a",)).to_html()


def test_markup_that_is_no_figure_is_refused():
    with pytest.raises(ValueError, match="SVG markup"):
        Page("t").figure("<img>", "c")


def test_markup_that_is_no_grid_is_refused():
    with pytest.raises(ValueError, match="retrieval_grid"):
        Page("t").grid("<p>")


def test_writing_makes_folders_and_replaces_the_old_page(tmp_path):
    path = tmp_path / "deep" / "report.html"
    Page("old").write(path)
    assert "<title>new</title>" in Page("new").write(path).read_text(encoding="utf-8")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = Page("old").write(tmp_path / "report.html")
    monkeypatch.setattr(Page, "to_html", lambda self: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        Page("new").write(path)
    assert "old" in path.read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("relevant", "sign"), [(True, "✓"), (False, "✗")])
def test_right_and_wrong_are_told_without_colour(relevant, sign):
    assert f"{sign} a.jpg" in grid(relevant=relevant)


def test_unknown_relevance_has_no_sign():
    assert not re.search("[✓✗]", grid(relevant=None))


def test_large_images_are_shrunk_and_left_alone():
    image = picture((2000, 1000))
    assert len(data_uri(image)) < 10_000
    assert image.size == (2000, 1000)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1"])
def test_images_of_every_mode_are_embedded(mode):
    assert data_uri(picture((20, 20)).convert(mode)).startswith("data:image/png;base64,")


def test_a_grid_without_rows_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        retrieval_grid([])


def test_figures_are_written_as_files_of_their_own(tmp_path):
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" aria-label="P@H≤2, over &amp; above" viewBox="0 0 40 20" />'
    )
    page = Page("t").figure(svg, "a").section("s").figure(SVG, "b")
    written = page.write_figures(tmp_path / "figures")
    assert [path.name for path in written] == ["01-p-h-2-over-above.svg", "02-figure.svg"]
    root = ElementTree.parse(written[0]).getroot()
    assert (root.get("width"), root.get("height")) == ("40pt", "20pt")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [path.name for path in written]


@pytest.mark.parametrize(("width", "wide"), [(403, False), (504, True)])
def test_a_wide_figure_has_a_row_to_itself(width, wide):
    html = Page("t").figure(f'<svg viewBox="0 0 {width} 245"></svg>', "c").to_html()
    assert ('class="wide"' in html) is wide


def test_a_grid_as_svg_tells_right_from_wrong_without_colour():
    neighbours = [GridItem(picture(), "a.jpg", relevant=True), GridItem(picture(), "b.jpg", relevant=False)]
    svg = retrieval_grid_svg([GridRow(GridItem(picture(), "q.jpg"), neighbours)])
    cells = [ElementTree.tostring(g, encoding="unicode") for g in ElementTree.fromstring(svg)]
    assert ["stroke-dasharray" in cell for cell in cells] == [False, False, True]
    assert ['rx="8"' in cell for cell in cells] == [False, True, False]
    assert "not relevant: b.jpg" in cells[2]


def test_a_grid_as_svg_escapes_and_cuts_captions():
    long = GridItem(picture(), "distance 7: <b>a folder/with a long name.jpg")
    svg = retrieval_grid_svg([GridRow(GridItem(picture(), "q"), [long])])
    assert ElementTree.fromstring(svg) is not None
    assert "<b>" not in svg
    assert "…</text>" in svg


def test_a_grid_as_svg_needs_a_row():
    with pytest.raises(ValueError, match="at least one row"):
        retrieval_grid_svg([])


def test_thumbnails_are_as_small_as_asked_for():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 200, 3), dtype=np.uint8))
    rows = [GridRow(GridItem(noise, "query"), [GridItem(noise, "near", True)])]
    for make in (retrieval_grid, retrieval_grid_svg):
        small, large = make(rows, max_side=48), make(rows)
        uris = re.findall(r"data:image/[a-z]+;base64,([A-Za-z0-9+/=]+)", small)
        sizes = [Image.open(io.BytesIO(base64.b64decode(uri))).size for uri in uris]
        assert sizes == [(32, 48)] * 2
        assert len(small) < len(large) / 3


def test_a_photo_of_a_few_pixels_is_a_jpeg_and_a_drawing_a_png():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    drawing = Image.new("RGB", (64, 64), "white")
    assert data_uri(noise).startswith("data:image/jpeg;")
    assert data_uri(drawing).startswith("data:image/png;")
