"""Every row of the route table, as the binary prints it, for every kind of caller: the status is the one that the row says, and
who may not see an object cannot tell whether it is there."""
import subprocess
from collections import namedtuple

import pytest

from harness import routes
from harness.daemon import Daemon
from harness.host import HostState
from harness.tenants import CALLERS, World

pytestmark = pytest.mark.host_only("lxmd alone decides who may call what")

Row = namedtuple("Row", "method pattern access flags")
STRANGERS = ("none", "unknown", "expired", "revoked")
NOBODY = "nobody-is-here"
HEX = "0123456789abcdef" * 4
UUID = "00000000-0000-4000-8000-000000000000"
# what a stranger gets from the rows that are for all: their handlers decide
OPEN = {"GET /": 200, "GET /1.0": 200, "GET /1.0/images": 200, "GET /1.0/images/aliases": 200, "GET /1.0/images/aliases/{name}": 404,
        "GET /1.0/images/{fingerprint}": 404, "GET /1.0/images/{fingerprint}/export": 404, "POST /1.0/certificates": 403,
        "GET /1.0/operations/{id}/wait": 403, "GET /1.0/operations/{id}/websocket": 403}
HARMFUL = {"PUT /internal/shutdown"}  # an administrator who calls these ends the test


def rows():
    text = subprocess.run([Daemon.bin("lxmd"), "routes"], capture_output=True, text=True, check=True).stdout
    return [Row(w[0], w[1], w[2], set(w[3:])) for w in map(str.split, text.splitlines())]


ROWS = rows()


def name_of(row):
    return f"{row.method} {row.pattern}"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    before = HostState()
    daemon = Daemon("matrix")
    try:
        daemon.start().init()
        w = World(daemon, tmp_path_factory.mktemp("certificates"))
        yield w
        assert daemon.alive(), f"lxmd died\n{daemon.log_tail()}"
        w.close()
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


def paths(world, row):
    """(an object of tenant red, nothing) for the row's pattern; the same twice without parameters."""
    there = world.red.names
    network = next(n["name"] for n in world.rest.read("networks", query={"recursion": 1}) if n["managed"])

    def get(prefix, name):
        return there.get(prefix) or {"networks": network, "templates": "busybox"}.get(prefix.split("/")[2], NOBODY)

    def none(prefix, name):
        # the pool is no secret; what is not there is asked for below it
        if name in ("pool", "type") and "{volume}" in row.pattern:
            return get(prefix, name)
        return {"fingerprint": HEX, "id": UUID, "uuid": UUID}.get(name, NOBODY)

    return routes.fill(row.pattern, get), routes.fill(row.pattern, none)


def ask(client, row, path, **query):
    return client.request(row.method, path, query=query, timeout=20)


def same(a, b, path_a, path_b):
    """Equal answers, but for the name that the caller asked for himself."""
    def plain(reply, path):
        text = reply.body.decode()
        for segment in path.split("/")[3:]:
            text = text.replace(segment, "NAME")
        return reply.status, text, reply.headers.get("ETag")

    return plain(a, path_a) == plain(b, path_b)


def is_listed_for_all(row):
    return row.access == "all"


def test_the_table_of_open_rows_is_complete():
    assert {name_of(r) for r in ROWS if is_listed_for_all(r)} == set(OPEN)


@pytest.mark.parametrize("row", ROWS, ids=name_of)
@pytest.mark.parametrize("kind", STRANGERS + ("metrics",))
def test_strangers(world, row, kind):
    client = world.client(kind)
    a, b = paths(world, row)
    replies = [ask(client, row, a, project="red"), ask(client, row, b, project="red"), ask(client, row, b, project="there-is-none")]
    if row.access == "metrics" and kind == "metrics":
        assert [r.status for r in replies] == [200, 200, 404], replies  # it is confined to no project
        return
    expected = OPEN[name_of(row)] if row.access == "all" else 403
    assert [r.status for r in replies] == [expected] * 3, replies
    assert same(replies[0], replies[1], a, b) and same(replies[1], replies[2], b, b) or expected == 200, replies
    if expected == 403:
        assert all(r.error == "not authorized" for r in replies)
    if row.access == "all" and "images" in row.pattern and expected == 200:
        assert all(r.metadata == [] for r in replies)


@pytest.mark.parametrize("row", [r for r in ROWS if f"{r.method} {r.pattern}" not in ("GET /", "GET /1.0")], ids=name_of)
def test_restricted_to_another_project(world, row):
    client = world.client("restricted")
    a, b = paths(world, row)
    replies = [ask(client, row, a, project="red"), ask(client, row, b, project="red"), ask(client, row, b, project="there-is-none")]
    confined = row.flags & {"project", "all-projects", "named"}
    if row.access in ("admin", "self", "metrics") or confined:
        assert [r.status for r in replies] == [403] * 3, replies
        assert all(r.error == "not authorized" for r in replies)
    elif "operations/{id}" in row.pattern:
        assert [r.status for r in replies] == [404] * 3, replies
        assert same(replies[0], replies[1], a, b)
    else:
        assert all(r.status != 403 or row.pattern == "/1.0/certificates" for r in replies), replies


@pytest.mark.parametrize("row", [r for r in ROWS if r.flags & {"project", "all-projects"}], ids=name_of)
def test_restricted_in_no_project_means_default(world, row):
    _, b = paths(world, row)
    assert ask(world.client("restricted"), row, b).status == 403


@pytest.mark.parametrize("row", [r for r in ROWS if r.flags & {"project"} and r.access in ("project", "all")], ids=name_of)
def test_restricted_at_home_finds_nothing_of_others(world, row):
    """In one's own project an object of another is as absent as any."""
    if "{" not in row.pattern or "storage-pools/{pool}/volumes" in row.pattern and "{volume}" not in row.pattern:
        pytest.skip("the path names no object of a project")
    if "networks" in row.pattern or "templates/{name}" in row.pattern and "instances" not in row.pattern:
        pytest.skip("networks and recipes are shared")
    a, b = paths(world, row)
    here, gone = (ask(world.client("restricted"), row, path, project="blue") for path in (a, b))
    assert here.status == gone.status and here.status >= 400, (here, gone)
    assert same(here, gone, a, b), (here, gone)


@pytest.mark.parametrize("row", [r for r in ROWS if name_of(r) not in HARMFUL], ids=name_of)
def test_administrators(world, row):
    _, b = paths(world, row)
    reply = ask(world.client("admin"), row, b)
    assert reply.status != 403 and reply.status < 500 or reply.status == 501, reply


def test_short_and_long_answers_about_the_server(world):
    short = {"api_extensions", "api_status", "api_version", "auth", "public", "auth_methods"}
    for kind in CALLERS:
        got = world.client(kind).read("/1.0")
        if kind in STRANGERS + ("metrics",):
            assert set(got) == short and got["auth"] == "untrusted", kind
        else:
            assert got["auth"] == "trusted" and got["environment"]["certificate"].startswith("-----BEGIN"), kind
            assert (got["config"] is None) == (kind == "restricted"), kind


def test_all_projects_are_those_of_the_caller(world):
    client = world.client("restricted")
    for row in ROWS:
        if "all-projects" not in row.flags or row.method != "GET" or "events" in row.pattern:
            continue
        path, _ = paths(world, row)
        reply = ask(client, row, path, **{"all-projects": "true", "recursion": "1"})
        assert reply.status == 200, (row, reply)
        for word in world.red.words:
            assert word not in reply.body.decode(), (row, word, reply)
        assert world.client("none").get(path, query={"all-projects": "true"}).status == 403
