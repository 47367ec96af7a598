"""Text with places that are filled: `{{ value }}`, `{% for … in … %}`, `{% if … %}`, `{% else %}`,
`{% endfor %}`, `{% endif %}`. Values are Python's, but that `a.b` is what a mapping has under "b".

Libraries that do this take longer to load than a whole report to be made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_TAG = re.compile(r"\{\{ (.+?) \}\}|(?:^ *)?\{% (.+?) %\}\n?", re.MULTILINE)
_UNDER = re.compile(r"(?<=\w)\.(\w+)")
_SAFE = "|safe"


def filled(template: str, content: Mapping[str, Any]) -> str:
    """A template with its values; what is no markup in them is escaped, but for `{{ …|safe }}`.

    >>> filled("{% for x in some %}<{{ x.name }}>{% endfor %}", {"some": [{"name": "a&b"}]})
    '<a&amp;b>'

    Raises
    ------
    KeyError, NameError
        The content lacks something.
    """
    parts: list[str] = []
    code = "\n".join(_lines(template))
    exec(code, {**content, "_put": parts.append, "_escaped": lambda v: escape(str(v))})
    return "".join(parts)


def _lines(template: str) -> Iterator[str]:
    """It as lines of Python."""
    depth, at = 0, 0
    for tag in _TAG.finditer(template):
        yield f"{' ' * depth}_put({template[at : tag.start()]!r})"
        at = tag.end()
        value, does = (_UNDER.sub(r'["\1"]', text or "") for text in tag.groups())
        if value:
            how = "str" if value.endswith(_SAFE) else "_escaped"
            yield f"{' ' * depth}_put({how}({value.removesuffix(_SAFE)}))"
            continue
        depth -= does == "else" or does.startswith("end")
        if not does.startswith("end"):
            yield f"{' ' * depth}{does}:"
            depth += 1
    yield f"{' ' * depth}_put({template[at:]!r})"
