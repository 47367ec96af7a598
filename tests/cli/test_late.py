"""Modules that are loaded when they are used."""

import subprocess
import sys

import pytest
from astropy.io import fits

from pulsar_dask.cli.late import LATE


def python(script, folder):
    line = [sys.executable, "-c", f"from pulsar_dask.cli.late import postpone\n{script}"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def folder(tmp_path):
    for name in ("tiny", "other"):
        (tmp_path / f"{name}.py").write_text(f"""
print("{name}")
import {"other" if name == "tiny" else "os"}
VALUE = [1]
def function(x, *, y=2):
    "What it does."
    if x is None:
        raise ValueError("none")
    return x + y + len(VALUE)
class Kind: pass
""")
    package = tmp_path / "rooms"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "late.py").write_text("print('late')\nVALUE = 7\ndef function(): return VALUE")
    (package / "more").mkdir()
    (package / "more/__init__.py").write_text("print('more')\nfrom .inner import VALUE")
    (package / "more/inner.py").write_text("print('inner')\nVALUE = 8")
    return tmp_path


POSTPONED = "postpone({'tiny': ('function',), 'rooms.late': ('function',), 'rooms.more': ()})\n"


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("import tiny", ""),
        ("from tiny import function", ""),
        ("import rooms.late; from rooms import late", ""),
        ("import tiny; hasattr(tiny, '__wrapped__'); repr(tiny)", ""),
        ("from tiny import function; print(function(1), function(1, y=3))", "tiny other 4 5"),
        ("from tiny import Kind; print(Kind.__module__)", "tiny other tiny"),
        ("from tiny import function, VALUE; VALUE.append(2); print(function(1))", "tiny other 5"),
        ("import tiny; tiny.VALUE; import tiny as two; print(tiny.VALUE is two.VALUE)",
         "tiny other True"),
        ("import rooms.late; print(rooms.late.VALUE)", "late 7"),
        ("import rooms.late; rooms.late.function(); print(type(rooms.late).__name__)",
         "late module"),
        ("from rooms.late import function; print(function(), function.__module__)",
         "late 7 rooms.late"),
        ("import rooms.more.inner; print(rooms.more.inner.VALUE)", "inner 8"),
        ("import rooms.more; print(rooms.more.VALUE)", "more inner 8"),
        ("from rooms.more import VALUE, inner; print(VALUE, inner.VALUE)", "more inner 8 8"),
        ("try:\n import tiny; tiny.absent\nexcept AttributeError as e: print(e.name)",
         "tiny other absent"),
        ("try: from tiny import absent\nexcept ImportError as e: print(e.name)",
         "tiny other tiny"),
        ("from tiny import function\ntry: function(None)\nexcept ValueError as e: print(e)",
         "tiny other none"),
    ],
)  # fmt: skip
def test_what_is_taken_is_the_modules_own(folder, use, told):
    assert python(POSTPONED + use, folder) == told.split()


def test_what_is_there_already_stays(folder):
    assert python(f"import tiny\n{POSTPONED}import tiny; print(tiny)", folder)[:2] == [
        "tiny", "other",
    ]  # fmt: skip


def test_a_module_that_cannot_be_found_is_missed_at_once(folder):
    script = "postpone({'nowhere': ()})\ntry: import nowhere\nexcept ImportError: print('missed')"
    assert python(script, folder) == ["missed"]


def test_threads_that_use_it_at_once_load_it_once(folder):
    (folder / "slow.py").write_text("import time; print('slow'); time.sleep(0.1); VALUE = 1")
    script = """
from concurrent.futures import ThreadPoolExecutor
postpone({'slow': ()})
import slow
with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda i: slow.VALUE, range(50))))
"""
    assert python(script, folder) == ["slow", "50"]


def test_astropy_is_whole(tmp_path):
    """It reads and writes as it does, compressed images, too, and gives what it would give."""
    script = """
postpone()
import sys
import numpy as np
from astropy.io import fits
print("astropy.units" in sys.modules)
image = np.arange(300, dtype=np.int16).reshape(15, 20)
fits.CompImageHDU(image, compression_type="GZIP_1").writeto("c.fits", checksum=True)
with fits.open("c.fits") as hdus:
    print((hdus[1].data == image).all())
try: fits.open("http://127.0.0.1:9/a.fits")
except OSError: print("url")
from astropy.utils.data import Conf, conf
from astropy.nddata import CCDData
import astropy.utils.data
print(CCDData.read("c.fits", hdu=1, unit="adu").unit, type(astropy.utils.data).__name__)
import http.client, urllib.request
print(issubclass(http.client.HTTPConnection, object), type(http.client).__name__)
import dask.delayed, dask.array
print(dask.delayed(sum)([1, 2]).compute(), "<table" in dask.array.ones(3)._repr_html_())
"""
    assert python(script, tmp_path) == "False True url adu module True module 3 True".split()
    with fits.open(tmp_path / "c.fits", checksum=True) as hdus:
        assert hdus[1].data.sum() == sum(range(300))


@pytest.mark.parametrize("name", LATE)
def test_functions_that_are_told_are_functions(name, tmp_path):
    script = f"""
import importlib, types
module = importlib.import_module({name!r})
print(*[isinstance(getattr(module, f), types.FunctionType) for f in {LATE[name]!r}])
"""
    assert set(python(script, tmp_path)) <= {"True"}


def test_a_master_needs_no_units(tmp_path):
    for i in range(3):
        fits.PrimaryHDU([[i, 2], [3, 4]]).writeto(tmp_path / f"a{i}.fits")
    script = """
import os, sys
def end(status):
    print(int(status), *{"astropy.units", "numcodecs", "jinja2", "ssl"} & {*sys.modules})
    sys.stdout.flush()
    leave(status)
leave, os._exit = os._exit, end
sys.argv = ["med", "a*.fits", "m.fits", "--quiet"]
from pulsar_dask.__main__ import med
med()
"""
    assert python(script, tmp_path) == ["0"]
