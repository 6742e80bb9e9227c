"""Every row of the route table against bad requests: nothing there, another project's, wrong types, unknown fields, too much, half.

The walk is driven by the table itself, so a new route is walked from the day it is added. Whatever is sent, the answer is an
error of the client's (4xx, or 501), never the server's; its text names the object; and nothing changes.
"""
import json

import pytest

from harness import images, routes
from harness.daemon import Daemon
from harness.host import HostState
from harness.rest import unix_connect

pytestmark = pytest.mark.host_only("bad requests are turned away before anything reaches the kernel")

ROWS = routes.table()
MISSING = "nobody-is-here"
# /internal/shutdown works: it has no bad input
WALKED = [r for r in ROWS if not r.pattern.startswith("/internal/")]
WITH_PARAMS = [r for r in WALKED if routes.params(r.pattern)]
BODIES = [r for r in WALKED if r.method in ("POST", "PUT", "PATCH") and not r.flags & {"RT_UPLOAD"}]
FINE = {200, 201, 202}
CLIENTS_FAULT = {400, 403, 404, 409, 412, 413, 414, 415, 431, 501, 503}  # 503: too many of something are open


def row_id(row):
    return f"{row.method} {row.pattern}"


# ---- one daemon with one object of each kind
@pytest.fixture(scope="module")
def walk():
    before = HostState()
    daemon = Daemon("walk")
    try:
        daemon.start().init()
        world = World(daemon)
        yield world
        assert daemon.alive(), f"lxmd died\n{daemon.log_tail()}"
        world.clear()
    finally:
        problems = daemon.end(before)
        assert not problems, "\n".join(problems)


class World:
    """Names of what is there: in project default, and instance, profile, image and volume also in project `other` alone."""

    def __init__(self, daemon):
        self.daemon, self.rest = daemon, daemon.rest
        rest = self.rest
        images.import_image(rest, images.busybox_tar(), "walkimage")
        self.image = rest.read("images/aliases/walkimage")["target"]
        rest.change("POST", "instances", {"name": "walk1", "source": {"type": "image", "alias": "walkimage"}})
        rest.change("POST", "instances/walk1/snapshots", {"name": "snap1"})
        rest.change("POST", "profiles", {"name": "walkprofile"})
        rest.change("POST", "storage-pools/default/volumes/custom", {"name": "walkvolume"})
        rest.change("POST", "projects", {"name": "other", "config": {"features.images": "true", "features.profiles": "true"}})
        rest.change("POST", "profiles", {"name": "elsewhere"}, query={"project": "other"})
        rest.change("POST", "storage-pools/default/volumes/custom", {"name": "elsewhere"}, query={"project": "other"})
        self.network = next(n["name"] for n in rest.read("networks", query={"recursion": 1}) if n["managed"])
        rest.change("POST", "instances", {"name": "elsewhere", "source": {"type": "none"}, "profiles": [],
                                          "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}}},
                    query={"project": "other"})
        rest.change("POST", "instances/elsewhere/snapshots", {"name": "snap1"}, query={"project": "other"})

    def there(self, prefix, name):
        """An object that is there, for a parameter behind a prefix."""
        first = prefix.split("/")[2] if prefix.count("/") >= 2 else ""
        return {"pool": "default", "type": "custom", "volume": "walkvolume", "snapshot": "snap1", "fingerprint": self.image,
                "id": "00000000-0000-0000-0000-000000000000", "uuid": "00000000-0000-0000-0000-000000000000",
                "file": "lxc.log"}.get(name) or {
            "instances": "walk1", "profiles": "walkprofile", "projects": "other", "networks": self.network,
            "images": "walkimage", "storage-pools": "default", "templates": "busybox"}.get(first, MISSING)

    def missing(self, pattern):
        """A path with nothing there: its pool is, unless that is what the path is about."""
        has = "default" if "{volume}" in pattern else MISSING
        return routes.fill(pattern, lambda _prefix, name: {"pool": has, "type": "custom", "fingerprint": "0" * 64}.get(name, MISSING))

    def elsewhere(self, prefix, name):
        """What only project `other` has."""
        return {"pool": "default", "type": "custom", "snapshot": "snap1"}.get(name, "elsewhere")

    def look(self):
        """Everything that can be told about the objects: must be the same afterwards."""
        seen = {}
        for project in ("default", "other"):
            for kind in ("instances", "profiles", "images", "images/aliases", "networks", "storage-pools/default/volumes"):
                rows = self.rest.read(kind, query={"recursion": 1, "project": project})
                seen[project, kind] = [r for r in rows if r.get("managed", True)]  # the host's own links come and go
        seen["projects"] = self.rest.read("projects", query={"recursion": 1})
        seen["pools"] = self.rest.read("storage-pools", query={"recursion": 1})
        seen["config"] = self.rest.read("/1.0")["config"]
        return json.loads(json.dumps({str(k): v for k, v in seen.items()}, sort_keys=True))

    def clear(self):
        for project, name in (("default", "walk1"), ("other", "elsewhere")):
            self.rest.change("DELETE", f"instances/{name}", query={"project": project})
        for project, name in (("default", "walkvolume"), ("other", "elsewhere")):
            self.rest.change("DELETE", f"storage-pools/default/volumes/custom/{name}", query={"project": project})
        self.rest.change("DELETE", "profiles/elsewhere", query={"project": "other"})
        self.rest.change("DELETE", "projects/other")


@pytest.fixture
def unchanged(walk):
    before = walk.look()
    yield walk
    assert walk.daemon.alive(), f"lxmd died\n{walk.daemon.log_tail()}"
    after = walk.look()
    assert not [(k, before[k], after[k]) for k in before if before[k] != after[k]]


def judge(reply, row, fine=False):
    """The status is the client's fault (or fine), never a 500; the envelope is whole."""
    allowed = CLIENTS_FAULT | (FINE if fine else set())
    assert reply.status in allowed, f"{row_id(row)}: {reply}"
    if reply.status not in FINE:
        assert reply.json["type"] == "error" and reply.json["error_code"] == reply.status and reply.error.strip(), reply


def settle(walk, reply):
    """Waits for an operation, whatever becomes of it; returns its error text."""
    if reply.status != 202 or reply.json["metadata"]["class"] != "task":
        return ""
    return walk.rest.get(f"{reply.json['operation']}/wait", query={"timeout": 20}).metadata["err"]


BODY_FOR = {  # the least that a request needs before it looks for its object
    "exec": {"command": ["true"]}, "state": {"action": "start"}, "console": {}, "snapshots": {"name": "x"},
    "rebuild": {"source": {"type": "none"}}, "secret": {}, "refresh": {}, "{uuid}": {"status": "acknowledged"},
}


def path_query(row):
    """The path= that files and file templates want."""
    return {"path": "x.tpl"} if row.pattern.endswith(("/files", "/templates")) else None


def least_body(row):
    if row.method in ("GET", "DELETE"):
        return None
    return BODY_FOR.get(row.pattern.rsplit("/", 1)[1], {"name": "other-name"})


# ---- nothing there
@pytest.mark.parametrize("row", WITH_PARAMS, ids=row_id)
def test_what_is_not_there_is_404_and_named(unchanged, row):
    path = unchanged.missing(row.pattern)
    data = b"x" if "RT_UPLOAD" in row.flags else None
    query = path_query(row)
    reply = unchanged.rest.request(row.method, path, json=None if data else least_body(row), data=data, query=query)
    judge(reply, row)
    assert reply.status == 404 or (reply.status == 501 and "{id}" not in row.pattern) or "websocket" in row.pattern, reply
    if reply.status == 404:
        assert MISSING in reply.error or "0" * 12 in reply.error, reply.error


@pytest.mark.parametrize("row", [r for r in WALKED if "RT_PROJECT" in r.flags], ids=row_id)
def test_a_project_that_is_not_there_is_404(unchanged, row):
    path = routes.fill(row.pattern, unchanged.there)
    reply = unchanged.rest.request(row.method, path, json=least_body(row), query={"project": MISSING})
    judge(reply, row)
    assert reply.status == 404 and MISSING in reply.error, reply


@pytest.mark.parametrize("row", [r for r in WITH_PARAMS if "RT_PROJECT" in r.flags and r.pattern.split("/")[2] in
                                 ("instances", "profiles", "storage-pools")], ids=row_id)
def test_another_projects_object_is_as_if_not_there(unchanged, row):
    if set(routes.params(row.pattern)) <= {"pool", "type"}:
        pytest.skip("lists of the own project")
    path = routes.fill(row.pattern, unchanged.elsewhere)
    ghost = routes.fill(row.pattern, lambda prefix, name: {"elsewhere": "elsewhexe"}.get(*[unchanged.elsewhere(prefix, name)] * 2))
    data = b"x" if "RT_UPLOAD" in row.flags else None
    query = path_query(row)
    reply, other = (unchanged.rest.request(row.method, p, json=None if data else least_body(row), data=data, query=query)
                    for p in (path, ghost))
    judge(reply, row)
    assert (reply.status, reply.error) == (other.status, other.error.replace("elsewhexe", "elsewhere")), row_id(row)


# ---- bodies
@pytest.mark.parametrize("row", BODIES, ids=row_id)
def test_bodies_that_are_no_objects_are_400(unchanged, row):
    path = routes.fill(row.pattern, unchanged.there)
    for body in (b"[]", b"7", b"true", b'"x"', b"{", b"\xff", b'{"name":"a"}{}'):
        reply = unchanged.rest.request(row.method, path, data=body, headers={"Content-Type": "application/json"})
        judge(reply, row)
        assert reply.status in (400, 404, 501), f"{row_id(row)} {body}: {reply}"


# One value of each JSON kind, and some that are too much; each field of a body gets those of another kind.
KINDS = [7, -1, 1e300, True, "x" * 70000, [], [7], {}, {"a": {"b": []}}, [[]], "\x01\x02", ""]
FIELDS = {
    "instances": ["name", "config", "devices", "profiles", "source", "type", "description", "ephemeral", "architecture", "start"],
    "snapshots": ["name", "expires_at", "stateful"], "exec": ["command", "environment", "user", "group", "cwd", "interactive", "width"],
    "state": ["action", "timeout", "force"], "console": ["width", "height", "type"],
    "images": ["source", "properties", "public", "expires_at", "profiles", "aliases", "auto_update"],
    "aliases": ["name", "target", "description"], "profiles": ["name", "config", "devices", "description"],
    "projects": ["name", "config", "description"], "networks": ["name", "config", "type", "description"],
    "storage-pools": ["name", "driver", "config", "description"], "volumes": ["name", "config", "content_type", "description", "source"],
    "custom": ["name", "config", "content_type", "source"], "certificates": ["name", "type", "certificate", "restricted", "projects", "token"],
    "warnings": ["status"], "1.0": ["config"], "metadata": ["architecture", "creation_date", "properties", "templates"],
    "rebuild": ["source"], "backups": ["name", "expires_at", "compression_algorithm", "instance_only", "container_only", "optimized_storage"],
}
# what else such a body says, so that what is taken costs little
BESIDE = {"backups": {"compression_algorithm": "none"}}
ANY_FIELDS = ["name", "config", "devices", "description", "source", "type", "pool", "project", "migration", "target"]


def last_word(row):
    return [w for w in row.pattern.strip("/").split("/") if not w.startswith("{")][-1]


def fields_of(row):
    return FIELDS.get(last_word(row), ANY_FIELDS)


def undo(walk, row, reply):
    """A request that was taken after all: take back what it made."""
    settle(walk, reply)
    where = reply.headers.get("Location", "") if reply.status == 201 else ""
    if not where and reply.status == 202:
        made = [u for urls in (reply.json["metadata"]["resources"] or {}).values() for u in urls]
        where = next((u for u in made if row.method == "POST"), "")
    if where and row.method == "POST" and not where.endswith(("walk1", "walkprofile", "walkvolume", walk.image)):
        settle(walk, walk.rest.request("DELETE", where))


@pytest.mark.parametrize("row", [r for r in BODIES if r.method == "POST" and not r.pattern.endswith("}")], ids=row_id)
def test_fields_of_a_wrong_kind_never_break_a_create(unchanged, row):
    path = routes.fill(row.pattern, unchanged.there)
    for field in fields_of(row):
        for value in KINDS:
            reply = unchanged.rest.request("POST", path, json={**BESIDE.get(last_word(row), {}), field: value})
            judge(reply, row, fine=True)
            if reply.status in FINE:
                undo(unchanged, row, reply)
            elif reply.status == 400 and isinstance(value, (list, dict)) and value:
                assert reply.error, reply


@pytest.mark.parametrize("row", [r for r in BODIES if r.method in ("PUT", "PATCH") and routes.params(r.pattern) and
                                 r.pattern.split("/")[2] not in ("warnings", "certificates", "operations")], ids=row_id)
def test_fields_of_a_wrong_kind_change_nothing(unchanged, row):
    path = routes.fill(row.pattern, unchanged.there)
    got = unchanged.rest.get(path)
    whole = got.metadata if got.status == 200 and isinstance(got.metadata, dict) else {}
    for field in fields_of(row):
        for value in ([7], {"a": {"b": []}}, [[]], 1e300):
            if row.pattern.endswith("/state") or field in ("ephemeral", "start"):
                continue
            reply = unchanged.rest.request(row.method, path, json={**whole, field: value})
            judge(reply, row, fine=True)
            settle(unchanged, reply)


@pytest.mark.parametrize("row", [r for r in BODIES if r.method == "PATCH"], ids=row_id)
def test_unknown_fields_change_nothing(unchanged, row):
    path = routes.fill(row.pattern, unchanged.there)
    reply = unchanged.rest.request(row.method, path, json={"no-such-field": {"a": [1]}, "metadata": 7, "zzz": None})
    judge(reply, row, fine=True)
    settle(unchanged, reply)


# ---- too much, too little
@pytest.mark.parametrize("row", BODIES, ids=row_id)
def test_a_body_that_is_too_large_is_refused(unchanged, row):
    path = routes.fill(row.pattern, unchanged.there)
    body = json.dumps({"description": "x" * (5 << 20)}).encode()
    reply = unchanged.rest.request(row.method, path, data=body, headers={"Content-Type": "application/json"})
    judge(reply, row)
    assert reply.status in (400, 404, 413, 501), reply


@pytest.mark.parametrize("row", WALKED, ids=row_id)
def test_a_request_cut_off_leaves_nothing(unchanged, row):
    path = routes.fill(row.pattern, unchanged.there)
    lines = f"{row.method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for text in (lines, f"{lines}Content-Length: 1000\r\n\r\n{{\"name\":\"half", f"{lines}Transfer-Encoding: chunked\r\n\r\n3e8\r\n{{\"na"):
        with unix_connect(unchanged.daemon.socket, 5) as sock:
            sock.sendall(text.encode())


@pytest.mark.parametrize("row", WITH_PARAMS, ids=row_id)
@pytest.mark.parametrize("name", ["%2e%2e", "..%2f..%2fetc", "a%00b", "%ff%fe", "x" * 5000, "%", "a%20b", "-rf"],
                         ids=["dots", "slash", "nul", "bytes", "long", "escape", "blank", "option"])
def test_odd_names_in_paths(walk, row, name):
    path = routes.fill(row.pattern, lambda prefix, p: "PLACE").replace("PLACE", name)
    query = path_query(row)
    reply = walk.rest.request(row.method, path, json=least_body(row), query=query)
    judge(reply, row)
    assert reply.status in (400, 404, 414, 501), f"{row_id(row)}: {reply}"


# ---- methods
@pytest.mark.parametrize("pattern", sorted({r.pattern for r in WALKED}))
def test_methods_that_a_path_lacks_are_501(walk, pattern):
    has = {r.method for r in ROWS if r.pattern == pattern}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} - has:
        reply = walk.rest.request(method, routes.fill(pattern, walk.there))
        assert reply.status == 501, f"{method} {pattern}: {reply}"


def test_unknown_paths_are_404(walk):
    for path in ("/2.0", "/1.0/nothing", "/1.0/instances/walk1/nothing", "/1.0/instances/walk1/snapshots/snap1/nothing/more", "/x"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert walk.rest.request(method, path).status == 404, path
