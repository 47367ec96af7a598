"""Lists of hot pixels by mutation, against a plain parser of the format."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulsar_dask.errors import PulsarError
from pulsar_dask.inputs.pixellists import read_list

ROWS, COLUMNS = 40, 50
SPACE = " \t"


def parsed(content: bytes) -> set[tuple[int, int]] | None:
    """(x, y) of a list, character by character; None where a line is wrong."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", "replace")
    else:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    found = set()
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line[:200].lstrip().startswith("#"):
            continue
        if len(line) > 200:
            return None
        words = line.split()
        if not words:
            continue
        if len(words) == 4 and (len(words[3]) != 1 or words[3].lower() not in LETTERS):
            return None
        if len(words) not in (3, 4) or words[0] not in tuple("PCLpcl"):
            return None
        numbers = [_whole(word) for word in words[1:3]]
        if None in numbers:
            return None
        a, b = numbers
        kind = words[0].upper()
        listed = {
            "P": {(a, b)},
            "C": {(a, y) for y in range(ROWS)},
            "L": {(x, a) for x in range(COLUMNS)},
        }[kind]
        if any(not (0 <= x < COLUMNS and 0 <= y < ROWS) for x, y in listed):
            return None
        found |= listed
    return found


LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _whole(word: str) -> int | None:
    digits = word.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        return None
    return int(word)


lines = st.one_of(
    st.builds(
        "{}{}{}{}{}{}".format,
        st.sampled_from("PPPPCLpcl"),
        st.sampled_from([" ", "\t", "   "]),
        st.integers(-1, COLUMNS),
        st.sampled_from([" ", "\t", "  "]),
        st.integers(-1, ROWS),
        st.sampled_from(["", "", " H", " c", "  ", "\t"]),
    ),
    st.builds("P {} {}".format, st.integers(0, COLUMNS - 1), st.integers(0, ROWS - 1)),
    st.builds("P {} {}".format, st.integers(0, COLUMNS - 1), st.integers(0, ROWS - 1)),
    st.sampled_from(["", "  ", "# hot", "#", " # P 1 2", "#" + "x" * 450, " " * 250]),
)
endings = st.sampled_from(["\r\n", "\n", "\r"])


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """A list as programs write it, with some bytes changed."""
    ending = draw(endings)
    text = "".join(
        line + (draw(endings) if draw(st.integers(0, 9)) == 0 else ending)
        for line in draw(st.lists(lines, max_size=12))
    )
    encoding = draw(st.sampled_from(["ascii", "ascii", "ascii", "utf-8-sig", "utf-16"]))
    content = bytearray(text.encode(encoding))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 5]))):
        at = draw(st.integers(0, len(content)))
        how = draw(st.sampled_from(["put", "take", "twice", "cut"]))
        if how == "put":
            content[at:at] = draw(st.one_of(st.binary(max_size=3), st.sampled_from(ODD)))
        elif how == "take":
            del content[at : at + draw(st.integers(1, 4))]
        elif how == "twice":
            content[at:at] = content[at : at + draw(st.integers(1, 20))]
        else:
            del content[at:]
    return bytes(content)


ODD = [
    b"\0",
    b"\r",
    b"\n",
    b"-",
    b".5",
    b"\x1b[31m",
    b"\xff",
    "Ω".encode(),
    b"99999999999999",
    b",",
]


def well_said(error: PulsarError) -> bool:
    text = str(error)
    return text.isprintable() and "c.lst, line " in text and len(text) < 700


@given(st.one_of(contents(), contents(), st.binary(max_size=60)), st.booleans())
@example(b"P 1 2\x1c\n", False)
@example(b"\x85P 1 2", True)
@example(b"\xff\xfe\r", False)  # UTF-16 that ends in half a character
@example("P 0 1\r\n".encode("utf-16") + b"\0", False)
@example("P 1 2 \u017f\n".encode(), False)
@example("P \u0661 2\n".encode(), False)
def test_any_list_is_read_or_refused(tmp_path, content, top):
    path = tmp_path / "c.lst"
    path.write_bytes(content)
    truth = parsed(content)
    try:
        places = read_list(str(path), (ROWS, COLUMNS), origin_top=top)
    except PulsarError as error:
        assert (truth, well_said(error)) == (None, True), error  # noqa: PT017
        return
    assert truth is not None
    flipped = {(x, ROWS - 1 - y) for x, y in truth} if top else truth
    assert places.tolist() == sorted(y * COLUMNS + x for x, y in flipped)


@pytest.mark.parametrize("text", ["P \u0661 2\n", "P 1 2 \u017f\n", "P 1 2 \u212a\n"])
def test_only_plain_digits_and_letters(tmp_path, text):
    path = tmp_path / "c.lst"
    path.write_bytes(text.encode())
    with pytest.raises(PulsarError, match="line 1"):
        read_list(str(path), (ROWS, COLUMNS))
