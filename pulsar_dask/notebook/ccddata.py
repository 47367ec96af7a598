"""An image as `CCDData`."""

from __future__ import annotations

import numpy as np
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.units import Unit, UnitBase

from pulsar_dask.errors import PulsarError, printable, wrong_argument
from pulsar_dask.notebook.arguments import in_words
from pulsar_dask.notebook.selected import IMAGE, checked


@in_words
def to_ccddata(master: xr.DataArray, *, unit: str | UnitBase | None = None) -> CCDData:
    """An image as astropy and ccdproc have it; computed now, and held whole.

    Parameters
    ----------
    master : xarray.DataArray
        Dims (y, x) or (plane, y, x).
    unit : str or astropy unit, optional
        In place of ``attrs["units"]``, or where there are none that astropy knows.

    Returns
    -------
    astropy.nddata.CCDData
        Values of the array's type, its header, and a mask of missing values where there are any.

    Raises
    ------
    PulsarError
        No image; or a unit that astropy does not know.
    """
    master = checked(master, "master", IMAGE)
    units = master.attrs.get("units") if unit is None else unit
    try:
        if not isinstance(units, (str, UnitBase)) or not str(units).strip():
            raise ValueError(units)
        known = Unit(units)
    except (TypeError, ValueError):
        if unit is not None and not isinstance(unit, (str, UnitBase)):
            raise wrong_argument("unit", unit, "a unit, such as 'adu' or 'electron'") from None
        what = printable(units) if units not in (None, "") else "none that astropy knows"
        raise PulsarError(
            f"the unit is {what}; give ⟦unit⟧, such as 'adu' or 'electron'", "argument"
        ) from None
    values = np.asarray(master.values)
    missing = np.isnan(values) if values.dtype.kind == "f" else None
    header = fits.Header()
    if text := str(master.attrs.get("header", "")):
        header = fits.Header.fromstring(text, sep="\n")
    header.remove("BUNIT", ignore_missing=True)  # which CCDData writes itself
    mask = missing if missing is not None and missing.any() else None
    return CCDData(values, unit=known, meta=header, mask=mask)
