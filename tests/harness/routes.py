"""The rows of THE route table (lxmd/http/routes.c), for tests that walk over all of them."""
import re
from collections import namedtuple
from urllib.parse import quote

from .daemon import TOP

Route = namedtuple("Route", "method pattern access flags")
ROW = re.compile(r'^\t\{ "(GET|POST|PUT|PATCH|DELETE)",\s*"([^"]+)",\s*(MAY_\w+),\s*([\w| ]+),\s*api_\w+,', re.M)


def table():
    """All rows, in the order of the file."""
    text = (TOP / "lxmd/http/routes.c").read_text()
    rows = [Route(m[1], m[2], m[3], {f.strip() for f in m[4].split("|")} - {"0"}) for m in ROW.finditer(text)]
    assert len(rows) == len(re.findall(r'^\t\{ "', text, re.M)), "a row of routes.c that this pattern does not know"
    return rows


def params(pattern):
    """Names of the parameters of a pattern, in order."""
    return re.findall(r"\{(\w+)\}", pattern)


def fill(pattern, values):
    """The path with its parameters replaced; values is a dict, or a function of (prefix, name)."""
    get = values if callable(values) else lambda _prefix, name: values[name]
    out = ""
    for part in pattern.strip("/").split("/"):
        name = part[1:-1] if part.startswith("{") else None
        out += "/" + (quote(get(out, name), safe="") if name else part)
    return out or "/"
