"""Layouts: in which FITS files the planes of a master lie, and as which types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pulsar_dask.errors import PulsarError, printable
from pulsar_dask.frames.planes import MASK, planes_path

BESIDE, CCDDATA = "beside", "ccddata"
LAYOUTS = (BESIDE, CCDDATA)
#: What has the bits of an image in "ccddata": where an extension has, Siril takes the file for a
#: sequence.
_TAKEN = {"uint8": MASK.name, "int32": "quality", "uint32": "quality"}


def planes_for(layout: str, planes: Sequence[str]) -> tuple[str, ...]:
    """The planes that are made, where some were asked for: what CCDData has is in its layout."""
    more = ("uncertainty", "quality") if layout == CCDDATA else ()
    return tuple(dict.fromkeys((*planes, *more)))


def laid_out(path: str, dtypes: Mapping[str, str], layout: str) -> dict[str, dict[str, str]]:
    """Types by plane, by the path of their file; none of a file that is not to be.

    Parameters
    ----------
    path : str
        Of the master.
    dtypes : mapping
        By plane, "image" among them.
    layout : str
        "beside": the image alone, other planes in the file beside it. "ccddata": all in one file,
        as astropy's CCDData has them.

    Raises
    ------
    PulsarError
        That type of image has no such layout.
    """
    others = {name: dtype for name, dtype in dtypes.items() if name != "image"}
    image, beside = {"image": dtypes["image"]}, planes_path(path)
    if layout == BESIDE:
        return {path: image, beside: others}
    if what := _TAKEN.get(dtypes["image"]):
        raise PulsarError(
            f"{printable(path)}: {dtypes['image']} has the bits of its {what}, and a file of two "
            "images of the same bits is a sequence to Siril; choose another ⟦dtype⟧, or leave "
            "⟦layout⟧ ccddata out",
            "argument",
        )
    floats = "float32" if dtypes["image"] == "float64" else "float64"
    known = {name: floats if dtype[0] == "f" else dtype for name, dtype in others.items()}
    error = {name: known.pop(name) for name in ("uncertainty",) if name in known}
    mask = {MASK.name: MASK.dtype} if "quality" in known else {}
    return {path: {**image, **error, **mask, **known}, beside: {}}
