"""An image in a FITS file: what plain, tile-compressed and gzipped ones have in common."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from pulsar_dask.formats.cards import fill_up
from pulsar_dask.formats.hdus import hdus_of, opened
from pulsar_dask.frames.frame import Frame, Stored


@dataclass(frozen=True, slots=True)
class FitsImage(Stored):
    """An image in an HDU of a FITS file."""

    hdu: int
    """Index of the HDU."""
    offset: int
    """Byte at which its data begin, in the expanded file where it is gzipped."""
    length: int
    """Bytes of its data, without padding."""

    @property
    def token(self) -> int:
        return self.hdu

    def header(self, frame: Frame) -> fits.Header:
        """The header of its HDU, with the cards of the primary header that it lacks."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with opened(frame.path) as (file, _):
                hdus = []
                for hdu in hdus_of(file, frame.path):
                    hdus.append(hdu)
                    if hdu.index == self.hdu:
                        break
            header = self.image_header(hdus[-1].header)
            if len(hdus) > 1:
                fill_up(header, hdus[0].header)
            return header

    def image_header(self, header: fits.Header) -> fits.Header:
        """What the header of its HDU says of the image."""
        return header
