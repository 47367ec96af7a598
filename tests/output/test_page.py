"""Parts of a report: pictures as PNG, charts, limits of a stretch; and a page that keeps what it is
given harmless."""

from __future__ import annotations

import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from astropy.visualization import ZScaleInterval
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pngs import decoded

from pulsar_dask.errors import PulsarError
from pulsar_dask.kernels.squares import Squares
from pulsar_dask.output.charts import Series, against_time, histogram, number, ticks
from pulsar_dask.output.page import check_page, page
from pulsar_dask.output.png import GREYS, png
from pulsar_dask.output.template import filled
from pulsar_dask.output.views import limits, merged, plane_picture, shades
from pulsar_dask.output.zscale import zscale


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_a_png_holds_its_picture(indices):
    palette, found = decoded(png(indices, GREYS))
    assert np.array_equal(found, indices)
    assert palette[:3] == palette[3:6] == b"\0\0\0"
    assert palette[-3:] == b"\xff\xff\xff"


def test_a_stretch_is_that_of_astropy_and_the_first_row_is_at_the_bottom():
    values = np.random.default_rng(1).normal(500, 20, (60, 80))
    low, high = limits(values)
    assert (low, high) == tuple(ZScaleInterval().get_limits(values))
    values[0, 0], values[-1, -1], values[5, 5] = -1e9, 1e9, np.nan
    grey = shades(values, low, high)
    assert (grey[-1, 0], grey[0, -1], grey[-6, 5]) == (1, 255, 0)
    there = np.isfinite(values)[::-1]
    expected = 1 + 254 * (np.clip(values[::-1][there], low, high) - low) / (high - low)
    assert np.abs(grey[there] - expected).max() <= 0.5 + 1e-9
    assert limits(np.full((4, 4), 7.0)) == (6.5, 7.5)
    assert limits(np.full((4, 4), np.nan)) == (0, 1)


@given(
    hnp.arrays(np.float64, st.integers(1, 2500), elements=st.floats(-1e6, 1e6, width=32)),
    st.integers(0, 3),
)
def test_a_stretch_is_that_of_astropy_for_any_values(values, decimals):
    values = np.round(values, decimals)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ZScaleInterval().get_limits(values)
        assert zscale(values) == tuple(map(float, expected))


def test_a_plane_that_is_the_same_everywhere_needs_no_picture():
    four, squares = np.full((3, 5), 4.0), Squares((6, 10), 2)
    assert plane_picture(4 * four, four, squares, 100)["src"] == ""
    gone = four.copy()
    gone[1, 2] = 0
    assert plane_picture(4 * gone, gone, squares, 100)["src"]
    assert plane_picture(np.arange(15.0).reshape(3, 5), four, squares, 100)["src"]


def test_squares_are_put_together_exactly():
    total = np.arange(35.0).reshape(5, 7)
    count = np.full((5, 7), 4)
    some, of, squares = merged(total, count, Squares((10, 14), 2), 12)
    assert squares == Squares((10, 14), 4)
    assert some[0, 0] == 0 + 1 + 7 + 8
    assert some.sum() == total.sum()
    assert of.sum() == count.sum()
    assert of[2, 3] == 4


@given(
    hnp.arrays(
        np.float64,
        st.integers(2, 40),
        elements=st.floats(allow_nan=True, allow_infinity=False, width=32),
    )
)
def test_any_figures_make_a_chart(values):
    names = [f"<d & {i}>.fit" for i in range(len(values))]
    odd = [i % 3 == 0 for i in range(len(values))]
    at = np.arange(float(len(values)))
    svg = against_time(Series("Level", "ADU", values), at, "a <b>", names, odd)
    known = np.isfinite(values)
    if not known.any():
        assert svg == ""
        return
    root = ElementTree.fromstring(svg)
    points = list(root.iter("circle"))
    assert len(points) == known.sum()
    assert all(0 <= float(p.get("cx")) <= 420 and 0 <= float(p.get("cy")) <= 190 for p in points)
    assert sum(p.get("class") == "odd" for p in points) == (known & odd).sum()
    for name in np.array(names)[known & odd]:
        assert name in root.get("aria-label")


@given(
    hnp.arrays(
        np.float64,
        st.integers(1, 200),
        elements=st.floats(allow_nan=False, allow_infinity=False, width=32),
    )
)
def test_any_values_make_a_histogram(values):
    svg, outside = histogram(np.sort(values), "ADU")
    root = ElementTree.fromstring(svg)
    assert number(float(np.median(values))) in root.get("aria-label")
    assert "nan" not in svg
    assert not outside or "outside" in outside


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (498.9, 501.2, [499, 499.5, 500, 500.5, 501]), (3, 3, [3])],
)
def test_round_numbers(low, high, found):
    assert ticks(low, high) == pytest.approx(found)


def content(**more):
    verdict = {"state": "good", "text": "It worked.", "remarks": []}
    parts = {"lights": None, "sheets": [], "heard": None, "commands": [], "facts": []}
    return {"title": "t", "verdict": verdict} | parts | more


def test_what_frames_say_is_no_markup():
    bad = "<script>alert(1)</script><img src=http://x/>"
    verdict = {"state": "look", "text": bad, "remarks": [{"text": bad, "frames": [bad]}]}
    row = {"name": bad, "made": bad, "state": bad, "before": "1", "after": "2", "odd": True}
    group = {
        "title": bad,
        "masters": [(bad, bad)],
        "steps": bad,
        "why": [bad],
        "rows": [row],
        "more": [row],
    }
    lights = {"unit": bad, "groups": [group], "failed": [{"name": bad, "why": bad}], "charts": []}
    commands = [{"what": bad, "text": bad}]
    text = page(content(title=bad, verdict=verdict, lights=lights, commands=commands))
    assert "<script" not in text
    assert "<img" not in text
    assert text.count("&lt;script&gt;") == 7 + 8 + 2 * 3 + 1


def test_a_chart_of_many_frames_is_small_and_its_names_fit():
    values = np.arange(4000.0)
    names = [f"{200 * 'n'}{i}.fit" for i in range(4000)]
    odd = [i % 100 == 5 for i in range(4000)]
    svg = against_time(Series("Level", "ADU", values), values, "frame", names, odd)
    root = ElementTree.fromstring(svg)
    assert len(list(root.iter("circle"))) == 40
    (dots,) = (p for p in root.iter("path") if p.get("class") == "dots")
    assert dots.get("d").count("M") == 3960
    texts = [t.text for t in root.iter("text") if t.get("class") == "name"]
    assert texts
    assert all(len(text) <= 24 for text in texts)
    assert root.get("aria-label").endswith("and 20 more")
    assert len(svg) < 200_000


def test_a_report_takes_no_place_of_others(tmp_path):
    mine, ours = tmp_path / "mine.html", tmp_path / "ours.html"
    mine.write_text("<!doctype html><title>mine</title>")
    ours.write_text(page(content()))
    check_page(str(ours), overwrite=False)
    check_page(str(tmp_path / "new.htm"), overwrite=False)
    check_page(str(mine), overwrite=True)
    for path, says in (
        (mine, "was not written by pulsar-dask"),
        (tmp_path / "a.fit", "a report is a .html file"),
        (tmp_path / "no" / "a.html", "does not exist"),
    ):
        with pytest.raises(PulsarError, match=says):
            check_page(str(path), overwrite=False)


def test_a_template_is_filled():
    text = """{% for n, x in enumerate(some) %}
  {% if n %}
, {% else %}
: {% endif %}
{{ x.a }}{% endfor %}"""
    assert filled(text, {"some": [{"a": "<"}, {"a": 2}]}) == ": &lt;, 2"
    assert filled("{{ x|safe }} {%", {"x": "<"}) == "< {%"
    with pytest.raises(KeyError):
        filled("{{ x }}", {})
    known = {"a": {"b": [1, 2]}, "c": []}
    text = "{% if len(a.b) + 1 == 3 and not c %}{{ a.b[1] }}{% else %}no{% endif %}"
    assert filled(text, known) == "2"
    assert filled("{% for a, b in enumerate((a.b, c), 1) %}{{ a }}{{ b }}{% endfor %}", known) == (
        "1[1, 2]2[]"
    )
    for text in ("{{ a.b.append(3) }}", "{{ open(c) }}", "{{ [x for x in c] }}", "{{ a ** a }}"):
        with pytest.raises(ValueError, match="no value"):
            filled(text, known)
