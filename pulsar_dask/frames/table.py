"""The table of keywords and words: the program's own, and a user's on top of it."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

from pulsar_dask.errors import PulsarError, printable, reason


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
        raise PulsarError(f"{name}: {printable(reason(error))}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PulsarError(
            f"{name}: not a table of keywords in TOML ({printable(error)})"
        ) from error
    try:
        return Table(_merged(own_table().data, given))
    except ValueError as error:
        raise PulsarError(f"{name}: {printable(error)}; docs/keywords.md shows the form") from error


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
        if not isinstance(parts, dict):
            raise ValueError(f"{section} is no section")
        for name, entries in parts.items():
            if section == "settings":
                merged[section][name] = _settings(name, entries, own[section].get(name, {}))
            elif name == "keywords" and name in own[section]:
                merged[section][name] = _keywords(section, entries, own[section][name])
            elif name == "words" and name in own[section]:
                merged[section][name] = _words(section, entries, own[section][name])
            elif name == "units" and name in own[section]:
                merged[section][name] = own[section][name] | entries
            else:
                raise ValueError(f"[{section}] has no {name}, but {', '.join(own[section])}")
    return merged


def _keywords(section: str, entries: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """A user's keywords come first."""
    new = {}
    for keyword, known in _table(f"{section}.keywords", entries).items():
        new[keyword.upper()] = {"by": "the user"} | _table(f"{section}.{keyword}", known)
    return new | {k: v for k, v in own.items() if k not in new}


def _words(section: str, entries: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """A word means what the user says; what it meant before goes."""
    given = _table(f"{section}.words", entries)
    for meaning, texts in given.items():
        if section == "kind" and meaning not in own:
            raise ValueError(f"there is no kind {meaning!r}, but {', '.join(own)}")
        if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise ValueError(f'{section}.words.{meaning} is no list of texts, as ["word"]')
    moved = {word(t) for texts in given.values() for t in texts}
    merged = {m: [t for t in texts if word(t) not in moved] for m, texts in own.items()}
    for meaning, texts in given.items():
        merged[meaning] = [*texts, *merged.get(meaning, ())]
    return merged


def _settings(name: str, entries: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    known = {f.name for f in fields(Setting)} - {"word", "keyword"}
    new = {}
    for keyword, what in _table(f"settings.{name}", entries).items():
        what = _table(f"settings.{name}.{keyword}", what)
        if unknown := set(what) - known:
            raise ValueError(
                f"settings.{name}.{keyword} has no {min(unknown)}, but {', '.join(sorted(known))}"
            )
        if "{}" not in str(what.get("name", "{}")):
            raise ValueError(f"settings.{name}.{keyword}: its name has no {{}} for the value")
        new[keyword.upper()] = {"name": "{}", "by": "the user"} | what
    return dict(own) | new


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f'{name} is no table, as {{ by = "a program" }}')
    return value
