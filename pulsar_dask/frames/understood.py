"""What the cards of a frame mean, by the table of keywords."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pulsar_dask._version import CREATOR
from pulsar_dask.errors import printable, shown
from pulsar_dask.frames import colour
from pulsar_dask.frames.about import Value
from pulsar_dask.frames.remembered import remembered
from pulsar_dask.frames.seconds import Seconds, is_thousandfold, read_seconds
from pulsar_dask.frames.table import Table, word
from pulsar_dask.frames.written import (
    Header,
    as_degrees,
    as_number,
    as_text,
    bare,
    in_kelvin,
    pair,
    plain,
)

_LONGEST = 4 * 3600.0  # s; 15 s in ms is longer
_WARM = 60.0  # °C; only above it can a sensor's temperature be in K


class Steady(NamedTuple):
    """What frames of a night share, of an `About` and for it: it is found once."""

    kind: str | None
    label: str | None
    master: str | None
    surely: bool
    calibrated: str | None
    exposure: float | None
    problem: str | None
    filter: str | None
    overscan: str | None
    saturation: float | None
    settings: tuple[tuple[str, Value], ...]
    colours: tuple[tuple[str, Value], ...]


class Cards:
    """The cards of one header while they are understood."""

    def __init__(self, header: Header, known: Table) -> None:
        self.header, self.table = header, known
        self.origins: dict[str, str] = {}
        self.remarks: list[str] = []

    @remembered
    def steady(self) -> Steady:
        """What does not change from frame to frame."""
        kind, label, master = self._kind()
        exposure, problem = self._exposure(kind)
        filter_ = self._filter()
        master = master or self._history("master")
        surely = master is not None
        if master is None:
            master, surely = self._master()
        return Steady(
            kind=kind,
            label=label,
            master=master,
            surely=surely,
            calibrated=self._calibrated(),
            exposure=exposure,
            problem=problem,
            filter=filter_,
            overscan=self.first(as_text, "overscan"),
            saturation=self.first(as_number, "saturation"),
            settings=tuple(self._settings()),
            colours=tuple(
                (k, v)
                for k in colour.KEYWORDS
                if isinstance(v := self.header.get(k), (str, int, float))
            ),
        )

    @remembered
    def set_point(self) -> float | None:
        """°C."""
        return self.degrees("set_point")

    def first(self, convert: Any, what: str) -> Any:
        """By the first keyword of a section whose card has a value."""
        for keyword in self.table.keywords(what):
            value = convert(self.header.get(keyword))
            if value is not None:
                self.origins[what] = keyword
                return value
        return None

    def degrees(self, what: str) -> float | None:
        """A temperature by the keywords of a section."""
        for keyword in self.table.keywords(what):
            value = self.header.get(keyword)
            degrees, number = as_degrees(value), as_number(value)
            if number is not None and number > _WARM and in_kelvin(self._comment(keyword)):
                degrees = as_degrees(f"{number} K")
                self.remarks.append(f"{keyword} is in K, as its card says")
            if degrees is not None:
                self.origins[what] = keyword
                return degrees
        return None

    def _comment(self, keyword: str) -> str:
        return getattr(self.header, "comment", lambda _: "")(keyword) or ""

    def stated(self, what: str) -> bool:
        """Whether there is a card of a section."""
        return any(self.header.get(k) is not None for k in self.table.keywords(what))

    @remembered
    def _kind(self) -> tuple[str | None, str | None, str | None]:
        """Kind, the words that tell it, and what in them tells a master."""
        first: str | None = None
        for keyword, what in self.table.keywords("kind").items():
            label = as_text(self.header.get(keyword))
            if label is None:
                continue
            kind, master = self._meaning(label, what.get("words", {}))
            if kind == "nothing" and not master:
                continue
            if kind is not None or master:
                self.origins["kind"] = keyword
                kind = "other" if kind in (None, "nothing", "other") else kind
                return kind, label, f"{keyword} '{printable(label)}'" if master else None
            if first is None and not what.get("word"):
                first = label
                self.origins["kind"] = keyword
        return ("other" if first else None), first, None

    def _meaning(self, label: str, words: Mapping[str, str]) -> tuple[str | None, bool]:
        kinds = self.table.kinds
        plain = word(label)
        if plain in words:
            return words[plain], False
        if kinds.get(plain, "master") != "master":
            return kinds[plain], False
        for mark in (t for t, kind in kinds.items() if kind == "master"):
            for rest in (plain.removeprefix(mark), plain.removesuffix(mark)):
                if rest != plain:
                    return kinds.get(bare(rest), "other" if rest else None), True
        return kinds.get(bare(plain)), False

    @remembered
    def _master(self) -> tuple[str | None, bool]:
        """What tells that it is a master, in words, and whether that is sure."""
        mine = str(self.header.get("CREATOR") or "")
        if mine.startswith(f"{CREATOR} ") and self._history("calibrated") is None:
            return f"CREATOR '{printable(mine)}'", True
        for keyword, what in self.table.keywords("master").items():
            value = self.header.get(keyword)
            if value is None:
                continue
            if "above" in what:
                number = as_number(value)
                found = number is not None and number > what["above"]
            elif what.get("true"):
                found = value is True or str(value).strip().upper() in ("T", "TRUE", "YES", "1")
            else:
                found = str(value).strip().startswith(what.get("text", ""))
            if found:
                return f"{keyword} {printable(value)}", not what.get("alone")
        return None, False

    @remembered
    def _calibrated(self) -> str | None:
        """What tells that a raw frame is calibrated already, in words."""
        for keyword, what in self.table.keywords("calibrated").items():
            value = as_text(self.header.get(keyword))
            done = value is not None and word(value) not in self.table.not_done
            if done and (what.get("number") or any(c.isalpha() for c in value or "")):
                return f"{keyword} '{printable(value)[:40]}'"
        return self._history("calibrated")

    @remembered
    def _history(self, what: str) -> str | None:
        """A line of HISTORY that tells it, by the patterns of the table."""
        lines = self.header.get("HISTORY")
        if lines is None:
            return None
        pattern = self.table.history(what)
        text = "\n".join(map(str, lines)) if not isinstance(lines, str) else lines
        match = pattern.search(text)
        if match is None:
            return None
        line = text[text.rfind("\n", 0, match.end()) + 1 :].partition("\n")[0]
        return f"HISTORY '{printable(line.strip())[:40]}'"

    @remembered
    def _exposure(self, kind: str | None) -> tuple[float | None, str | None]:
        """Seconds, or what is wrong with the card that should say it."""
        zero = wrong = None
        for keyword, what in self.table.keywords("exposure").items():
            value = self.header.get(keyword)
            if value is None or value == "":
                continue
            seconds, unit, remark = self._seconds(keyword, what.get("unit", "s"))
            if remark:
                self.remarks.append(f"{keyword} {remark}")
            if seconds is None or not 0 <= seconds < 1e9:
                wrong = wrong or (keyword, f"{keyword} is {shown(value)}, not a time in seconds")
                continue
            if seconds == 0 and kind != "bias":
                zero = zero or keyword
                continue
            self.origins["exposure"] = keyword
            if wrong or zero:
                why = wrong[1] if wrong else f"{zero} is 0"
                self.remarks.append(f"{why}, so {keyword} counts")
            if unit:
                self.remarks.append(f"{keyword} is in {unit}, as its card says")
            self._doubts(keyword, seconds)
            return seconds, None
        if wrong:
            self.origins["exposure"] = wrong[0]
            return None, wrong[1]
        if zero:
            self.origins["exposure"] = zero
            return 0.0, None
        return None, None

    def _seconds(self, keyword: str, unit: str) -> Seconds:
        units = self.table.data["exposure"]["units"]
        return read_seconds(self.header.get(keyword), self._comment(keyword), units, unit)

    def _doubts(self, counts: str, seconds: float) -> None:
        """Tell of a card that says the same number in another unit than the one that counts, and
        of a time that no exposure takes."""
        for keyword, what in self.table.keywords("exposure").items():
            other = self._seconds(keyword, what.get("unit", "s")).seconds
            if keyword != counts and other and is_thousandfold(seconds, other):
                self.remarks.append(
                    f"{counts} says {seconds:.10g} s and {keyword} {other:.10g} s, as if one were "
                    f"in another unit; {counts} counts (⟦exposure⟧ SECONDS says otherwise)"
                )
                return
        if seconds > _LONGEST:
            self.remarks.append(
                f"{counts} says {seconds:.10g} s, {seconds / 3600:.3g} hours; if it is in another "
                "unit, ⟦exposure⟧ SECONDS says what it is"
            )

    @remembered
    def _filter(self) -> str | None:
        for keyword, what in self.table.keywords("filter").items():
            cards = (keyword, *what.get("wheels", ()))
            found = {k: v for k in cards if (v := self._filter_in(k)) is not None}
            if found:
                self.origins["filter"] = " and ".join(found)
                return "+".join(found.values())
        return None

    def _filter_in(self, keyword: str) -> str | None:
        value = as_text(self.header.get(keyword))
        nothing = value is None or self.table.filters.get(word(value)) == "nothing"
        return None if nothing else value

    @remembered
    def _settings(self) -> Iterator[tuple[str, Value]]:
        for setting in self.table.settings:
            for keyword in (setting.keyword, *setting.also):
                value = self.header.get(keyword)
                found = pair(self.header, keyword) if setting.pair else plain(value)
                if found is not None and setting.word != "size":
                    self.origins[setting.keyword] = keyword
                    yield setting.keyword, found
                    break
