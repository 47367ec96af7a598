"""Frames of one master, and how frames are told apart."""

from __future__ import annotations

from dataclasses import dataclass

from pulsar_dask.frames.frame import Frame
from pulsar_dask.frames.naming import list_name


@dataclass(frozen=True)
class Ways:
    """How frames are told apart."""

    mix: frozenset[str] = frozenset()
    """Settings (words of the table), "temperature", "exposure" that tell none apart."""
    tolerance: float | None = None
    """Seconds within which exposures are the same; None: see `exposures.tolerance`."""
    full_names: bool = False
    """Whether every setting that is known stands in every name."""
    split_case: bool = False
    """Whether filters that differ in case alone are two: Sloan r, Cousins R."""


USUAL = Ways()


@dataclass(frozen=True)
class Group:
    """Frames of one master."""

    kind: str
    frames: tuple[Frame, ...]
    stem: str = ""
    """What comes after the kind in its name: "120s", "l"."""
    suffix: str = ""
    """The settings in which it differs from others: "_gain100_-10C"."""
    exposure: float | None = None
    """The commonest, seconds; None where the frames state none, or several are mixed."""
    filter: str | None = None
    """In its commonest spelling."""
    notes: tuple[str, ...] = ()
    """What there is to say of it, in words."""
    mixed: tuple[str, ...] = ()
    """What was mixed, with its values, in words."""

    @property
    def name(self) -> str:
        """Of its master, without an ending."""
        between = "_" if self.kind == "flat" else ""
        return f"{self.kind}{between}{self.stem}{self.suffix}"

    @property
    def list_name(self) -> str:
        """Of its list of hot pixels."""
        return list_name(self.stem + self.suffix).removesuffix(".lst")


@dataclass(frozen=True)
class Grouped:
    """Frames told apart."""

    groups: tuple[Group, ...] = ()
    left_out: tuple[tuple[Frame, str], ...] = ()
    """Frames that belong to none, and why."""
    notes: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    """Name and reason of what cannot be made."""
