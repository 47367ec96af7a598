"""The table of keywords and words: the program's own, and a user's on top of it."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import resources
from typing import Any

from pulsar_dask.errors import PulsarError, printable, reason
from pulsar_dask.frames import tableform as _form


@dataclass(frozen=True)
class Setting:
    """A keyword of the settings in which frames of one master agree."""

    word: str
    """What ``--mix`` calls it: "gain" for GAIN, ISOSPEED and EGAIN."""
    keyword: str
    also: tuple[str, ...] = ()
    """Other spellings of it, in order of precedence."""
    name: str = "{}"
    """What stands in the name of a master."""
    within: float = 0.0
    """Share within which two numbers are the same."""
    absent: str | None = None
    """What is meant where it is not there."""
    same: tuple[str, ...] = ()
    """Words that mean what `absent` does."""
    pair: bool = False
    """Whether there is a second keyword, with a Y for its X."""
    by: str = ""
    """Who writes it."""


@dataclass(frozen=True)
class Table:
    """Keywords in order of precedence, and what words mean."""

    data: Mapping[str, Any]
    """As it stands in the file, by section."""
    users: str | None = None
    """The file of a user's that lies on top."""

    def keywords(self, section: str) -> Mapping[str, Mapping[str, Any]]:
        """Keywords of a section, in order of precedence, and what is known of each."""
        found: Mapping[str, Mapping[str, Any]] = self.data[section]["keywords"]
        return found

    @functools.cached_property
    def settings(self) -> tuple[Setting, ...]:
        """In the order in which they are looked at."""
        return tuple(
            Setting(word, keyword, **{k: _frozen(v) for k, v in known.items()})
            for word, keywords in self.data["settings"].items()
            for keyword, known in keywords.items()
        )

    @functools.cached_property
    def mixable(self) -> tuple[str, ...]:
        """What ``--mix`` takes."""
        words = dict.fromkeys(setting.word for setting in self.settings)
        return (*(word for word in words if word != "size"), "temperature", "exposure")

    @functools.cached_property
    def kinds(self) -> Mapping[str, str]:
        """Normal form of a word (see `word`), and the kind that it means; "nothing" and "master"
        are among them."""
        words = self.data["kind"]["words"]
        return {word(text): kind for kind, texts in words.items() for text in texts}

    def history(self, what: str) -> re.Pattern[str]:
        """What in a line of HISTORY tells something."""
        return self._histories[what]

    @functools.cached_property
    def _histories(self) -> Mapping[str, re.Pattern[str]]:
        return {
            what: re.compile("|".join(self.data[what]["history"]), re.IGNORECASE | re.MULTILINE)
            for what in ("master", "calibrated")
        }

    @functools.cached_property
    def not_done(self) -> frozenset[str]:
        """Normal forms of what a card says of a calibration that was not made."""
        return frozenset(map(word, self.data["calibrated"]["not_done"]))

    @functools.cached_property
    def filters(self) -> Mapping[str, str]:
        """Normal form of a filter's name, and its code; or "nothing"."""
        words = self.data["filter"]["words"]
        return {word(text): code for code, texts in words.items() for text in texts}


def word(text: str) -> str:
    """A text without case, blanks, hyphens and underscores.

    >>> word("Dark_Frame "), word("H-alpha")
    ('darkframe', 'halpha')
    """
    return re.sub(r"[\s_-]+", "", text.casefold())


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@functools.cache
def own_table() -> Table:
    """The program's own."""
    text = resources.files(__package__).joinpath("keywords.toml").read_text("utf-8")
    return Table(tomllib.loads(text))


_IN_USE: ContextVar[Table | None] = ContextVar("table", default=None)


def table() -> Table:
    """The table in use."""
    return _IN_USE.get() or own_table()


@contextlib.contextmanager
def using(one: Table) -> Iterator[None]:
    """Use a table for a while."""
    token = _IN_USE.set(one)
    try:
        yield
    finally:
        _IN_USE.reset(token)


#: A user's own table, in their folder for settings of programs.
USERS = "keywords.toml"
#: How HISTORY says that the table was not the program's alone.
READ_BY = "cards were read by the table "


def with_users(path: str | os.PathLike[str] | None = None) -> Table:
    """The program's own table with a user's on top: its keywords come first, and of two meanings
    of a word its one counts. Without a path it is the one in the user's folder, where that is.

    Raises
    ------
    PulsarError
        It cannot be read, is not TOML, or has another form.
    """
    if path is None:
        import click  # what knows the folder on each system

        path = os.path.join(click.get_app_dir("pulsar-dask"), USERS)
        if not os.path.isfile(path):
            return own_table()
    name = printable(path)
    try:
        with open(path, "rb") as file:
            given = tomllib.load(file)
    except OSError as error:
        raise PulsarError(f"{name}: {printable(reason(error))}", "keywords") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PulsarError(
            f"{name}: not a table of keywords in TOML ({printable(error)})", "keywords"
        ) from error
    try:
        return Table(_merged(own_table().data, given), os.path.abspath(path))
    except ValueError as error:
        raise PulsarError(
            f"{name}: {printable(error)}; docs/keywords.md shows the form", "keywords"
        ) from error


def _merged(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A table with another on top.

    Raises
    ------
    ValueError
        The other has what no table has; in words.
    """
    merged = {section: dict(parts) for section, parts in own.items()}
    for section, parts in given.items():
        if section not in own:
            raise ValueError(f"there is no section [{section}], but {', '.join(own)}")
        for name, entries in _form.table(section, parts, dict.fromkeys(own[section])).items():
            before = own[section].get(name, {})
            where = f"{section}.{name}"
            new: dict[str, Any] | list[str] | str
            if section == "settings":
                new = _settings(name, entries, before)
            elif name == "keywords":
                new = _keywords(section, entries, own)
            elif name == "words":
                new = _words(section, entries, before)
            elif name == "units":
                new = before | _form.numbers(where, entries)
            elif isinstance(before, list):
                new = [*_form.patterns(where, entries), *before]
            else:
                new = _form.pattern(where, entries)
            merged[section][name] = new
    return merged


def _keywords(section: str, entries: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """A user's keywords come first."""
    before = own[section]["keywords"]
    new = {}
    for keyword, known in _form.table(f"{section}.keywords", entries).items():
        where, keyword = f"{section}.{keyword}", keyword.upper().removeprefix("HIERARCH ")
        known = _form.table(where, known, _form.KEYWORD | _form.OF_KEYWORD.get(section, {}))
        _form.one_of(f"{where}.unit", known.get("unit", "s"), own["exposure"]["units"])
        if words := known.get("words"):
            for kind in words.values():
                _form.one_of(f"{where}.words", kind, own["kind"]["words"])
            known |= {"words": {word(text): kind for text, kind in words.items()}}
        new[keyword] = before.get(keyword, {"by": "the user"}) | known
    return new | {k: v for k, v in before.items() if k not in new}


def _words(section: str, entries: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """A word means what the user says; what it meant before goes."""
    given = _form.table(f"{section}.words", entries)
    for meaning, texts in given.items():
        if section == "kind":
            _form.one_of("kind.words", meaning, own)
        _form.plain_word(f"{section}.words", meaning)  # that of a filter is in a file's name
        _form.check(f"{section}.words.{meaning}", texts, list)
    moved = {word(t) for texts in given.values() for t in texts}
    merged = {m: [t for t in texts if word(t) not in moved] for m, texts in own.items()}
    for meaning, texts in given.items():
        merged[meaning] = [*texts, *merged.get(meaning, ())]
    return merged


def _settings(name: str, entries: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    if name in ("size", "temperature", "exposure"):
        raise ValueError(f"settings.{name} is not read from keywords of [settings]")
    _form.plain_word("settings", name)
    new = {}
    for keyword, what in _form.table(f"settings.{name}", entries).items():
        where, keyword = f"settings.{name}.{keyword}", keyword.upper().removeprefix("HIERARCH ")
        what = _form.table(where, what, _form.SETTING)
        if re.sub(r"[^{}]", "", what.get("name", "{}")) != "{}":
            raise ValueError(f"{where}: its name has no {{}} for the value, or other braces")
        new[keyword] = own.get(keyword, {"name": "{}", "by": "the user"}) | what
    return dict(own) | new
