"""What calibrated a light, read back from what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frames.step import Step
from pulsar_dask.masters.calibration import Calibration


def calibration_again(
    sources: Mapping[str, Sequence[Any]], steps: Sequence[Step | str]
) -> tuple[Calibration, dict[str, Step]] | None:
    """The calibration of a light, and its steps by their verbs; None where it is none.

    Parameters
    ----------
    sources : mapping
        By role: frames as "bias", "dark" and "flat", paths as "list".
    steps : sequence of Step or str

    Raises
    ------
    PulsarError
        A step is not known to this version.
    """
    known = [step for step in steps if isinstance(step, Step)]
    by_verb = {step.verb: step for step in known}
    if "light" not in by_verb:
        return None
    if strange := [step for step in steps if isinstance(step, str)]:
        raise PulsarError(
            f"this version does not know the step {printable(strange[0])!r}, so it cannot make "
            "the pixels again"
        )

    def one(role: str) -> Any:
        return next(iter(sources.get(role, ())), None)

    def number(verb: str, usual: Any) -> Any:
        return by_verb[verb].args[0] if verb in by_verb else usual

    (formula,) = by_verb["light"].args
    times = {step.args[0]: step.args[1] for step in known if step.verb == "master times"}
    scale, scaled = by_verb["dark scale"].args if "dark scale" in by_verb else (1.0, "")
    bias = one("bias")
    c = Calibration(
        bias=number("minus number", None) if bias is None else bias,
        dark=one("dark"),
        dark_holds_bias="(D - B)" in formula or "(R - D)" in formula,
        flat=one("flat"),
        lists=tuple(sources.get("list", ())),
        origin_top="from top" in by_verb,
        scale=scale,
        scaled=scaled,
        pedestal=number("pedestal", 0.0),
        flat_floor=number("flat floor", 0.01),
        drawn=number("drawn", None),
        bad=number("bad value", None),
        errors="errors" in by_verb,
        bias_times=times.get("bias", 1.0),
        dark_times=times.get("dark", 1.0),
    )
    return c, by_verb
