"""lxc and incus over TLS, let in by a token or by a certificate that was added: instances, terminals, files, and copies between two servers."""
import hashlib
import json
import os
import ssl
import time

import pytest
import yaml
from clients import INCUS, Client, token

from harness import images
from harness.instance import fresh_name, wait_until

KINDS = [(program, how) for program in ("lxc", "incus") for how in ("token", "certificate")]


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def client(request, served, second, image, tmp_path_factory):
    """A client that knows both servers as one: and two:."""
    name, how = request.param
    yield from joined(served, second, name, how, tmp_path_factory)


def joined(served, second, name, how, tmp_path_factory):
    if name == "incus" and not INCUS.exists():
        pytest.skip("make check-compat fetches the incus client")
    if name == "incus" and how == "token" and served.is_lxd:
        pytest.skip("LXD 5.0.2 knows the token only as a password: incus has a field of its own for it")
    made = Client(served, INCUS if name == "incus" else name, tmp_path_factory.mktemp(f"{name}-{how}"))
    for remote, server in (("one", served), ("two", second)):
        made.join(remote, server, how)
    yield made
    made.close()


@pytest.fixture
def name(served, second):
    """A name that is free on both servers afterwards."""
    name = fresh_name("r")
    yield name
    for server in (served, second):
        server.lxc("delete", "--force", name)


@pytest.fixture(scope="module")
def marked(served, image):
    """A stopped instance with a snapshot, a file and a setting of its own, to be copied."""
    name = fresh_name("src")
    served.ok("init", image, name, "-c", "user.mark=42")
    served.ok("file", "push", "-", f"{name}/root/old", stdin="in the snapshot")
    served.ok("snapshot", name, "s1")
    served.ok("file", "push", "-", f"{name}/root/new", stdin="in the instance")
    yield name
    served.lxc("delete", "--force", name)


# ---- server
def test_remote_list(client, served, second):
    remotes = json.loads(client.ok("remote", "list", "-f", "json"))
    assert (remotes["one"]["Addr"], remotes["two"]["Addr"]) == (f"https://{served.address}", f"https://{second.address}")


def test_info(client, served):
    info = yaml.safe_load(client.ok("info", "one:"))
    assert info["auth"] == "trusted" and info["environment"]["addresses"] == [served.address]


def test_lists(client, box):
    assert box in client.ok("list", "one:", "-f", "csv", "-c", "n").split()
    for what in ("image", "profile", "network", "storage", "project", "operation", "warning"):
        client.ok(what, "list", "one:")


def test_default_remote(client, box):
    client.ok("remote", "switch", "one")
    try:
        assert box in client.ok("list", "-f", "csv", "-c", "n").split()
    finally:
        client.ok("remote", "switch", "local")


# ---- instances
def test_launch_and_delete(client, image, name):
    client.ok("launch", f"one:{image}", f"one:{name}", "-c", "user.a=b")
    assert client.row(name, "one:")["status"] == "Running" and client.row(name, "one:")["config"]["user.a"] == "b"
    client.ok("restart", "--force", f"one:{name}")
    client.ok("stop", "--force", f"one:{name}")
    client.ok("config", "set", f"one:{name}", "user.a=c")
    assert client.ok("config", "get", f"one:{name}", "user.a") == "c\n"
    client.ok("delete", f"one:{name}")
    assert name not in client.ok("list", "one:", "-f", "csv", "-c", "n").split()


def test_config_edit(client, image, name):
    client.ok("init", f"one:{image}", f"one:{name}")
    shown = yaml.safe_load(client.ok("config", "show", f"one:{name}"))
    client.ok("config", "edit", f"one:{name}", stdin=yaml.safe_dump(dict(shown, description="from afar")))
    assert client.row(name, "one:")["description"] == "from afar"


# ---- exec, console
@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
def test_exec_status(client, box, script, code):
    assert client("exec", f"one:{box}", "--", "sh", "-c", script).code == code


def test_exec_pipes(client, box):
    data = os.urandom(5 << 20)
    done = client("exec", f"one:{box}", "--", "sh", "-c", "cat; echo err >&2", stdin=data, text=False)
    assert (done.code, done.err) == (0, b"err\n") and hashlib.sha256(done.out).digest() == hashlib.sha256(data).digest()


def test_exec_on_a_terminal(client, box):
    term = client.terminal("exec", f"one:{box}", "--", "sh", rows=30, cols=99)
    term.type(b"stty size; echo TERM=$TERM\r")
    term.expect(b"30 99\r\n")
    term.expect(b"TERM=xterm\r\n")
    term.resize(41, 121)
    term.type(b"sleep 0.3; stty size\r")
    term.expect(b"41 121\r\n")
    term.type(b"exit 7\r")
    assert term.end() == 7


def test_interrupt_on_a_terminal(client, box):
    term = client.terminal("exec", f"one:{box}", "--", "sh", "-c", "echo ready; sleep 100")
    term.expect(b"ready")
    term.type(b"\x03")
    assert term.end() == 130


def test_killed_client_takes_its_program_along(client, served, box):
    term = client.terminal("exec", f"one:{box}", "--", "sh", "-c", "echo up; exec sleep 4322")
    term.expect(b"up")
    term.close()
    wait_until(lambda: "4322" not in served.ok("exec", box, "--", "ps"))


def test_console(client, box):
    term = client.terminal("console", f"one:{box}")
    term.expect(b"To detach")
    term.type(b"\x01")
    time.sleep(0.3)  # the client looks at the first byte of each read
    term.type(b"q")
    assert term.end() == 0
    client.ok("exec", f"one:{box}", "--", "sh", "-c", "echo said from afar > /dev/console")
    wait_until(lambda: "said from afar" in client("console", f"one:{box}", "--show-log").out)


# ---- files
def test_file_there_and_back(client, box, tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / "in").write_bytes(data)
    client.ok("file", "push", tmp_path / "in", f"one:{box}/root/tls", "--mode", "0640", "--uid", "12")
    assert client.ok("exec", f"one:{box}", "--", "stat", "-c", "%a %u", "/root/tls") == "640 12\n"
    client.ok("file", "pull", f"one:{box}/root/tls", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    client.ok("file", "delete", f"one:{box}/root/tls")


def test_tree_there_and_back(client, box, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for i in range(30):
        (tree / f"sub/f{i}").write_text(str(i))
    client.ok("file", "push", "-r", tree, f"one:{box}/tmp/")
    (tmp_path / "back").mkdir()
    client.ok("file", "pull", "-r", f"one:{box}/tmp/tree", tmp_path / "back")
    assert {p.name: p.read_text() for p in (tmp_path / "back/tree/sub").iterdir()} == {f"f{i}": str(i) for i in range(30)}
    client.ok("exec", f"one:{box}", "--", "rm", "-r", "/tmp/tree")


# ---- between two servers
@pytest.mark.parametrize("mode", ["pull", "push", "relay"])
def test_copy(client, second, marked, name, mode):
    client.ok("copy", f"one:{marked}", f"two:{name}", f"--mode={mode}")
    there = client.row(name, "two:")
    assert there["config"]["user.mark"] == "42" and [s["name"] for s in there["snapshots"]] == ["s1"]
    assert client.ok("file", "pull", f"two:{name}/root/new", "-") == "in the instance"
    client.ok("restore" if not client.is_incus else "snapshot", *(["restore"] if client.is_incus else []), f"two:{name}", "s1")
    assert client.ok("file", "pull", f"two:{name}/root/old", "-") == "in the snapshot"
    client.fails("file", "pull", f"two:{name}/root/new", "-")
    client.ok("start", f"two:{name}")


def test_copy_from_here(client, marked, name):
    """From the local socket to a remote: the CLI asks the server itself where it listens."""
    client.ok("copy", f"local:{marked}", f"two:{name}", "--instance-only")
    assert client.row(name, "two:")["config"]["user.mark"] == "42" and not client.row(name, "two:")["snapshots"]


def test_copy_of_a_snapshot(client, marked, name):
    client.ok("copy", f"one:{marked}/s1", f"two:{name}")
    assert client.ok("file", "pull", f"two:{name}/root/old", "-") == "in the snapshot"
    client.fails("file", "pull", f"two:{name}/root/new", "-")


def test_copy_again_with_refresh(client, served, second, image, name):
    client.ok("init", f"one:{image}", f"one:{name}")
    client.ok("copy", f"one:{name}", f"two:{name}")
    client.ok("file", "push", "-", f"one:{name}/root/later", stdin="later")
    client.ok("copy", f"one:{name}", f"two:{name}", "--refresh")
    assert client.ok("file", "pull", f"two:{name}/root/later", "-") == "later"


@pytest.mark.parametrize("mode", ["pull", "push", "relay"])
def test_move(client, image, name, mode):
    client.ok("init", f"one:{image}", f"one:{name}", "-c", "user.m=1")
    client.ok("move", f"one:{name}", f"two:{name}", f"--mode={mode}")
    assert client.row(name, "two:")["config"]["user.m"] == "1"
    assert name not in client.ok("list", "one:", "-f", "csv", "-c", "n").split()
    client.ok("move", f"two:{name}", f"one:{name}")
    assert client.row(name, "one:")["config"]["user.m"] == "1"


def test_copy_to_a_taken_name(client, marked, name, image):
    client.ok("init", f"two:{image}" if image in client.ok("image", "list", "two:", "-f", "csv") else f"one:{image}", f"two:{name}")
    client.fails("copy", f"one:{marked}", f"two:{name}")


@pytest.mark.parametrize("mode", ["pull", "push", "relay"])
def test_image_copy(client, served, image, tmp_path, mode):
    if served.is_lxd and client.is_incus and mode == "pull":
        pytest.skip("LXD 5.0.2 is told of a server that speaks incus, and asks it nothing")
    alias = fresh_name("img")
    (tmp_path / "image.tar").write_bytes(images.busybox_tar(images.METADATA.replace("release: test", f"release: {alias}")))
    served.ok("image", "import", tmp_path / "image.tar", "--alias", alias)
    try:
        client.ok("image", "copy", f"one:{alias}", "two:", "--copy-aliases", f"--mode={mode}")
        here, there = (yaml.safe_load(client.ok("image", "show", f"{r}:{alias}")) for r in ("one", "two"))
        assert here["properties"] == there["properties"] and alias in str(there["properties"])
        assert client.ok("image", "list", f"two:{alias}", "-f", "csv", "-c", "F") == client.ok("image", "list", f"one:{alias}", "-f", "csv", "-c", "F")
    finally:
        client("image", "delete", f"two:{alias}")
        served.lxc("image", "delete", alias)


def test_launch_from_the_other_server(client, image, name):
    """The image is fetched from one: by two:."""
    client.ok("launch", f"one:{image}", f"two:{name}")
    assert client.ok("exec", f"two:{name}", "--", "hostname") == f"{name}\n"


# ---- those without trust
@pytest.fixture(params=["lxc", "incus"])
def stranger(request, served, image, tmp_path):
    """A client with a certificate that was let in and thrown out again."""
    if request.param == "incus" and not INCUS.exists():
        pytest.skip("make check-compat fetches the incus client")
    made = Client(served, INCUS if request.param == "incus" else "lxc", tmp_path / f"stranger-{request.param}")
    made.conf.mkdir()
    made.join("one", served, "certificate")
    assert made("list", "one:").code == 0
    served.ok("config", "trust", "remove", hashlib.sha256(ssl.PEM_cert_to_DER_cert((made.conf / "client.crt").read_text())).hexdigest()[:12])
    return made


def test_stranger_sees_the_short_form(stranger):
    shown = json.loads(stranger.ok("query", "one:/1.0"))
    assert shown["auth"] == "untrusted" and "tls" in shown["auth_methods"]
    assert {k for k, v in shown.items() if v is not None} == {"api_extensions", "api_status", "api_version", "auth", "public", "auth_methods"}
    assert json.loads(stranger.ok("query", "one:/")) == ["/1.0"]


@pytest.mark.parametrize("path", ["instances", "containers", "profiles", "projects", "networks", "storage-pools", "certificates", "operations",
                                  "warnings", "resources", "metrics", "instances/x/state", "projects/default/state"])
def test_stranger_is_refused(stranger, path):
    assert "not authorized" in stranger.fails("query", f"one:/1.0/{path}").lower()


def test_stranger_cannot_work(stranger, image, box):
    for argv in (("list", "one:"), ("launch", f"one:{image}", "one:intruder"), ("exec", f"one:{box}", "--", "id"), ("delete", "-f", f"one:{box}"),
                 ("file", "pull", f"one:{box}/etc/passwd", "-"), ("monitor", "one:"), ("config", "trust", "add", "one:", "--name", "more"),
                 ("query", "-X", "PATCH", "-d", '{"config":{"user.a":"b"}}', "one:/1.0"), ("copy", f"one:{box}", "one:intruder")):
        stranger.fails(*argv)


def test_stranger_sees_public_images_alone(stranger, served, image, tmp_path):
    alias = fresh_name("pub")
    (tmp_path / "image.tar").write_bytes(images.busybox_tar(images.METADATA.replace("release: test", f"release: {alias}")))
    served.ok("image", "import", tmp_path / "image.tar", "--alias", alias, "--public")
    try:
        assert [i["properties"]["release"] for i in json.loads(stranger.ok("image", "list", "one:", "-f", "json"))] == [alias]
        assert "not found" in stranger.fails("image", "info", f"one:{image}").lower()
        stranger.ok("image", "export", f"one:{alias}", tmp_path / "out")
        assert list(tmp_path.glob("out*"))
    finally:
        served.lxc("image", "delete", alias)


def test_wrong_token(stranger, served):
    """One that was used, one that was revoked, one that nobody made."""
    used, revoked = token(served, fresh_name("t")), token(served, "to-be-revoked")
    served.ok("config", "trust", "revoke-token", "to-be-revoked")
    other = Client(served, "lxc", stranger.conf.parent / "other")
    other.conf.mkdir()
    other.ok("remote", "add", "in", used)
    for wrong in (used, revoked):
        stranger.fails("remote", "add", "again", wrong, "--accept-certificate", "--password", "")
    stranger.fails("remote", "add", "again", served.address, "--accept-certificate", "--password", "no-such-password")


def test_password(served, box, tmp_path):
    """The old way, which incus no longer knows. It is off again for who comes later."""
    client, late = Client(served, "lxc", tmp_path / "in"), Client(served, "lxc", tmp_path / "late")
    for each in (client, late):
        each.conf.mkdir()
    client.join("by-password", served, "password")
    assert box in client.ok("list", "by-password:", "-f", "csv", "-c", "n").split()
    late.fails("remote", "add", "one", served.address, "--accept-certificate", "--password", "sesame")


# ---- those confined to a project
@pytest.mark.parametrize("program", ["lxc", "incus"])
def test_tenant(program, served, image, box, thing, tmp_path):
    if program == "incus" and (served.is_lxd or not INCUS.exists()):
        pytest.skip("LXD 5.0.2 knows the token only as a password, or no incus client")
    project, name = thing("project"), fresh_name("t")
    served.ok("project", "create", project, "-c", "features.images=false", "-c", "features.profiles=false")
    tenant = Client(served, INCUS if program == "incus" else "lxc", tmp_path)
    tenant.ok("remote", "add", "one", token(served, name, "--restricted", "--projects", project))
    tenant.ok("project", "switch", f"one:{project}")
    tenant.ok("launch", f"one:{image}", f"one:{name}")
    try:
        assert tenant.ok("exec", f"one:{name}", "--", "hostname") == f"{name}\n"
        assert tenant.ok("list", "one:", "-f", "csv", "-c", "n").split() == [name]
        seen = json.loads(tenant.ok("project", "list", "one:", "-f", "json"))
        assert [p["name"] for p in seen] == [project]
        for argv in (("list", "one:", "--project", "default"), ("exec", f"one:{box}", "--project", "default", "--", "id"),
                     ("query", "-X", "PATCH", "-d", '{"config":{"user.a":"b"}}', "one:/1.0"), ("project", "create", "one:more"), ("config", "trust", "add", "one:", "--name", "more")):
            tenant.fails(*argv)
    finally:
        served.lxc("delete", "-f", name, "--project", project)
