"""Compares two images: ``python compare.py OURS THEIRS [--scaled]``; prints JSON.

Every pixel, exactly. Two accommodations, both told in the answer: a result on the scale
0 to 1 (Siril's floats) is brought to ADU, and differs where it is off by more than the
last place of a float near 1; with ``--scaled`` (flats, which each program brings to a
level of its own) the ratio of the medians is taken out, and a pixel differs where it is
off by more than 0.1 %.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from astropy.io import fits

ROWS = 512
FULL_SCALE = 65535.0
LAST_PLACE = FULL_SCALE * 2.0**-23


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ours")
    parser.add_argument("theirs")
    parser.add_argument("--scaled", action="store_true")
    args = parser.parse_args()
    print(json.dumps(compare(args.ours, args.theirs, scaled=args.scaled)))


def compare(ours: str, theirs: str, *, scaled: bool) -> dict[str, Any]:
    """Count of differing pixels, largest difference and its unit."""
    with fits.open(ours) as a, fits.open(theirs) as b:
        left, right = image(a), image(b)
        if left.shape != right.shape:
            return {"problem": f"shape {right.shape} and not {left.shape}"}
        factor = unit_factor(right)
        tolerance = LAST_PLACE if factor != 1 else 0.0
        if scaled:
            factor = float(np.median(left.section[:]) / np.median(right.section[:]))
        differ, largest = 0, 0.0
        for p, q in blocks(left, right):
            off = np.abs(q * factor - p)
            if scaled:
                off /= np.abs(p)
            differ += int(np.count_nonzero(~(off <= (0.001 if scaled else tolerance))))
            largest = max(largest, float(off.max()))
        unit = "relative" if scaled else "ADU"
        return {"differ": differ, "pixels": int(np.prod(left.shape)), "largest": largest} | {
            "unit": unit,
            "normalised": tolerance > 0,
        }


def image(hdus: Any) -> Any:
    return next(h for h in hdus if h.is_image and h.header["NAXIS"] >= 2)


def unit_factor(hdu: Any) -> float:
    """What brings a result to ADU."""
    if hdu.header["BITPIX"] > 0:
        return 1.0
    height = hdu.shape[0]
    top = max(float(np.nanmax(hdu.section[y : y + ROWS])) for y in range(0, height, ROWS))
    return FULL_SCALE if top <= 1.0 else 1.0


def blocks(left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
    """Rows of both as float64; a pixel that is missing in both is equal."""
    for y in range(0, left.shape[0], ROWS):
        p = np.asarray(left.section[y : y + ROWS], float)
        q = np.asarray(right.section[y : y + ROWS], float)
        both = np.isnan(p) & np.isnan(q)
        p[both] = q[both] = 0.0
        yield p, q


if __name__ == "__main__":
    main()
