"""Numbers on the command line: rightly taken, or refused with a word on how to give them."""

from __future__ import annotations

import numpy as np
import pytest
from harm import snapshot
from helpers import same
from many import refused, run_many
from night import pixels, stack, write_stack

from pulsar_dask.errors import PulsarError
from pulsar_dask.inputs.numbers import as_number, number
from pulsar_dask.masters.darks import gather_darks

DARKS = stack(2, 3, 400)
FLATS = stack(3, 3, 20000)
NEVER = ["", "1 2", "\x1b[1m", *"nan -inf 1e400 -1 4,5,6 2GB 0x10 x १ --".split()]
SPELT = {"4,5": "4.5", "1_000": "1000", "1'000": "1000", "2,500": "2.500 (or 2500)"}

#: Option: what its message says to give, numbers that are right, more that are wrong.
OPTIONS = {
    "--memory": ("such as 2 or 0.5", ["2", "0.9", "1e1", "+3", " 2 "], ["0", "2e9", "-0.0"]),
    "--threads": ("such as 4", ["1", "2", "1e0", "3."], ["0", "1.5", "1025"]),
    "--hot-pixels": ("such as 1000", ["0", "7", "1e4", "1000000"], ["0.5", "1e10"]),
    "--exposure-tolerance": ("such as 0.01", ["0", "0.5", ".5", "1e-3"], ["1e7"]),
}


@pytest.fixture
def folder(tmp_path):
    write_stack(tmp_path / "darks", "d", DARKS, "Dark Frame", 2.0)
    write_stack(tmp_path / "flats", "f", FLATS, "Flat Frame", 2.0, "L")
    return tmp_path


def test_wrong_numbers_of_options(folder):
    lines, gives = [], []
    for option, (give, _, wrong) in OPTIONS.items():
        for text in [*NEVER, *wrong, *SPELT]:
            lines.append(("makedark", "darks", f"{option}={text}"))
            gives.append((give, text))
    before = snapshot(folder)
    for (give, text), done in zip(gives, run_many(lines, folder), strict=True):
        refused(done, give, SPELT.get(text, ""), status=2)
        assert done.out == ""
    assert snapshot(folder) == before


def test_right_numbers_of_options(folder):
    lines = [
        ("makedark", "darks", "--quiet", option, text)
        for option, (_, right, _) in OPTIONS.items()
        for text in right
    ]
    for done in run_many(lines, folder):
        assert done.status == 0, done
    same(pixels(folder / "dark2s.fit"), np.median(DARKS, 0).astype("f4"))


def test_wrong_constants(folder):
    """Of bias, dark and target; each message has the number and what one is."""
    cases = [
        (("makedark", "darks", "nan"), "nan: not a finite number"),
        (("makedark", "darks", "1e400"), "1e400: not a finite number"),
        (("makedark", "darks", "--bias", "-inf"), "-inf: not a finite number"),
        (("makedark", "darks", "1e31"), "1e31: more than a pixel can have"),
        (("makedark", "darks", "4,5"), "4,5: no such file or folder, and not a number"),
        (("makedark", "darks", "4,5"), "write it with a point: 4.5"),
        (("makedark", "darks", "--bias", "1_000"), "write it as 1000"),
        (("makedark", "darks", "2GB"), "2GB: no such file or folder, and not a number"),
        (("makedark", "darks", "0x10"), "0x10: no such file or folder, and not a number"),
        (("makedark", "darks", "१००"), "and not a number of ADU as 100 or 4.5"),
        (("makedark", "darks", "1e5.fit"), "1e5.fit: no such file or folder"),
        (("makedark", "darks", "100", "200"), "--bias NUMBER or --bias FILE"),
        (("makeflat", "flats", "--dark", "nan"), "nan: not a finite number"),
        (("makeflat", "flats", "--dark", "4,5"), "write it with a point: 4.5"),
        (("makeflat", "flats", "--dark", "100ADU"), "100ADU: no such file"),
        (("makeflat", "flats", "nan", "--dark", "0"), "nan: not a finite number"),
        (("makeflat", "flats", "1e400", "--dark", "0"), "1e400: not a finite number"),
        (("makeflat", "flats", "0", "--dark", "0"), "target median 0: give a positive number"),
        (("makeflat", "flats", "-5000", "--dark", "0"), "target median -5000: give a positive"),
        (("makeflat", "flats", "1e-300", "--dark", "0"), "target median 1e-300: give a positive"),
        (("makeflat", "flats", "5,000", "--dark", "0"), "5.000 (or 5000)"),
        (("makeflat", "flats", "5k", "--dark", "0"), "5k: no such file or folder, and not a"),
    ]
    before = snapshot(folder)
    for (_, says), done in zip(cases, run_many([c for c, _ in cases], folder), strict=True):
        refused(done, says)
    assert snapshot(folder) == before


def test_right_constants(folder):
    truth = np.median(DARKS, 0)
    for text, value in {"100": 100, "-4.5": -4.5, "+1e2": 100, ".5": 0.5, "-0": 0}.items():
        [done] = run_many([("makedark", "darks", text, "-q")], folder)
        assert done.status == 0, done
        same(pixels(folder / "dark2s.fit"), (truth - value).astype("f4"))
    (folder / "100").mkdir()
    write_stack(folder / "100", "b", stack(5, 1, 50), "Bias Frame", 0)
    [done] = run_many([("makedark", "darks", "100", "-q")], folder)
    assert done.status == 0, "a folder of that name comes before the number"
    same(pixels(folder / "dark2s.fit"), (truth - stack(5, 1, 50)[0]).astype("f4"))


@pytest.mark.parametrize("text", ["1", "-1.5", "+.5", "5.", "1e3", "1E-3", " 7 "])
def test_a_number_is_what_python_reads(text):
    assert number(text) == float(text)


@pytest.mark.parametrize("text", ["", "a", "1e", "0b1", "٣", "1__0", "--1", "1.2.3", ",", "1,,2"])
def test_what_is_no_number(text):
    with pytest.raises(ValueError, match=r"not a number|write it"):
        number(text)


@pytest.mark.parametrize("text", ["gone.fit", "2024*.fit", "@1.txt", "darks", "7.fits.fz", "-v"])
def test_names_are_no_numbers(text):
    assert as_number(text) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e31, np.float64(-1e300)])
def test_constants_in_python(folder, value):
    with pytest.raises(PulsarError, match=r"finite number|more than a pixel"):
        gather_darks(folder / "darks", bias=value)
