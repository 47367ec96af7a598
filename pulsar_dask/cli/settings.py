"""What a user has set for all commands, or for one of them: in variables DASK_PULSAR_DASK__…, and
in the files of dask's configuration, of which ``pulsar-dask.yaml`` in ~/.config/dask is ours.

A setting is named as the option that it gives a value to, and has that option's values. The command
line wins, then variables, then files, the later in dask's order first."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from pulsar_dask.errors import printable, reason

#: What can be set. What may replace files, and what says which frames are meant, cannot.
NAMES = (
    "memory", "threads", "scheduler", "output-dir", "combine", "planes", "layout", "hot-pixels",
    "names", "mix", "exposure-tolerance", "keywords", "saturation", "reject-frames", "strict",
    "quiet", "verbose",
)  # fmt: skip
#: Seconds after which a cluster that does not answer is given up: a setting that is no option, and
#: read by `engine.cluster`.
PATIENCE = "patience"
#: Of a tool alone, as ``makedark: {combine: mean}``.
TOOLS = (
    "med", "makedark", "makeflat", "make_cosme", "cube", "verify", "frames", "calibrate",
    "darkopt", "cosme", "autocalibrate", "library", "report",
)  # fmt: skip
_SECTION = "pulsar-dask"
_VARIABLE = "DASK_PULSAR_DASK__"


@dataclass(frozen=True)
class Setting:
    """The value of an option."""

    value: str | bool
    source: str
    """The variable, or the file, that it comes from."""

    @property
    def text(self) -> str:
        return printable(self.value).lower() if isinstance(self.value, bool) else self.value


def settings() -> dict[str, Setting]:
    """All that is set, by name; "makedark.combine" is of that tool alone.

    Raises
    ------
    UsageError
        A file is not YAML; something is no setting.
    """
    variables = [name for name in os.environ if name.upper().startswith(_VARIABLE)]
    files = list(filter(_mentions_us, files_of(folders())))
    if not variables and not files:  # dask takes its time to load
        return {}
    config = _dask_config()
    found: dict[str, Setting] = {}
    for file in files:
        for name, value in _in_file(config, file):
            _put(found, name, value, file)
    for variable in variables:
        name = variable[len(_VARIABLE) :].lower().replace("__", ".")
        _put(found, name, config.interpret_value(os.environ[variable]), variable)
    return found


def of_command(command: click.Command, given: Mapping[str, Setting]) -> dict[str, Setting]:
    """What is set for a command, by the name of its parameter; what is set for it alone first."""
    found = {}
    for name, param in options_of(command).items():
        one = given.get(f"{_dashed(command.name or '')}.{name}", given.get(name))
        if one is not None and param.name is not None:
            found[param.name] = one
    return found


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that can be set, by the name of the setting."""
    return {
        word[2:]: param
        for param in command.params
        if isinstance(param, click.Option)
        for word in param.opts
        if word.startswith("--") and word[2:] in NAMES
    }


# --- files ---------------------------------------------------------------------------------


def own_file() -> str:
    """Where a user puts settings of this program."""
    return os.path.join(folders()[-1], f"{_SECTION}.yaml")


def folders() -> list[str]:
    """Where dask looks for files of its configuration, or those files: the last counts most. As
    `dask.config.paths`, which takes a quarter of a second to load."""
    paths = [
        os.getenv("DASK_ROOT_CONFIG", "/etc/dask"),
        *(os.path.join(prefix, "etc", "dask") for prefix in (sys.prefix, *site.PREFIXES)),
        os.path.join(os.path.expanduser("~"), ".config", "dask"),
    ]
    if "DASK_CONFIG" in os.environ:
        paths.append(os.environ["DASK_CONFIG"])
    return list(reversed(dict.fromkeys(reversed(paths))))


def files_of(places: list[str]) -> Iterator[str]:
    """The files that dask reads in some folders, in its order."""
    for place in places:
        try:
            names = sorted(os.listdir(place)) if os.path.isdir(place) else None
        except OSError:  # dask passes over it, too
            continue
        if names is None:
            yield from [place] if os.path.isfile(place) else []
            continue
        for name in names:
            if os.path.splitext(name)[1].lower() in (".json", ".yaml", ".yml"):
                yield os.path.join(place, name)


def _mentions_us(file: str) -> bool:
    try:
        with open(file, "rb") as opened:
            content = opened.read()
    except OSError as error:
        if os.path.basename(file).startswith(_SECTION):
            raise click.UsageError(f"{printable(file)}: {reason(error)}") from None
        return False
    return b"pulsar-dask" in content or b"pulsar_dask" in content


def _in_file(config: Any, file: str) -> Iterator[tuple[str, Any]]:
    """Names and values of our section, those of tools with the tool's name before."""
    try:
        contents = list(config.collect_yaml([file]))
    except ValueError as error:
        raise _malformed(error) from None
    for content in contents:
        for section in (_SECTION, _SECTION.replace("-", "_")):
            values = content.get(section) or {}
            if not isinstance(values, Mapping):
                raise click.UsageError(
                    f"{printable(file)}: {section} has no settings below it; write them as in: "
                    f"{section}: {{memory: 4}}"
                )
            for name, value in values.items():
                if isinstance(value, Mapping):
                    yield from ((f"{name}.{below}", it) for below, it in value.items())
                else:
                    yield str(name), value


def _dask_config() -> Any:
    try:
        import dask.config
    except ValueError as error:
        raise _malformed(error) from None
    return dask.config


def _malformed(error: ValueError) -> click.UsageError:
    return click.UsageError(f"the settings: {' '.join(printable(error).split())}")


# --- values --------------------------------------------------------------------------------


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _put(found: dict[str, Setting], name: str, value: Any, source: str) -> None:
    """Take one for what it is; None takes back what was set before."""
    key = _dashed(name)
    tool, _, rest = key.rpartition(".")
    known = NAMES if tool else (*NAMES, PATIENCE)
    if rest not in known or (tool and tool not in map(_dashed, TOOLS)):
        import difflib  # which takes a millisecond that right settings need not

        near = difflib.get_close_matches(rest, known, 1) if rest not in known else []
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        if rest in NAMES:
            hint = f"settings of one command are those of {', '.join(TOOLS)}"
        raise click.UsageError(f"{printable(source)}: there is no setting {printable(key)}; {hint}")
    if isinstance(value, (list, tuple)):
        value = ",".join(map(str, value))
    if value is None:
        found.pop(key, None)
    elif isinstance(value, Mapping):
        raise click.UsageError(f"{printable(source)}: {printable(key)} is one value, not several")
    elif key == PATIENCE and not (isinstance(value, (int, float)) and value > 0):
        raise click.UsageError(
            f"{printable(source)}: {key} {printable(value)!r}: give seconds as a number, as 300"
        )
    else:
        found[key] = Setting(value if isinstance(value, bool) else str(value), source)
