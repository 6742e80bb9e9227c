"""Many servers from one command line: remotes over TLS, trust, images and instances between servers."""
import base64
import json
import os
import pty
import re
import socket
import ssl
import stat
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness import images
from harness.daemon import SLOW, Daemon
from harness.host import HostState

pytestmark = pytest.mark.host_only("two lxmd and lxmc on the loopback")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Peer:
    """A daemon that listens on 127.0.0.1, as others see it."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.address = f"127.0.0.1:{free_port()}"
        daemon.lxmc("config", "set", f"core.https_address={self.address}", check=True)
        self.pem = daemon.rest.read("/1.0")["environment"]["certificate"]
        self.fingerprint = daemon.rest.read("/1.0")["environment"]["certificate_fingerprint"]

    def token(self, name, *more):
        return self.daemon.lxmc("config", "trust", "add", name, "-q", *more, check=True).out.strip()


@pytest.fixture(scope="module")
def peers():
    """Two daemons with TLS; the first has a busybox image `bb`."""
    if not images.have_busybox():
        pytest.skip("busybox-static is not installed")
    before, made = HostState(), []
    try:
        for name in ("ra", "rb"):
            made.append(Daemon(name))
            made[-1].start().init()
        images.import_image(made[0].rest, images.busybox_tar(), "bb")
        yield [Peer(d) for d in made]
        assert all(d.alive() for d in made), "a daemon died"
    finally:
        problems = []
        for i, daemon in enumerate(made):
            problems += daemon.end(before if i == len(made) - 1 else None)
        assert not problems, "\n".join(problems)


class Client:
    """lxmc of somebody who is no administrator of either host: a configuration of its own."""

    def __init__(self, daemon, home):
        self.daemon, self.conf = daemon, home / "lxmc"

    def __call__(self, *argv, **kw):
        return self.daemon.lxmc(*argv, LXMC_CONF=str(self.conf), LXMC_SOCKET="/nowhere", **kw)

    def files(self):
        return sorted(str(p.relative_to(self.conf)) for p in self.conf.rglob("*") if p.is_file())


@pytest.fixture
def client(peers, tmp_path):
    return Client(peers[0].daemon, tmp_path)


@pytest.fixture(scope="module")
def joined(peers, tmp_path_factory):
    """A client that both servers trust, as remotes a and b."""
    me = Client(peers[0].daemon, tmp_path_factory.mktemp("joined"))
    for name, peer in zip("ab", peers):
        me("remote", "add", name, peer.token("joined"), check=True)
    return me


# ---- getting to know each other
def test_token(peers, client):
    token = peers[0].token("laptop")
    done = client("remote", "add", "a", token)
    assert done.code == 0 and "now trusted" in done.out, done
    assert client("list", "a:", "-f", "json", check=True).out.strip() == "[]"
    known = json.loads(client("remote", "list", "-f", "json", check=True).out)
    a = next(r for r in known if r["name"] == "a")
    assert (a["addr"], a["auth_type"], a["public"]) == (f"https://{peers[0].address}", "tls", False)
    for name in ("client.key", "config.yml", "servercerts/a.crt"):
        assert stat.S_IMODE((client.conf / name).stat().st_mode) == 0o600, name
    # it serves once
    other = Client(peers[0].daemon, client.conf.parent / "other")
    done = other("remote", "add", "a", token)
    assert done.code == 1 and "a token serves once" in done.err, done
    assert "servercerts/a.crt" not in other.files() and "config.yml" not in other.files()


def test_token_of_another_server(peers, client):
    """A token whose server is somebody else now is shown to nobody."""
    said = json.loads(base64.b64decode(peers[0].token("thief")))
    said["addresses"] = [peers[1].address]
    done = client("remote", "add", "a", base64.b64encode(json.dumps(said).encode()).decode())
    assert done.code == 1 and "not the server of the token" in done.err, done
    assert peers[1].fingerprint in done.err and peers[0].fingerprint in done.err
    assert not [f for f in client.files() if f.startswith("servercerts")]


def test_token_addresses_in_turn(peers, client):
    said = json.loads(base64.b64decode(peers[0].token("roamer")))
    said["addresses"] = [f"127.0.0.1:{free_port()}", peers[1].address, peers[0].address]
    done = client("remote", "add", "a", base64.b64encode(json.dumps(said).encode()).decode())
    assert done.code == 0, done
    assert peers[0].address in client("remote", "list", "-f", "csv", check=True).out


@pytest.mark.parametrize("answer,ok", [("y", True), ("n", False), ("", False), ("FINGERPRINT", True), ("0" * 64, False)])
def test_address(peers, client, answer, ok):
    answer = peers[1].fingerprint if answer == "FINGERPRINT" else answer
    done = client("remote", "add", "b", peers[1].address, "--password", peers[1].token("asked"), stdin=f"{answer}\n")
    assert (done.code == 0) == ok, done
    assert peers[1].fingerprint in done.out
    assert ("servercerts/b.crt" in client.files()) == ok
    assert (client("list", "b:").code == 0) == ok


def test_unknown_client(peers, client):
    done = client("remote", "add", "b", peers[1].address, "--accept-certificate", stdin="")
    assert done.code == 1 and "config trust add" in done.err, done
    done = client("remote", "add", "b", peers[1].address, "--accept-certificate", "--token", "nonsense", stdin="")
    assert done.code == 1, done
    client("remote", "add", "p", peers[1].address, "--accept-certificate", "--public", check=True)
    done = client("list", "p:")
    assert done.code == 1 and "does not trust this client" in done.err and "'p'" in done.err, done
    assert json.loads(client("image", "list", "p:", "-f", "json", check=True).out) == []


def test_changed_certificate(peers, client):
    client("remote", "add", "a", peers[0].token("pinned"), check=True)
    (client.conf / "servercerts/a.crt").write_text(peers[1].pem)
    done = client("list", "a:")
    assert done.code == 1, done
    for part in ("'a'", peers[0].fingerprint, peers[1].fingerprint, "remote remove a"):
        assert part in done.err, done


def test_dead_server(client):
    client("remote", "add", "images2", "https://127.0.0.1:1", "--protocol=simplestreams", check=True)
    done = client("remote", "add", "x", "127.0.0.1:1")
    assert done.code == 1 and "refused" in done.err and "'x'" not in client("remote", "list").out, done
    done = client("image", "list", "images2:")
    assert done.code == 1 and "images2" in done.err, done


@pytest.mark.parametrize("argv", [["../x", "127.0.0.1"], ["a:b", "127.0.0.1"], ["", "127.0.0.1"], ["x", "http://127.0.0.1"],
                                  ["x", "ftp://h"], ["x", ""], ["local", "127.0.0.1:1"], ["x", "127.0.0.1:99999999"]])
def test_bad_remote(client, argv):
    done = client("remote", "add", *argv)
    assert done.code in (1, 2) and done.err.startswith("Error: "), done
    assert "config.yml" not in client.files()


def test_managing_remotes(peers, client):
    client("remote", "add", "a", peers[0].token("manager"), check=True)
    client("remote", "rename", "a", "first", check=True)
    assert "servercerts/first.crt" in client.files() and "servercerts/a.crt" not in client.files()
    client("remote", "switch", "first:", check=True)
    assert client("remote", "get-default", check=True).out == "first\n"
    assert client("list", "-f", "json", check=True).out.strip() == "[]"
    done = client("remote", "remove", "first")
    assert done.code == 1 and "default" in done.err, done
    client("remote", "set-url", "first", f"https://localhost:{peers[0].address.split(':')[1]}", check=True)
    assert client("list", check=True).code == 0
    client("remote", "switch", "local", check=True)
    client("remote", "remove", "first", check=True)
    assert "first" not in client("remote", "list").out and "servercerts/first.crt" not in client.files()
    done = client("remote", "remove", "local")
    assert done.code == 1 and "built in" in done.err, done
    done = client("list", "first:")
    assert done.code == 1 and "not known" in done.err, done
    assert client("remote", "get-client-certificate", check=True).out == (client.conf / "client.crt").read_text()
    assert client("remote", "generate-certificate").code == 1


def test_configuration_of_lxc(peers, client):
    """The real lxc works with the configuration that lxmc wrote, and the other way round."""
    client("remote", "add", "a", peers[0].token("both"), check=True)
    done = peers[0].daemon.lxc("list", "a:", "-f", "json", LXD_CONF=str(client.conf))
    assert done.code == 0 and json.loads(done.out) == [], done
    token = peers[1].token("lxc")
    done = peers[1].daemon.lxc("remote", "add", "b", token, LXD_CONF=str(client.conf))
    assert done.code == 0, done
    assert client("list", "b:", "-f", "json", check=True).out.strip() == "[]"


# ---- who is trusted
def test_trust(peers, client):
    client("remote", "add", "a", peers[0].token("doomed"), check=True)
    listed = json.loads(client("config", "trust", "list", "a:", "-f", "json", check=True).out)
    mine = next(c for c in listed if c["name"] == "doomed")
    assert mine["certificate"] == (client.conf / "client.crt").read_text()
    shown = client("config", "trust", "show", f"a:{mine['fingerprint'][:12]}", check=True).out
    assert "name: doomed" in shown
    client("config", "trust", "edit", f"a:{mine['fingerprint']}", stdin=shown.replace("doomed", "renamed"), check=True)
    assert "renamed" in client("config", "trust", "list", "a:", check=True).out
    client("config", "trust", "remove", f"a:{mine['fingerprint']}", check=True)
    done = client("list", "a:")
    assert done.code == 1 and "does not trust this client" in done.err, done


def test_trust_by_file(peers, client):
    pem = client("remote", "get-client-certificate", check=True).out
    path = client.conf / "mine.crt"
    path.write_text(pem)
    peers[0].daemon.lxmc("config", "trust", "add", path, "--name", "by-file", check=True)
    done = client("remote", "add", "a", peers[0].address, "--accept-certificate")
    assert done.code == 0, done
    done = peers[0].daemon.lxmc("config", "trust", "add", path)
    assert done.code == 1 and "already" in done.err, done


def test_tokens_listed_and_revoked(peers, client):
    daemon = peers[0].daemon
    token = peers[0].token("later")
    listed = json.loads(daemon.lxmc("config", "trust", "list-tokens", "-f", "json", check=True).out)
    assert [t["token"] for t in listed if t["name"] == "later"] == [token]
    daemon.lxmc("config", "trust", "revoke-token", "later", check=True)
    assert "later" not in daemon.lxmc("config", "trust", "list-tokens", check=True).out
    assert client("remote", "add", "a", token).code == 1
    assert daemon.lxmc("config", "trust", "revoke-token", "later").code == 1


def test_restricted(peers, client):
    """A client of one project lands in it by itself."""
    daemon = peers[0].daemon
    daemon.lxmc("project", "create", "tenant", check=True)
    try:
        client("remote", "add", "a", peers[0].token("tenant", "--restricted", "--projects", "tenant"), check=True)
        assert client("list", "a:", "-f", "json", check=True).out.strip() == "[]"
        assert "tenant" in client("remote", "list", "-f", "csv", check=True).out
        assert client("list", "a:", "--project", "default").code == 1
    finally:
        daemon.lxmc("project", "delete", "tenant", check=True)


# ---- everything else over TLS
@pytest.fixture
def c1(joined):
    name = f"c{time.monotonic_ns() % 10 ** 9}"
    joined("launch", "a:bb", f"a:{name}", check=True)
    yield f"a:{name}"
    joined("delete", "-f", f"a:{name}", check=True)


def test_exec(joined, c1):
    done = joined("exec", c1, "--", "sh", "-c", "cat; echo err >&2; exit 7", stdin="through\n")
    assert (done.code, done.out, done.err) == (7, "through\n", "err\n")
    big = "0123456789abcdef" * 65536
    assert joined("exec", c1, "--", "cat", stdin=big, check=True).out == big


def test_exec_on_a_terminal(joined, c1):
    master, slave = pty.openpty()
    env = joined.daemon.env(LXMC_CONF=str(joined.conf))
    with subprocess.Popen([Daemon.bin("lxmc"), "exec", c1, "-t", "--", "sh"], stdin=slave, stdout=slave, stderr=slave,
                          env=env, start_new_session=True) as proc:
        os.close(slave)
        os.write(master, b"echo $((6*7))answer; exit 3\n")
        seen = b""
        end = time.monotonic() + 20 * SLOW
        while b"42answer" not in seen and time.monotonic() < end:
            seen += os.read(master, 4096)
        assert proc.wait(20 * SLOW) == 3, seen
    os.close(master)


def test_files(joined, c1, tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / "up").write_bytes(data)
    joined("file", "push", tmp_path / "up", f"{c1}/root/", check=True)
    joined("file", "pull", f"{c1}/root/up", tmp_path / "down", check=True)
    assert (tmp_path / "down").read_bytes() == data


def test_events(joined, c1):
    env = joined.daemon.env(LXMC_CONF=str(joined.conf))
    with subprocess.Popen([Daemon.bin("lxmc"), "monitor", "a:", "--type=lifecycle", "-f", "json"], stdout=subprocess.PIPE,
                          text=True, env=env) as proc:
        line, end = "", time.monotonic() + 20 * SLOW
        # whether it listens already shows only by an event
        nudge = threading.Thread(target=lambda: [(joined("config", "set", c1, "user.x=1"), time.sleep(0.1)) for _ in range(9)])
        nudge.start()
        while "instance-updated" not in line and time.monotonic() < end:
            line = proc.stdout.readline()
        proc.terminate()
        nudge.join()
    assert "instance-updated" in line


def test_query_and_projects(joined):
    assert json.loads(joined("query", "a:/1.0", check=True).out)["auth"] == "trusted"
    joined("project", "create", "b:p1", check=True)
    try:
        assert "p1" in joined("project", "list", "b:", "-f", "csv", check=True).out
        joined("project", "switch", "b:p1", check=True)
        assert "p1" in joined("remote", "list", "-f", "csv", check=True).out
    finally:
        joined("project", "switch", "b:default", check=True)
        joined("project", "delete", "b:p1", check=True)


def test_configuration_of_a_server_far_away(joined):
    """`REMOTE:` alone is the server, as an instance's name would be the instance."""
    joined("config", "set", "b:", "user.here", "1", check=True)
    try:
        assert joined("config", "get", "b:", "user.here", check=True).out == "1\n"
        assert "user.here" in joined("config", "show", "b:", check=True).out
        assert "user.here" not in joined("config", "show", "a:", check=True).out
    finally:
        joined("config", "unset", "b:", "user.here", check=True)
    assert joined("config", "get", "b:", "user.here", check=True).out == "\n"


def test_image_import_and_export(joined, tmp_path):
    joined("image", "export", "a:bb", tmp_path / "bb", check=True)
    joined("image", "import", next(tmp_path.iterdir()), "b:", "--alias", "again", check=True)
    joined("image", "delete", "b:again", check=True)


# ---- between servers
@pytest.mark.parametrize("mode", ["pull", "push", "relay"])
def test_image_copy(joined, mode):
    done = joined("image", "copy", "a:bb", "b:", "--alias", "copied", "--copy-aliases", "--mode", mode)
    assert done.code == 0, done
    try:
        ours = json.loads(joined("image", "list", "a:", "-f", "json", check=True).out)[0]
        theirs = json.loads(joined("image", "list", "b:", "-f", "json", check=True).out)[0]
        assert theirs["fingerprint"] == ours["fingerprint"]
        assert {a["name"] for a in theirs["aliases"]} == {"bb", "copied"}
    finally:
        joined("image", "delete", "b:copied", check=True)


def test_launch_from_a_remote(joined):
    done = joined("launch", "a:bb", "b:fetched")
    assert done.code == 0, done
    assert joined("exec", "b:fetched", "--", "echo", "up", check=True).out == "up\n"
    joined("delete", "-f", "b:fetched", check=True)


@pytest.fixture
def source(joined):
    """A stopped instance a:src with a file, a snapshot and a key of its own."""
    joined("init", "a:bb", "a:src", "-c", "user.mark=yes", check=True)
    joined("file", "push", "-", "a:src/root/one", stdin="first", check=True)
    joined("snapshot", "a:src", "s1", check=True)
    joined("file", "push", "-", "a:src/root/two", stdin="second", check=True)
    yield "a:src"
    for server in "ab":
        for inst in json.loads(joined("list", f"{server}:", "-f", "json", check=True).out):
            joined("delete", "-f", f"{server}:{inst['name']}", check=True)


def names(joined, server):
    return sorted(i["name"] for i in json.loads(joined("list", f"{server}:", "-f", "json", check=True).out))


@pytest.mark.parametrize("mode", ["pull", "push", "relay"])
def test_copy(joined, source, mode):
    done = joined("copy", source, "b:dst", "--mode", mode, "-c", "user.more=too")
    assert done.code == 0, done
    assert joined("file", "pull", "b:dst/root/two", "-", check=True).out == "second"
    assert joined("config", "get", "b:dst", "user.mark", check=True).out == "yes\n"
    assert joined("config", "get", "b:dst", "user.more", check=True).out == "too\n"
    snapshots = json.loads(joined("query", "b:/1.0/instances/dst/snapshots", check=True).out)
    assert [s.rsplit("/", 1)[1] for s in snapshots] == ["s1"]
    joined("restore", "b:dst", "s1", check=True)
    assert joined("file", "pull", "b:dst/root/two", "-").code == 1
    joined("start", "b:dst", check=True)
    assert joined("exec", "b:dst", "--", "cat", "/root/one", check=True).out == "first"
    assert names(joined, "a") == ["src"]
    # there is one of that name: the answer says so, and both stay what they are
    done = joined("copy", source, "b:dst", "--mode", mode)
    assert done.code == 1 and "dst" in done.err, done
    assert names(joined, "b") == ["dst"] and joined("exec", "b:dst", "--", "true").code == 0


def test_copy_without_snapshots_and_of_a_snapshot(joined, source):
    joined("copy", source, "b:", "--instance-only", check=True)
    assert json.loads(joined("query", "b:/1.0/instances/src/snapshots", check=True).out) == []
    joined("copy", f"{source}/s1", "b:old", check=True)
    assert joined("file", "pull", "b:old/root/one", "-", check=True).out == "first"
    assert joined("file", "pull", "b:old/root/two", "-").code == 1


def test_refresh(joined, source):
    joined("copy", source, "b:dst", check=True)
    joined("file", "push", "-", f"{source}/root/three", stdin="third", check=True)
    joined("config", "set", source, "user.mark=later", check=True)
    joined("copy", source, "b:dst", "--refresh", check=True)
    assert joined("file", "pull", "b:dst/root/three", "-", check=True).out == "third"
    assert joined("config", "get", "b:dst", "user.mark", check=True).out == "later\n"


def test_move(joined, source):
    joined("start", source, check=True)
    done = joined("move", source, "b:moved")
    assert done.code == 1 and "stop it" in done.err, done
    joined("stop", "-f", source, check=True)
    mac = joined("config", "get", source, "volatile.eth0.hwaddr", check=True).out
    joined("move", source, "b:moved", check=True)
    assert names(joined, "a") == [] and names(joined, "b") == ["moved"]
    assert joined("config", "get", "b:moved", "volatile.eth0.hwaddr", check=True).out == mac


def test_one_server_by_two_names(joined, peers, source):
    """Then it is a copy like any other, and no transfer."""
    joined("remote", "add", "again", peers[0].token("again"), check=True)
    try:
        joined("copy", source, "again:twin", check=True)
        joined("move", source, "again:renamed", check=True)
        assert names(joined, "a") == ["renamed", "twin"]
    finally:
        joined("remote", "remove", "again", check=True)


def test_copy_that_cannot_be(joined, source):
    for argv in (["a:nothing", "b:x"], [source, "nowhere:x"], [source, "b:x", "--mode=beam"], [source, "b:x", "-s", "nopool"],
                 [source, "b:bad name"]):
        done = joined("copy", *argv)
        assert done.code in (1, 2) and "Error: " in done.err, (argv, done)
    assert names(joined, "b") == [] and names(joined, "a") == ["src"]


# ---- image servers
class Streams(BaseHTTPRequestHandler):
    files = {}

    def do_GET(self):
        body = self.files.get(self.path)
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def streams(client, tmp_path):
    """A simplestreams server with a certificate of a CA that the client knows."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=streams", "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "s.key", "-out",
                    tmp_path / "s.crt"], check=True, capture_output=True)
    client.conf.mkdir(parents=True, exist_ok=True)
    (client.conf / "client.ca").write_bytes((tmp_path / "s.crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "s.crt", tmp_path / "s.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Streams)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}/base"
    server.shutdown()
    server.server_close()


def product(alias, arch, fingerprint):
    item = {"ftype": "lxd.tar.xz", "path": "x/lxd.tar.xz", "size": 1000, "sha256": "1" * 64,
            "combined_squashfs_sha256": fingerprint}
    root = {"ftype": "squashfs", "path": "x/root.squashfs", "size": 2000000, "sha256": "2" * 64}
    return {"aliases": alias, "arch": arch, "os": "Test", "release": "one", "release_title": "One",
            "versions": {"20260102_07:42": {"items": {"lxd.tar.xz": item, "root.squashfs": root}}}}


def test_image_server(client, streams):
    Streams.files = {
        "/base/streams/v1/index.json": json.dumps({"index": {"images": {
            "datatype": "image-downloads", "path": "streams/v1/images.json"}}}).encode(),
        "/base/streams/v1/images.json": json.dumps({"products": {
            "t:1:amd64": product("test/1,test", "amd64", "a" * 64), "t:1:arm64": product("test/1,test", "arm64", "b" * 64),
            "broken": {"arch": "amd64", "versions": 7}}}).encode(),
    }
    client("remote", "add", "st", streams, "--protocol=simplestreams", check=True)
    listed = json.loads(client("image", "list", "st:", "-f", "json", check=True).out)
    assert sorted(i["fingerprint"] for i in listed) == ["a" * 64, "b" * 64]
    one = next(i for i in listed if i["fingerprint"] == "a" * 64)
    assert one["architecture"] == "x86_64" and one["size"] == 2001000
    assert [a["name"] for a in one["aliases"]] == ["test/1", "test"]
    table = client("image", "list", "st:test", "architecture=arm64", "-f", "csv", check=True).out
    assert table.count("\n") == 1 and "bbbbbbbbbbbb" in table and "Jan 2, 2026" in table
    assert "Fingerprint: " in client("image", "info", "st:test/1", check=True).out
    done = client("image", "info", "st:other")
    assert done.code == 1 and "'other'" in done.err and "'st'" in done.err, done
    done = client("list", "st:")
    assert done.code == 1 and "image server" in done.err, done


@pytest.mark.parametrize("index,lists", [(b"", b""), (b"{", b""), (b'{"index": []}', b""), (None, b""),
                                         (b'{"index": {"i": {"datatype": "image-downloads", "path": "l"}}}', b'{"products": 1}'),
                                         (b'{"index": {"i": {"datatype": "image-downloads", "path": "l"}}}', None)])
def test_broken_image_server(client, streams, index, lists):
    Streams.files = {k: v for k, v in (("/base/streams/v1/index.json", index), ("/base/l", lists)) if v is not None}
    client("remote", "add", "st", streams, "--protocol=simplestreams", check=True)
    done = client("image", "list", "st:")
    assert done.code == 1 and "'st'" in done.err, done


def test_unknown_ca(client, streams):
    (client.conf / "client.ca").unlink()
    client("remote", "add", "st", streams, "--protocol=simplestreams", check=True)
    done = client("image", "list", "st:")
    assert done.code == 1 and re.search("not trusted|self.signed", done.err), done
