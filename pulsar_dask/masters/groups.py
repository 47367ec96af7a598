"""Groups of frames on their way to masters: what is said of them, and those that cannot be made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pulsar_dask.errors import NotMade, PulsarError, code_of, printable, warn
from pulsar_dask.frames.frame import Frame, named
from pulsar_dask.frames.group import Group, Grouped

FEW_FRAMES = 15
T = TypeVar("T")


@dataclass(frozen=True)
class Failures:
    """Masters that cannot be made, which does not cost the others."""

    reasons: tuple[tuple[str, str], ...] = ()
    """Name and why not."""
    groups: tuple[Group, ...] = ()

    def and_(self, group: Group, reason: str) -> Failures:
        """One more."""
        return Failures((*self.reasons, (f"{group.name}.fit", reason)), (*self.groups, group))

    def none_left(self, some: bool) -> None:
        """Raise what there is where nothing else is left to make."""
        if not some and self.reasons:
            raise self.error

    @property
    def error(self) -> NotMade:
        """All of them."""
        error = NotMade(self.text)
        error.reasons = self.reasons
        return error

    @property
    def text(self) -> str:
        """All of them in words; of one reason the first says all."""
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.reasons:
            by_reason.setdefault(reason, []).append(name)
        return "; ".join(
            reason if any(name in reason for name in names) else f"{', '.join(names)}: {reason}"
            for reason, names in by_reason.items()
        )


def usable(grouped: Grouped, method: str | None = None) -> Grouped:
    """Groups, when what there is to say of them was said; with a method, of their numbers, too."""
    for text in grouped.notes:
        warn(text, code_of(text))
    by_reason: dict[str, list[Frame]] = {}
    for frame, reason in grouped.left_out:
        by_reason.setdefault(reason, []).append(frame)
    if by_reason and not grouped.groups and not grouped.failed:
        raise PulsarError(
            "; ".join(f"{named(frames)}: {reason}" for reason, frames in by_reason.items()),
            "frames",
        )
    for reason, frames in by_reason.items():
        paths = tuple(f.path for f in frames)
        warn(f"left out: {named(frames)} ({reason})", "left-out", frames=paths, left_out=True)
    for group in grouped.groups:
        for text in group.notes:
            warn(f"{group.name}.fit: {text}", code_of(text))
        if method is not None:
            check_group(group, method)
    return grouped


#: Seconds from which on a bias holds what a dark does.
LONG_BIAS = 2.0


def check_group(group: Group, method: str = "median") -> None:
    """Warn of too few frames, and of biases that were exposed."""
    name, frames = f"{group.name}.fit", group.frames
    longest = max((f for f in frames if f.exposure), key=lambda f: f.exposure or 0.0, default=None)
    if group.kind == "bias" and longest and (longest.exposure or 0.0) > LONG_BIAS:
        warn(
            f"{name}: {printable(longest.name)} is a bias by its label, with an exposure of "
            f"{longest.exposure:g} s; if it is a dark, it takes off what is to stay in darks",
            "label",
        )
    if len(frames) == 1:
        warn(f"{name}: one frame is its own {method}, no cleaner than that frame", "one-frame")
    elif len(frames) < FEW_FRAMES:
        warn(
            f"{name}: {len(frames)} frames; with fewer than {FEW_FRAMES} a master is noisy",
            "few-frames",
        )


def by_size(
    masters: Iterable[T],
    frames: Callable[[T], Sequence[Frame]] = lambda one: one.frames,  # type: ignore[attr-defined]
) -> list[list[T]]:
    """Masters of one size, which can be made side by side."""
    sizes: dict[tuple[int, ...], list[T]] = {}
    for one in masters:
        sizes.setdefault(frames(one)[0].shape, []).append(one)
    return list(sizes.values())
