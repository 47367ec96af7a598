"""Text with places that are filled: `{{ value }}`, `{% for … in … %}`, `{% if … %}`, `{% else %}`,
`{% endfor %}`, `{% endif %}`.

Values are some of Python's: names, `a.b` for what a mapping has under "b", numbers, `a[0]`, tuples,
`len`, `enumerate`, `+`, `==`, `>`, `and`, `or`, `not`. Nothing else is looked up, nothing is run.
Libraries that do this take longer to load than a whole report to be made.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

_TAG = re.compile(r"\{\{ (.+?) \}\}|(?:^ *)?\{% (.+?) %\}\n?", re.MULTILINE)
_SAFE = "|safe"
_FUNCTIONS: dict[str, Callable[..., Any]] = {"len": len, "enumerate": enumerate}
_SIGNS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.Gt: operator.gt,
    ast.Add: operator.add,
}


def filled(template: str, content: Mapping[str, Any]) -> str:
    """A template with its values; what is no markup in them is escaped, but for `{{ …|safe }}`.

    >>> filled("{% for x in some %}<{{ x.name }}>{% endfor %}", {"some": [{"name": "a&b"}]})
    '<a&amp;b>'

    Raises
    ------
    KeyError
        The content lacks something.
    ValueError
        The template has what is no such value.
    """
    parts: list[str] = []
    _fill(_block(_pieces(template))[0], dict(content), parts)
    return "".join(parts)


def _pieces(template: str) -> Iterator[tuple[str, str]]:
    """Text, values and what is done, one after the other."""
    at = 0
    for tag in _TAG.finditer(template):
        yield "text", template[at : tag.start()]
        at = tag.end()
        value, does = tag.groups()
        yield ("value", value) if value else ("does", does)
    yield "text", template[at:]


def _block(pieces: Iterator[tuple[str, str]]) -> tuple[list[Any], str]:
    """Pieces up to the end of a block, those of blocks within it together; and what ends it."""
    found: list[Any] = []
    for kind, text in pieces:
        if kind == "text":
            found.append(text)
        elif kind == "value":
            safe = text.endswith(_SAFE)
            found.append((str if safe else escape, _parsed(text.removesuffix(_SAFE))))
        elif text in ("else", "endif", "endfor"):
            return found, text
        else:
            inner, end = _block(pieces)
            other = _block(pieces)[0] if end == "else" else []
            names, _, value = text.removeprefix("for ").partition(" in ")
            if text.startswith("for "):
                found.append(([n.strip() for n in names.split(",")], _parsed(value), inner, other))
            else:
                found.append(([], _parsed(text.removeprefix("if ")), inner, other))
    return found, ""


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _fill(block: list[Any], known: dict[str, Any], parts: list[str]) -> None:
    for piece in block:
        if isinstance(piece, str):
            parts.append(piece)
        elif len(piece) == 2:
            how, value = piece
            parts.append(how(str(_value(value, known))))
        else:
            names, value, inner, other = piece
            if not names:
                _fill(inner if _value(value, known) else other, known, parts)
                continue
            for one in _value(value, known):
                each = [one] if len(names) == 1 else one
                _fill(inner, known | dict(zip(names, each, strict=True)), parts)


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """What a value of a template is."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return known[name]
        case ast.Attribute(of, name):
            return _value(of, known)[name]
        case ast.Subscript(of, index):
            return _value(of, known)[_value(index, known)]
        case ast.Tuple(some):
            return tuple(_value(one, known) for one in some)
        case ast.Call(ast.Name(name), some, []) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(one, known) for one in some))
        case ast.BinOp(a, sign, b) | ast.Compare(a, [sign], [b]) if type(sign) in _SIGNS:
            return _SIGNS[type(sign)](_value(a, known), _value(b, known))
        case ast.BoolOp(sign, some):
            each = [bool(_value(one, known)) for one in some]
            return any(each) if isinstance(sign, ast.Or) else all(each)
        case ast.UnaryOp(ast.Not(), one):
            return not _value(one, known)
    raise ValueError(f"{ast.unparse(node)}: no value of a template")
