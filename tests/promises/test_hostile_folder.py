"""A folder into which others can put what looks like what a killed run has left: nothing of the
user's is moved, changed or removed, and the run works."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from harm import POSIX
from helpers import command, names, run
from night import stack, write_stack

from pulsar_dask.files import held
from pulsar_dask.files.leftovers import remove_stale
from pulsar_dask.files.part import is_temporary

TOKEN = "0123456789ab"
PART = f".m.fit.pulsar-{TOKEN}.part"
RECORD = {"made by": "pulsar-dask", "as": TOKEN, "names": {"m.fit": None, "frame.fit": None}}


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    write_stack(folder, "d", stack(1, 3, 1000), "Dark", 2)
    return folder


def everything(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, content)
    return found


class Place:
    """A folder of the user's, and one that others write to as well."""

    def __init__(self, folder: Path) -> None:
        self.private, self.shared = folder / "private", folder / "shared"
        (self.private / "m.fit").mkdir(parents=True, mode=0o700)
        (self.private / "m.fit" / "zarr.json").write_text("{}")
        (self.private / "frame.fit").write_bytes(b"raw")
        (self.private / "key").write_bytes(b"secret")
        (self.private / "lock").write_text(json.dumps(RECORD))
        self.private.chmod(0o700)
        self.shared.mkdir()
        self.shared.chmod(0o777)
        self.part = self.shared / PART
        self.before = everything(self.private)

    def folder(self, *, record: object = RECORD) -> Path:
        """As a killed run leaves it, in all but what it is for."""
        self.part.mkdir(mode=0o700)
        (self.part / "lock").write_text(json.dumps(record) if record else "")
        return self.part


def part_is_a_link(place: Place) -> None:
    place.part.symlink_to(place.private)


def part_is_a_link_to_a_file(place: Place) -> None:
    place.part.symlink_to(place.private / "key")


def part_is_a_link_to_nothing(place: Place) -> None:
    place.part.symlink_to(place.private / "new")


def old_is_a_link(place: Place) -> None:
    (place.folder() / "old").symlink_to(place.private)


def old_is_a_link_and_the_lock_is_empty(place: Place) -> None:
    (place.folder(record=None) / "old").symlink_to(place.private)


def lock_is_a_link(place: Place) -> None:
    part = place.folder()
    (part / "lock").unlink()
    (part / "lock").symlink_to(place.private / "lock")
    (part / "old").symlink_to(place.private)


def lock_is_a_further_name(place: Place) -> None:
    part = place.folder()
    (part / "lock").unlink()
    os.link(place.private / "lock", part / "lock")
    (part / "old").symlink_to(place.private)


def links_in_old(place: Place) -> None:
    (place.folder() / "old").mkdir(0o700)
    (place.part / "old" / "m.fit").symlink_to(place.private / "m.fit")
    (place.part / "old" / "frame.fit").symlink_to(place.private / "frame.fit")


def link_for_the_output(place: Place) -> None:
    (place.folder() / "m.fit").symlink_to(place.private)


def links_deep_in_the_output(place: Place) -> None:
    (place.folder() / "m.fit").mkdir()
    (place.part / "m.fit" / "c").symlink_to(place.private)
    (place.part / "m.fit" / "zarr.json").symlink_to(place.private / "key")


def further_names_of_private_files(place: Place) -> None:
    (place.folder() / "old").mkdir(0o700)
    os.link(place.private / "frame.fit", place.part / "old" / "frame.fit")
    os.link(place.private / "key", place.part / "new")


def a_further_name_of_a_private_file(place: Place) -> None:
    os.link(place.private / "key", place.part)


def foreign_names_in_old(place: Place) -> None:
    (place.folder() / "old").mkdir(0o700)
    (place.part / "old" / "m.fit").write_bytes(b"mine")
    (place.part / "old" / "secret").write_bytes(b"mine")


def foreign_names(place: Place) -> None:
    (place.folder() / "secret").write_bytes(b"mine")


def names_that_lead_elsewhere(place: Place) -> None:
    to = {"../private/key": None, "..": None, "/etc/passwd": None}
    (place.folder(record=RECORD | {"names": to}) / "old").mkdir(0o700)


def record_of_another(place: Place) -> None:
    (place.folder(record=RECORD | {"as": "ba9876543210"}) / "m.fit").write_bytes(b"mine")


def no_record(place: Place) -> None:
    (place.folder(record=None) / "m.fit").write_bytes(b"mine")


def a_record_that_breaks(place: Place) -> None:
    (place.folder() / "lock").write_text("[" * 100_000)
    (place.part / "m.fit").write_bytes(b"mine")


def numbers_that_break(place: Place) -> None:
    text = json.dumps(RECORD | {"names": {"m.fit": [1, 2, 3]}}).replace("1, 2,", "1, 1e999,")
    (place.folder() / "lock").write_text(text)
    (place.part / "m.fit").write_bytes(b"mine")


def a_name_that_no_file_has(place: Place) -> None:
    (place.folder(record=RECORD | {"names": {"a\0b": None}}) / "old").mkdir(0o700)


def a_list_for_a_record(place: Place) -> None:
    (place.folder(record=[RECORD]) / "m.fit").write_bytes(b"mine")


def others_may_write_to_it(place: Place) -> None:
    place.folder().chmod(0o777)
    (place.part / "m.fit").write_bytes(b"mine")


def a_pipe(place: Place) -> None:
    os.mkfifo(place.part)


def pipes(place: Place) -> None:
    os.mkfifo(place.folder() / "old")
    (place.part / "lock").unlink()
    os.mkfifo(place.part / "lock")


def a_socket(place: Place) -> None:
    here = os.getcwd()
    os.chdir(place.shared)  # such a name may not be long
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(PART)
    os.chdir(here)


STAYS = [
    part_is_a_link, part_is_a_link_to_a_file, part_is_a_link_to_nothing, old_is_a_link,
    old_is_a_link_and_the_lock_is_empty, lock_is_a_link, lock_is_a_further_name, links_in_old,
    link_for_the_output, a_further_name_of_a_private_file, foreign_names_in_old, foreign_names,
    names_that_lead_elsewhere, record_of_another, no_record, a_list_for_a_record,
    a_record_that_breaks, numbers_that_break, a_name_that_no_file_has,
    others_may_write_to_it, a_pipe, pipes, a_socket,
]  # fmt: skip
GOES = [links_deep_in_the_output, further_names_of_private_files]


@POSIX
@pytest.mark.parametrize("plant", STAYS + GOES)
def test_planted_leftovers_do_no_harm(raw, tmp_path, plant):
    place = Place(tmp_path)
    plant(place)
    planted = everything(place.part) if plant in STAYS and place.part.is_dir() else None
    for tool, output in ((("makedark", raw, "--output-dir"), place.shared),
                         (("med", raw), place.shared / "m.fit")):  # fmt: skip
        run(*tool, output, "--overwrite", cwd=tmp_path)
        assert everything(place.private) == place.before
    assert {"m.fit", "dark2s.fit", "cosme2s.lst"} <= set(names(place.shared))
    assert os.path.lexists(place.part) == (plant in STAYS)
    if planted is not None:
        assert everything(place.part) == planted
    others = set(names(place.shared)) - {"m.fit", "dark2s.fit", "cosme2s.lst", PART, "frame.fit"}
    assert others == set()


ROOT = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root makes files of others"
)


@pytest.fixture
def place():
    """Where another user gets to, too."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Place(Path(folder))


def as_user(number: int, place: Place) -> None:
    """`remove_stale` of another user."""
    child = os.fork()
    if not child:
        status = 1
        try:
            os.seteuid(number)
            assert names(place.shared)
            remove_stale(str(place.shared))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def own(folder: Path, number: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, number, -1)


@ROOT
@pytest.mark.parametrize("owner", [0, 12345])
@pytest.mark.parametrize("user", [0, 12345, 12346])
def test_leftovers_of_others_stay(place, owner, user):
    old = place.folder() / "old"
    old.mkdir(0o700)
    (old / "m.fit").write_bytes(b"old")
    own(place.part, owner)
    before = everything(place.shared)
    as_user(user, place)
    if owner == user:
        assert names(place.shared) == ["m.fit"]
    else:
        assert everything(place.shared) == before


@ROOT
@pytest.mark.parametrize("whose", ["folder", "lock", "old", "file"])
def test_what_is_in_part_of_others_stays(place, whose):
    if whose == "file":
        place.part.write_bytes(b"theirs")
    else:
        (place.folder() / "old").mkdir(0o700)
        (place.part / "old" / "m.fit").write_bytes(b"old")
    which = {"lock": place.part / "lock", "old": place.part / "old"}
    os.chown(which.get(whose, place.part), 12345, -1)
    before = everything(place.shared)
    remove_stale(str(place.shared))
    assert everything(place.shared) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from pulsar_dask.files import atomicfolder
from pulsar_dask.files import held
atomicfolder._exchange = lambda *args: False  # as on a file system that cannot
move = held.Folder.move
def struck(self, name, to, new):
    if name == "m.zarr" and self.path.endswith(".part"):
        os.kill(os.getpid(), signal.SIGKILL)
    move(self, name, to, new)
held.Folder.move = struck
with atomicfolder.AtomicFolder("m.zarr") as folder:
    os.mkdir(folder.store)
    Path(folder.store, "new").write_bytes(b"new")
    folder.commit()
"""


def killed_between_two_renames(folder: Path) -> Path:
    """What a run has left that was killed when the old store was out of the way."""
    (folder / "m.zarr").mkdir()
    (folder / "m.zarr" / "old").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=folder)
    assert done.returncode == -signal.SIGKILL
    (name,) = names(folder)
    assert is_temporary(name)
    return folder / name


def noted(steps: list[tuple[str, str]], name: str) -> object:
    real = getattr(held.Folder, name)

    def step(self: held.Folder, *args: object) -> None:
        steps.append((name, str(args[0])))
        real(self, *args)

    return step


@POSIX
@pytest.mark.parametrize("by_descriptor", [True, False])
def test_what_a_kill_has_left_is_given_back(tmp_path, by_descriptor, monkeypatch):
    part = killed_between_two_renames(tmp_path)
    assert stat.S_IMODE(part.stat().st_mode) == 0o700
    if not by_descriptor:  # as on Windows
        monkeypatch.setattr(held, "BY_DESCRIPTOR", False)
    steps: list[tuple[str, str]] = []
    for name in ("move", "clear", "unlink", "remove_empty"):
        monkeypatch.setattr(held.Folder, name, noted(steps, name))
    remove_stale(str(tmp_path))
    assert names(tmp_path) == ["m.zarr"]
    assert (tmp_path / "m.zarr" / "old").read_bytes() == b"old"
    # the lock goes when all else has been done, on every system
    assert steps[0] == ("move", "m.zarr")
    assert steps[-2:] == [("unlink", "lock"), ("remove_empty", part.name)]
    assert [s for s in steps if s[1] == "lock"] == [("unlink", "lock")]


@POSIX
@pytest.mark.parametrize("taken", ["file", "folder"])
def test_what_was_made_since_is_not_replaced_by_what_was_there(tmp_path, taken):
    killed_between_two_renames(tmp_path)
    if taken == "file":
        (tmp_path / "m.zarr").write_bytes(b"mine")
    else:
        (tmp_path / "m.zarr").mkdir()
        (tmp_path / "m.zarr" / "mine").write_bytes(b"mine")
    remove_stale(str(tmp_path))
    assert names(tmp_path) == ["m.zarr"]
    mine = tmp_path / "m.zarr" / "mine" if taken == "folder" else tmp_path / "m.zarr"
    assert mine.read_bytes() == b"mine"


@POSIX
def test_a_folder_put_in_the_place_of_ours_is_not_emptied(tmp_path):
    """While a run is at work: it goes on in its own folder, and removes nothing by name."""
    from pulsar_dask.files.atomicfolder import AtomicFolder

    place = Place(tmp_path)
    with AtomicFolder(str(place.shared / "m.fit")) as folder:
        os.mkdir(folder.store)
        (Path(folder.store) / "zarr.json").write_text("new")
        (name,) = names(place.shared)
        os.rename(place.shared / name, place.shared / "away")
        (place.shared / name).symlink_to(place.private)
        folder.commit()
    assert everything(place.private) == place.before
    assert (place.shared / "m.fit" / "zarr.json").read_text() == "new"
    with AtomicFolder(str(place.shared / "n.fit")) as folder:
        os.rename(os.path.dirname(folder.store), place.shared / "away2")
        os.symlink(place.private, os.path.dirname(folder.store))
    assert everything(place.private) == place.before


# --- temporary files -----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process has open")
def test_pixels_that_are_expanded_have_no_name(tmp_path):
    code = (
        "import os, tempfile\n"
        "from pulsar_dask.formats.expanded import SCRATCH\n"
        "from pulsar_dask.formats.scan import scan_frame\n"
        "file, _ = SCRATCH.place(scan_frame('b.fit.gz'))\n"
        "status = os.fstat(file.number)\n"
        "print(status.st_nlink, oct(status.st_mode & 0o777), os.listdir(tempfile.gettempdir()))\n"
    )
    import numpy as np
    from helpers import write_frame

    write_frame(tmp_path / "b.fit.gz", np.zeros((5, 6), "i2"))
    (tmp_path / "scratch").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "scratch")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
        umask=0,
    )  # fmt: skip
    assert done.stdout == "0 0o600 []\n", done.stderr


@POSIX
def test_processes_here_need_a_folder_that_others_cannot_move(raw, tmp_path):
    place = Place(tmp_path)
    environment = os.environ | {"TMPDIR": str(place.shared)}
    line = command("med", raw, "m.fit", "--scheduler", "local:1")
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "shared: others can put their files" in done.stderr
    assert "point TMPDIR to a folder of your own" in done.stderr
    assert names(place.shared) == []


@pytest.mark.more
@POSIX
def test_processes_here_clear_away_nothing_of_others(raw, tmp_path):
    place = Place(tmp_path)
    place.shared.chmod(0o1777)  # as /tmp
    old_is_a_link(place)
    environment = os.environ | {"TMPDIR": str(place.shared)}
    run("med", raw, "m.fit", "--scheduler", "local:1", cwd=tmp_path, env=environment)
    assert everything(place.private) == place.before
    assert names(place.shared) == [PART]
