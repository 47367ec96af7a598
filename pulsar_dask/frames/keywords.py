"""What the cards of a frame mean, by the table; and what its name tells, as a last resort."""

from __future__ import annotations

from typing import Any

from pulsar_dask.errors import printable
from pulsar_dask.frames import names
from pulsar_dask.frames.about import About
from pulsar_dask.frames.table import Table, table
from pulsar_dask.frames.understood import Cards
from pulsar_dask.frames.when import hours_ahead, julian_date
from pulsar_dask.frames.written import Header, as_text


def about(header: Header, path: str = "") -> About:
    """What the keywords of a header say, by the table in use.

    Parameters
    ----------
    header : Header
        With `comment(keyword)`, where it knows comments.
    path : str
        Of the frame: its name tells what no card does.
    """
    return _Reading(header, path, table()).about()


class _Reading(Cards):
    """One header while it is read, and the name of its frame."""

    def __init__(self, header: Header, path: str, known: Table) -> None:
        super().__init__(header, known)
        self.path = path

    def about(self) -> About:
        steady = self.steady()
        kind, label, master, surely = steady.kind, steady.label, steady.master, steady.surely
        exposure, filter_, problem = steady.exposure, steady.filter, steady.problem
        if master is None and self.path:
            master = names.master_in_name(self.path, exposure, filter_)
        if kind is None and label is None and self.path:
            kind = self._kind_in_name()
        if self.path and kind in ("dark", "flat") and exposure is None and problem is None:
            exposure = self._in_name("exposure", names.exposure_in_name(self.path))
        if self.path and kind == "flat" and filter_ is None and not self.stated("filter"):
            filter_ = self._in_name("filter", names.filter_in_name(self.path))
        if steady.overscan is not None and master is None:
            card = self.origins["overscan"]
            self.remarks.append(
                f"{card} = {printable(steady.overscan)}: the overscan is neither used nor cut off; "
                "where the level of frames drifts, take it off before"
            )
        return About(
            kind=kind,
            label=label,
            master=master,
            surely=surely or master is None,
            calibrated=None if master is not None else steady.calibrated,
            exposure=exposure,
            filter=filter_,
            date=self.first(as_text, "date"),
            jd=julian_date(self.header),
            hours=hours_ahead(self.header),
            temperature=self.degrees("temperature"),
            set_point=self.set_point(),
            saturation=steady.saturation,
            settings=steady.settings,
            colours=steady.colours,
            origins=tuple(self.origins.items()),
            remarks=tuple(self.remarks),
            problem=problem,
        )

    def _in_name(self, what: str, value: Any) -> Any:
        if value is not None:
            self.origins[what] = names.FROM_NAME
            shown = f"{value:g} s" if what == "exposure" else repr(value)
            self.remarks.append(f"the {what} is not in the header, its name says {shown}")
        return value

    def _kind_in_name(self) -> str | None:
        found = names.kind_in_name(self.path)
        if found is None:
            return None
        kind, where = found
        self.origins["kind"] = where
        self.remarks.append(f"no card tells the kind; by {where} it is a {kind}")
        return kind
