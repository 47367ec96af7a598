"""Input forms: what a user names, and the files it stands for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from helpers import names
from hypothesis import given
from hypothesis import strategies as st

from pulsar_dask.errors import PulsarError, PulsarWarning
from pulsar_dask.inputs.find import find_inputs
from pulsar_dask.inputs.words import natural_key


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


def found(*spec: str | os.PathLike[str], **kwargs: bool) -> list[str]:
    """Names relative to the current folder."""
    paths = find_inputs(spec if len(spec) > 1 else spec[0], **kwargs).paths
    assert all(os.path.isabs(p) for p in paths)
    return [os.path.relpath(p) for p in paths]


def test_folder_takes_fits_names_only(here):
    wanted = ["a.fit", "b.FITS", "c.fts", "d.fits.fz", "e.fit.gz", "f.Fit.GZ"]
    touch(here, *wanted, "g.txt", "h.fit.bz2", "i.fitx", "fit", ".j.fit", "sub/k.fit")
    assert found(".") == wanted
    assert found(here) == wanted


def test_recursive_enters_folders(here):
    touch(here, "a1.fit", "deep/er/a2.fit", "deep/a10.fits.gz")
    assert found(".") == ["a1.fit"]
    assert sorted(found(".", recursive=True)) == [
        "a1.fit", os.path.join("deep", "a10.fits.gz"), os.path.join("deep", "er", "a2.fit")
    ]  # fmt: skip


def test_folder_named_like_a_frame(here):
    touch(here, "night1.fit/a.fit")
    assert found("night1.fit") == [os.path.join("night1.fit", "a.fit")]


@pytest.mark.parametrize("mask", ["bias*.fit", "bias?*.fit", "bias[0-9]*.fit", "./bias*"])
def test_quoted_mask(here, mask):
    touch(here, "bias2.fit", "bias10.fit", "bias1.fit", "dark1.fit", "bias.txt")
    assert found(mask) == ["bias1.fit", "bias2.fit", "bias10.fit"]


def test_mask_in_another_folder(here):
    touch(here, "n1/b1.fit", "n2/b1.fit", "n2/b1.txt")
    assert found("n*/b*.fit") == [os.path.join("n1", "b1.fit"), os.path.join("n2", "b1.fit")]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_mask_does_not_pass_over_a_link_to_nothing(here):
    touch(here, "b1.fit")
    (here / "b2.fit").symlink_to("gone.fit")
    assert found("b*.fit") == ["b1.fit", "b2.fit"]


def test_mask_passes_over_folders_of_that_name(here):
    touch(here, "a1.fit", "a2.fit/x.fit")
    assert found("a*.fit") == ["a1.fit"]


def test_several_masks_and_folders_together(here):
    touch(here, "a1.fit", "b1.fit", "sub/c1.fit")
    assert found("a*.fit", "sub", "b1.fit") == ["a1.fit", "b1.fit", os.path.join("sub", "c1.fit")]


def test_many_files_are_no_sequence(here):
    touch(here, *(f"a{i}.fit" for i in range(1, 10)))
    assert found("a3.fit", "a1.fit") == ["a1.fit", "a3.fit"]


def test_one_numbered_file_is_its_sequence(here):
    touch(here, "a0001.fit", "a0002.fit", "a0003.fit", "b0004.fit", "a04.fit", "a0005.fits",
          "a0004.fit.fz", "xa0004.fit", "sub/a0004.fit")  # fmt: skip
    assert found("a0001.fit") == ["a0001.fit", "a0002.fit", "a0003.fit"]


def test_sequence_from_the_middle(here):
    touch(here, *(f"n2_a{i:03}.fits.fz" for i in range(1, 13)))
    assert found("n2_a010.fits.fz") == [f"n2_a{i:03}.fits.fz" for i in (10, 11, 12)]


def test_sequence_of_upper_case_suffixes(here):
    touch(here, "A1.FIT", "A2.FIT")
    assert found("A1.FIT") == ["A1.FIT", "A2.FIT"]


def test_sequence_of_a_file_without_prefix(here):
    touch(here, "001.fit", "002.fit")
    assert found("001.fit") == ["001.fit", "002.fit"]


def test_sequence_in_another_folder(here):
    touch(here, "sub/a1.fit", "sub/a2.fit", "a3.fit")
    assert found("sub/a1.fit") == [os.path.join("sub", "a1.fit"), os.path.join("sub", "a2.fit")]


def test_sequence_holds_one_file_a_number(here):
    touch(here, "a1.fit", "a2.fit", "a2.FIT")
    if len(names(here)) == 2:
        pytest.skip("the file system does not tell a2.fit from a2.FIT")
    assert found("a1.fit") == ["a1.fit", "a2.fit"]


def test_sequence_passes_over_folders(here):
    touch(here, "a1.fit", "a2.fit", "a3.fit/x.txt")
    assert found("a1.fit") == ["a1.fit", "a2.fit"]


def test_gaps_are_named_in_a_warning(here):
    touch(here, *(f"a{i:04}.fit" for i in (1, 2, 4, 5, 9)))
    with pytest.warns(PulsarWarning, match=r"a0003\.fit, a0006\.fit to a0008\.fit"):
        assert len(found("a0001.fit")) == 5


@pytest.mark.parametrize(
    "form",
    ["b{}.fit", "b ({}).fits", "b[{}].FIT", "b-{}.fits.gz", "b{{{}}}.fit", "{}_b.fits", "{} b.fit"],
)
def test_where_a_number_may_stand(here, form):
    wanted = [form.format(i) for i in range(1, 13)]
    others = [form.format("01"), form.format("x"), form.format(13) + ".bak", "1.txt"]
    touch(here, *wanted, *others)
    assert sorted(found(wanted[0]), key=natural_key) == sorted(wanted, key=natural_key)
    assert len(found(wanted[7])) == 5
    assert found("=" + wanted[0]) == wanted[:1] == found(wanted[0], sequence=False)


def test_zeros_in_front_keep_the_digit_count(here):
    touch(here, *(f"b{i:02}.fit" for i in range(8, 12)), "b9.fit", "b010.fit", "b100.fit")
    assert found("b08.fit") == ["b08.fit", "b09.fit", "b10.fit", "b11.fit"]
    touch(here, "n0.fit", "n1.fit", "n10.fit", "n00.fit")
    with pytest.warns(PulsarWarning, match=r"n2\.fit to n9\.fit"):
        assert found("n0.fit") == ["n0.fit", "n1.fit", "n10.fit"]


def test_one_file_alone(here):
    touch(here, "a1.fit", "a2.fit", "=b1.fit", "=b2.fit", "night/x.fit")
    assert found("=a1.fit") == ["a1.fit"]
    assert found("=a1.fit", "a2.fit") == ["a1.fit", "a2.fit"]
    assert found("=b1.fit") == ["=b1.fit", "=b2.fit"]  # such a name is that file
    for spec in ("=gone.fit", "=a*.fit", "=night", "="):
        with pytest.raises(PulsarError, match="= stands before one file"):
            find_inputs(spec)


BEGINNINGS = {
    "bz2": (b"BZh9", "bunzip2"),
    "xz": (b"\xfd7zXZ\0", "unxz"),
    "zst": (b"\x28\xb5\x2f\xfd", "unzstd"),
    "zip": (b"PK\3\4", "unzip"),
    "7z": (b"7z\xbc\xaf\x27\x1c", "7z x"),
    "xisf": (b"XISF0100", "PixInsight"),
    "cr2": (b"II*\0", "raw file of a camera"),
    "NEF": (b"MM\0*", "raw file of a camera"),
    "raf": (b"FUJIFILMCCD-RAW", "raw file of a camera"),
    "tif": (b"II*\0", "TIFF"),
    "ser": (b"LUCAM-RECORDER", "SER video"),
    "png": (b"\x89PNG", "PNG"),
    "new": (b"SIMPLE  = ", "rename"),
}


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_other_containers_are_told(here, ending):
    head, way_out = BEGINNINGS[ending]
    (here / "x").mkdir()
    for i in range(3):
        (here / "x" / f"b{i}.fits.{ending}").write_bytes(head + bytes(3000))
    (here / "x" / "notes.txt").write_text("clouds")
    for spec in ("x", f"x/*.{ending}"):
        with pytest.raises(PulsarError, match=way_out) as caught:
            find_inputs(spec)
        assert f"b0.fits.{ending} and 2 more" in str(caught.value)


def test_frames_of_which_only_some_are_expanded(here):
    touch(here, "b1.fit", "b2.fit", "b1.fit.bz2", "b2.fit.bz2")
    assert len(found(".")) == 2
    touch(here, "b3.fit.bz2", "b4.fit.bz2", "preview.jpg")
    with pytest.warns(PulsarWarning, match=r"b3\.fit\.bz2 and 1 more: .*bunzip2 -k \*\.bz2"):
        assert len(found(".")) == 2


def test_no_gap_before_the_number_named(here):
    touch(here, "a1.fit", "a3.fit", "a4.fit")
    assert found("a3.fit") == ["a3.fit", "a4.fit"]


def test_no_sequence_takes_one_file(here):
    touch(here, "a1.fit", "a2.fit")
    assert found("a1.fit", sequence=False) == ["a1.fit"]


def test_file_without_number_is_itself(here):
    touch(here, "one.fit", "two.fit")
    assert found("one.fit") == ["one.fit"]


@pytest.mark.parametrize(
    "text",
    [
        b"a1.fit\nb c.fit\n",
        b"# mine\n\n  a1.fit  \r\n\t\r\nb c.fit",
        b"\xef\xbb\xbfa1.fit\r\nb c.fit\r\n#end",
        b"a1.fit\rb c.fit\r",
    ],
    ids=["plain", "comments", "bom", "cr"],
)
@pytest.mark.parametrize("spec", ["@frames.txt", "frames.txt", "./frames.txt"])
def test_list(here, text, spec):
    touch(here, "a1.fit", "b c.fit", "a2.fit")
    (here / "frames.txt").write_bytes(text)
    assert found(spec) == ["a1.fit", "b c.fit"]


def test_list_is_relative_to_its_own_folder_then_to_the_current_one(here):
    touch(here, "c1.fit", "sub/a1.fit", "sub/b1.fit")
    (here / "sub" / "list.txt").write_text("a1.fit\nb1.fit\nc1.fit\n")
    wanted = ["c1.fit", os.path.join("sub", "a1.fit"), os.path.join("sub", "b1.fit")]
    assert sorted(found("@sub/list.txt")) == wanted
    touch(here, "a1.fit", "b1.fit")
    with pytest.warns(PulsarWarning, match="a1.fit and 1 more of the list's folder") as caught:
        assert sorted(found("@sub/list.txt")) == wanted
    assert len(caught) == 1
    (here / "a1.fit").unlink()
    (here / "b1.fit").unlink()
    os.link(here / "sub" / "a1.fit", here / "a1.fit")  # one file under two names leaves no doubt
    assert sorted(found("@sub/list.txt")) == wanted


def test_list_holds_absolute_paths_and_any_name(here):
    touch(here, "sub/frame.dat", "sub/naïve é.fit")
    text = f"{here / 'sub' / 'frame.dat'}\nsub/naïve é.fit\n"
    (here / "list.txt").write_text(text, encoding="utf-8")
    assert sorted(map(os.path.basename, found("list.txt"))) == ["frame.dat", "naïve é.fit"]


def test_list_of_undecodable_names(here):
    name = os.fsdecode(b"a\xff1.fit")
    try:
        touch(here, name)
    except (OSError, UnicodeError):
        pytest.skip("the file system does not take such names")
    (here / "list.txt").write_bytes(b"a\xff1.fit\n")
    assert found("list.txt") == [name]


def test_list_among_other_forms(here):
    touch(here, "a1.fit", "b1.fit")
    (here / "list.txt").write_text("a1.fit\n")
    assert found("@list.txt", "b*.fit") == ["a1.fit", "b1.fit"]


def test_listed_files_count_as_named(here):
    touch(here, "a1.fit", "b1.fit")
    (here / "list.txt").write_text("a1.fit\n")
    assert {os.path.basename(p) for p in find_inputs("list.txt").explicit} == {"a1.fit"}
    assert not find_inputs("*.fit").explicit


@pytest.mark.parametrize("name", ["a[1].fit", "a b.fit", "ä°Ω.fit", "a*.fit", "[x].fit", "-a.fit"])
def test_odd_names_as_they_are(here, name):
    touch(here, name, "a1.fit")
    assert found(name) == [name]
    assert found(name, "a1.fit") == sorted([name, "a1.fit"], key=natural_key)


def test_folder_with_brackets(here):
    touch(here, "night [1]/a1.fit", "night [1]/a2.fit")
    assert len(found("night [1]")) == 2
    assert len(found("night [1]/a1.fit")) == 2


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=12), st.data())
def test_natural_order_whatever_the_order_given(numbers, data):
    ordered = [f"x{n}.fit" for n in sorted(numbers)]
    given_order = data.draw(st.permutations(ordered))
    assert sorted(given_order, key=natural_key) == ordered


def test_the_order_given_does_not_matter(here):
    touch(here, "b2.fit", "b10.fit", "b1.fit")
    assert found("b10.fit", "b2.fit", "b1.fit") == ["b1.fit", "b2.fit", "b10.fit"]


def test_named_twice_counts_once(here):
    touch(here, "a1.fit", "b1.fit")
    with pytest.warns(PulsarWarning, match=r"named twice, counted once: a1\.fit") as caught:
        assert found("a1.fit", "b1.fit", "./a1.fit", str(here / "a1.fit")) == ["a1.fit", "b1.fit"]
    assert len(caught) == 1


def test_a_link_to_a_frame_named_too_counts_once(here):
    touch(here, "a1.fit")
    (here / "z.fit").symlink_to("a1.fit")
    with pytest.warns(PulsarWarning, match="named twice"):
        assert len(found("*.fit")) == 1


def test_many_named_twice_are_one_line(here):
    files = [f"a{i}.fit" for i in range(9)]
    touch(here, *files)
    with pytest.warns(PulsarWarning, match="and 6 more") as caught:
        assert len(found(*files, *files)) == 9
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gone.fit", r"^gone\.fit: no such file"),
        ("gone", r"^gone: no such file or folder"),
        ("b*.fit", r"^b\*\.fit: no file matches"),
        ("*.txt", r"^\*\.txt: no FITS file matches"),
        ("empty", r"^empty: no FITS file"),
        ("@gone.txt", r"^gone\.txt: No such file"),
        ("gone.txt", r"^gone\.txt: no such file"),
        ("nothing.txt", r"^nothing\.txt: the list names no file"),
        ("wrong.txt", r"^wrong\.txt, line 3: gone\.fit: no such file"),
    ],
)
def test_errors_name_the_thing(here, spec, message):
    (here / "empty").mkdir()
    (here / "nothing.txt").write_text("# nothing\n\n")
    (here / "wrong.txt").write_text("# a list\n\ngone.fit\n")
    with pytest.raises(PulsarError, match=message):
        find_inputs(spec)


def test_a_folder_of_folders_points_to_recursive(here):
    touch(here, "night/sub/a.fit")
    with pytest.raises(PulsarError, match="`recursive`"):
        find_inputs("night")


def test_control_characters_are_shown_escaped(here):
    with pytest.raises(PulsarError) as caught:
        find_inputs("bad\x1b[31m\nname.fit")
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
