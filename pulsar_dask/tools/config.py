"""``pulsar-dask config``: what is set, and where."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import click

from pulsar_dask.cli.arguments import CONTEXT, Command, heard, set_by
from pulsar_dask.cli.settings import (
    NAMES,
    PATIENCE,
    TOOLS,
    Setting,
    of_command,
    options_of,
    own_file,
)
from pulsar_dask.cli.settings import settings as all_settings
from pulsar_dask.cli.voices import Event, tell
from pulsar_dask.errors import printable

_COLUMNS = ("setting", "value", "from")
_DEFAULT = re.compile(r"\[default: (.*?)\]", re.DOTALL)


@click.command("config", cls=Command, context_settings=CONTEXT)
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@heard
@click.pass_context
def config(ctx: click.Context, debug: bool) -> None:
    """Show each setting, its value, and where that comes from.

    A setting gives an option of that name a value for all commands, or for one alone. The command
    line wins, then variables (DASK_PULSAR_DASK__OUTPUT_DIR, DASK_PULSAR_DASK__MAKEDARK__COMBINE),
    then files of dask's configuration, as pulsar-dask.yaml in ~/.config/dask.
    """
    assert ctx.parent is not None
    assert isinstance(ctx.parent.command, click.Group)
    commands = {name: ctx.parent.command.commands[name] for name in TOOLS}
    given = all_settings()
    for command in commands.values():
        _check(command, of_command(command, given))
    names = (*NAMES, PATIENCE)
    rows = [(name, *_shown(name, given.get(name), commands)) for name in names]
    rows += [(name, one.text, one.source) for name, one in given.items() if name not in names]
    lines = [_COLUMNS, *rows]
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(map(printable, line), wide, strict=True))
        tell(Event("  ".join(cells).rstrip(), kind="rows"))
    for name, value, _ in rows:
        one = given.get(name)
        data = {"name": name, "value": value, "source": one.source if one is not None else None}
        tell(Event(kind="settings", data=data))
    file = own_file()
    there = "" if os.path.isfile(file) else ", which is not there"
    tell(Event(f"your file of settings: {printable(file)}{there}"))


def _check(command: click.Command, given: Mapping[str, Setting]) -> None:
    """Refuse a value as the command would.

    Raises
    ------
    BadParameter
        With where it was set.
    """
    with click.Context(command) as ctx:
        for param in sorted(options_of(command).values(), key=lambda p: not p.is_eager):
            if param.name not in given:
                continue
            one = given[param.name]
            try:
                ctx.params[param.name] = param.process_value(ctx, one.value)
            except click.BadParameter as error:
                error.param = param
                raise set_by(one, error) from None


def _shown(
    name: str, one: Setting | None, commands: Mapping[str, click.Command]
) -> tuple[str, str]:
    """Its value in words, and where it comes from."""
    if one is not None:
        return one.text, one.source
    for command in commands.values():
        if (option := options_of(command).get(name)) is not None:
            match = _DEFAULT.search(option.help or "")
            return "false" if option.is_flag else match[1] if match else "none", "default"
    return "30", "default"
