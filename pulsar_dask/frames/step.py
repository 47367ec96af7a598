"""What was done to make a master, as data: to the text of a HISTORY card and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pulsar_dask.errors import count
from pulsar_dask.frames.quality import KINDS

#: Steps that are figures by which a master is made again: programs need them, no line on a screen.
FIGURES = ("quality", "noise", "noise of part")
Method = tuple[str, tuple[tuple[str, float], ...]]
"""Name and parameters of a way to combine frames."""


@dataclass(frozen=True)
class Step:
    """One step.

    >>> str(Step("combine", (("median", ()), 20)))
    'median of 20 frames'
    >>> Step.read("minus the constant 100")
    Step(verb='minus number', args=(100.0,))
    >>> Step.read("turned upside down") is None
    True
    """

    verb: str
    """One of `FORMS`."""
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        """As it stands in a HISTORY card."""
        form = FORMS[self.verb]
        words = (*(write(arg) for write, arg in zip(form.write, self.args, strict=True)), "")
        return "".join(a + b for a, b in zip(form.parts, words, strict=True))

    @staticmethod
    def read(text: str) -> Step | None:
        """The step that a text tells of; None where it is not known here."""
        for verb, form in FORMS.items():
            if match := form.pattern.fullmatch(text):
                found = zip(form.read, match.groups(), strict=True)
                return Step(verb, tuple(read(word) for read, word in found))
        return None


def number_text(number: float) -> str:
    """A number as short as it can be and be read back exactly.

    >>> number_text(100.0), number_text(0.1)
    ('100', '0.1')
    """
    return repr(float(number)).removesuffix(".0")


def _method_text(method: Method) -> str:
    """A method with its parameters: without them it could not be done again."""
    name, parameters = method
    return " ".join([name, *(f"{key}={number_text(value)}" for key, value in parameters)])


def _read_method(text: str) -> Method:
    name, *parameters = text.split(" ")
    pairs = (parameter.partition("=")[::2] for parameter in parameters)
    return name, tuple((key, float(value)) for key, value in pairs)


@dataclass(frozen=True)
class Form:
    """How a step is spelled: the words of its arguments in their places."""

    template: str
    write: tuple[Callable[[Any], str], ...] = ()
    read: tuple[Callable[[str], Any], ...] = ()
    words: tuple[str, ...] = ()
    """What each word may look like."""

    @property
    def parts(self) -> list[str]:
        """What stands around the words."""
        return self.template.split("{}")

    @property
    def pattern(self) -> re.Pattern[str]:
        parts = map(re.escape, self.parts)
        words = (*(f"({word})" for word in self.words), "")
        return re.compile("".join(a + b for a, b in zip(parts, words, strict=True)), re.DOTALL)


_NUMBER = r"[-+.0-9e]+|inf|nan"
_METHOD = r"[a-z][a-z0-9_]*(?: [a-z]+=[-+.0-9e]+)*"
_FRAMES = r"[0-9]+ frames?"
_FIVE = r"[-+.0-9e]+(?: [-+.0-9e]+){4}"


def _frames(n: int) -> str:
    return count(n, "frame")


def _first_number(text: str) -> int:
    return int(text.split(" ")[0])


def _pixels(n: int) -> str:
    return count(n, "pixel")


def _numbers_text(numbers: tuple[float, ...]) -> str:
    return " ".join(map(number_text, numbers))


def _read_numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(" ")))


def _section_text(section: tuple[int, int, int, int]) -> str:
    """First row, that after the last, and columns likewise, as FITS counts and names them."""
    top, bottom, left, right = section
    return f"[{left + 1}:{right},{top + 1}:{bottom}]"


def _read_section(text: str) -> tuple[int, int, int, int]:
    left, right, top, bottom = map(int, re.findall("[0-9]+", text))
    return top - 1, bottom, left - 1, right


#: All steps that there are, those of version 0.1 as it spelled them. A text is read by the first
#: that fits it.
FORMS: dict[str, Form] = {
    "combine": Form(
        "{} of {}", (_method_text, _frames), (_read_method, _first_number), (_METHOD, _FRAMES)
    ),
    "minus number": Form("minus the constant {}", (number_text,), (float,), (_NUMBER,)),
    "minus from": Form(
        "minus {} and the constant {}, from {}",
        (str, number_text, _frames),
        (str, float, _first_number),
        (".*", _NUMBER, _FRAMES),
    ),
    "minus combined": Form(
        "minus {}, the {} of {}",
        (str, _method_text, _frames),
        (str, _read_method, _first_number),
        (".+", _METHOD, _FRAMES),
    ),
    "minus": Form("minus {}", (str,), (str,), (".+",)),
    "correct": Form(
        "{} of {} corrected", (_pixels, str), (_first_number, str), ("[0-9]+ pixels?", ".+")
    ),
    "from top": Form("rows of the list counted from the top"),
    "scale": Form("each frame scaled to a median of {}", (number_text,), (float,), (_NUMBER,)),
    "scale colours": Form(
        "each frame scaled by colours to a median of {}", (number_text,), (float,), (_NUMBER,)
    ),
    "one colour": Form("no colour filter"),
    "error of": Form(
        "error of {}: {} everywhere", (str, number_text), (str, float), (".+", _NUMBER)
    ),
    "quality": Form(
        "quality of a {} saturated from {}, in steps of {}",
        (str, number_text, number_text),
        (str, float, float),
        ("|".join(KINDS), _NUMBER, _NUMBER),
    ),
    "noise": Form("noise of a frame: variance {}", (_numbers_text,), (_read_numbers,), (_FIVE,)),
    "noise of part": Form(
        "noise of a frame in {}: variance {}",
        (_section_text, _numbers_text),
        (_read_section, _read_numbers),
        (r"\[[0-9]+:[0-9]+,[0-9]+:[0-9]+\]", _FIVE),
    ),
    # of a light
    "light": Form("each pixel {}", (str,), (str,), (r"\(*R.*",)),
    "dark scale": Form("k = {}, {}", (number_text, str), (float, str), (_NUMBER, ".+")),
    "flat levels": Form(
        "M = {}", (_numbers_text,), (_read_numbers,), (f"(?:{_NUMBER})(?: (?:{_NUMBER}))*",)
    ),
    "flat floor": Form("no flat below {} of its median", (number_text,), (float,), (_NUMBER,)),
    "master bad": Form(
        "{} bad in the masters replaced, {} left without a value",
        (_pixels, str),
        (_first_number, int),
        ("[0-9]+ pixels?", "[0-9]+"),
    ),
    "master times": Form(
        "the {} times {}", (str, number_text), (str, float), ("bias|dark", _NUMBER)
    ),
    "pedestal": Form("plus a pedestal of {}", (number_text,), (float,), (_NUMBER,)),
    "errors": Form(
        "errors of {} electrons per ADU and a read noise of {}",
        (number_text, number_text),
        (float, float),
        (_NUMBER, _NUMBER),
    ),
    "saturated": Form("saturated from {}", (number_text,), (float,), (_NUMBER,)),
    "drawn": Form("listed pixels drawn as {}", (number_text,), (float,), (_NUMBER,)),
    "bad value": Form("without a value: {}", (number_text,), (float,), (_NUMBER,)),
}
