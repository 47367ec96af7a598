"""What a frame says of itself."""

from __future__ import annotations

from dataclasses import dataclass

Value = float | str


@dataclass(frozen=True, slots=True)
class About:
    """What the cards of a frame, or its name as a last resort, say by the table of keywords; see
    `keywords`."""

    kind: str | None = None
    """ "bias", "dark", "flat", "light", "other"; None for an unlabelled frame."""
    label: str | None = None
    """The words that told the kind, or that say one that is not known, as written."""
    master: str | None = None
    """What tells that it is a master ("STACKCNT = 30"), in words; None for a raw frame."""
    surely: bool = True
    """Whether a label, CREATOR or the like tell that it is a master; not so where STACKCNT,
    NCOMBINE or a name alone do."""
    calibrated: str | None = None
    """What tells that a raw frame is calibrated already, in words."""
    exposure: float | None = None
    """Seconds."""
    filter: str | None = None
    date: str | None = None
    """DATE-OBS as written."""
    jd: float | None = None
    """Julian date of its start, UTC: by JD, else MJD-OBS, else DATE-OBS."""
    hours: float | None = None
    """By which the clocks of its place are ahead of UTC, where that is known."""
    temperature: float | None = None
    """Measured, °C."""
    set_point: float | None = None
    """What the camera was to hold, °C."""
    saturation: float | None = None
    """Level at which pixels are saturated, ADU."""
    settings: tuple[tuple[str, Value], ...] = ()
    """Keyword of the table (not that of a sister) and value, of those that are stated."""
    colours: tuple[tuple[str, Value], ...] = ()
    """Keywords and values of `colour.KEYWORDS`, as written."""
    origins: tuple[tuple[str, str], ...] = ()
    """Which card told something: ("exposure", "EXPOSURE"), ("kind", "the name of its folder"), …"""
    remarks: tuple[str, ...] = ()
    """What was understood in another way than it stands there, in words: a unit of ms, …"""
    problem: str | None = None
    """What is wrong with a keyword that a pipeline would need, in words."""

    def setting(self, keyword: str) -> Value | None:
        """The value of one keyword of the table."""
        return dict(self.settings).get(keyword)

    def origin(self, what: str) -> str | None:
        """Which card told something."""
        return dict(self.origins).get(what)


NOTHING = About()
