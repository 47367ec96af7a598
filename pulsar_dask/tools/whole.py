"""Whether a master, the store that it may be, and its list are as they were written."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pulsar_dask._version import CREATOR
from pulsar_dask.errors import printable, reason
from pulsar_dask.formats import sums
from pulsar_dask.formats.ledger import Ledger
from pulsar_dask.formats.storeseal import is_sealed, what_happened
from pulsar_dask.frames.frame import Frame
from pulsar_dask.kernels.checksum import is_as_written
from pulsar_dask.output.ours import file_crc, is_ours
from pulsar_dask.tools.judged import Findings, Status


def check_whole(master: Frame, threads: int, findings: Findings) -> None:
    """Whether a master is as it was written, by the sums that it states."""
    found, remarks = sums.check_sums([master], Ledger(), threads)
    for remark in remarks:
        findings.say(remark.removeprefix(f"{printable(master.path)}: "), Status.WRONG)
    if master.stored.checks(master) and findings.status == Status.GOOD:
        findings.say("whole, the checksums of its chunks match")
    elif master.stated is not None and not remarks:
        order, pixels = master.stated.order, found[master.key].words
        anew = order and order[0] != pixels
        plain = master.stored.unit is not None and not master.stored.coded
        if plain and not anew and not is_as_written(master.path):
            what = "what is beside its image in the file is not what was written"
            findings.say(what, Status.WRONG)
        else:
            findings.say("whole, its CHECKSUM and DATASUM match")
        if order and anew:
            findings.say(
                "its pixels are not those that were written, its DATASUM was made anew since "
                f"({pixels}, was {order[0]})",
                Status.WRONG,
            )


def check_seal(store: str, findings: Findings) -> None:
    """Whether all of a store is as it was written; one of an earlier version does not say."""
    if not is_ours(store):
        status = Status.WRONG if is_sealed(store) else Status.GOOD
        findings.say(what_happened(store, CREATOR), status)


def check_lists(master: Frame, written: Mapping[str, int], findings: Findings) -> None:
    """Whether lists that were written with a master are as they were."""
    for name, crc in written.items():
        path = os.path.join(os.path.dirname(master.place), os.path.basename(name))
        if not os.path.isfile(path):
            text = f"{printable(name)}, the list that was written with it, is not beside it"
            findings.say(text, Status.AWAY)
            continue
        try:
            text = "" if file_crc(path) == crc else "is not as it was written with it"
        except OSError as error:
            text = reason(error)
        if text:
            findings.say(f"list {printable(path)}: {printable(text)}", Status.WRONG)
