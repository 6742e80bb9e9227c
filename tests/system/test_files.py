"""Files through the REST API, in running and stopped instances: verbs, headers, statuses, odd names, links."""
import os
import subprocess
from urllib.parse import quote

import pytest

HEADERS = ("type", "uid", "gid", "mode", "modified")


@pytest.fixture(scope="module", params=["running", "stopped"])
def state(request):
    return request.param


@pytest.fixture
def inst(instance, state):
    return instance(start=state == "running")


class Files:
    """The files verbs on one instance."""

    def __init__(self, inst):
        self.rest = inst.rest
        self.path = inst.path + "/files"

    def call(self, method, path, body=None, **headers):
        where = f"{self.path}?path={quote(path, safe='/')}"
        return self.rest.request(method, where, data=body, headers={f"X-LXD-{k}": str(v) for k, v in headers.items()})

    def get(self, path):
        return self.call("GET", path)

    def put(self, path, body=b"", **headers):
        return self.call("POST", path, body, **headers)

    def delete(self, path):
        return self.call("DELETE", path)

    def text(self, path):
        reply = self.get(path)
        assert reply.status == 200, reply.body
        return reply.body


@pytest.fixture
def files(inst):
    return Files(inst)


@pytest.fixture
def same_files(daemon, state, kept):
    """Of one instance for all tests that leave nothing behind."""
    return Files(kept(state == "running"))


def test_put_get_delete(files):
    body = os.urandom(100_000)
    assert files.put("/tmp/a", body, uid=1000, gid=1001, mode="0640").status == 200
    reply = files.get("tmp/a")
    head = {k: reply.headers[f"X-LXD-{k}"] for k in HEADERS}
    assert reply.status == 200 and reply.body == body
    assert (head["type"], head["uid"], head["gid"], head["mode"]) == ("file", "1000", "1001", "0640")
    assert head["modified"].endswith("+0000 UTC")
    assert head == {k: reply.headers[f"X-Incus-{k}"] for k in HEADERS}
    assert reply.headers["Content-Disposition"] == "inline;filename=a"
    assert files.delete("/tmp/a").status == 200
    assert files.get("/tmp/a").status == 404
    assert files.delete("/tmp/a").status == 404


def test_defaults_and_existing_keep_their_own(files):
    assert files.put("/tmp/a", b"one").status == 200
    assert files.put("/tmp/d", type="directory").status == 200
    for path, mode in (("/tmp/a", "0644"), ("/tmp/d", "0750")):
        head = files.get(path).headers
        assert (head["X-LXD-uid"], head["X-LXD-gid"], head["X-LXD-mode"]) == ("0", "0", mode)
    assert files.put("/tmp/a", b"2", uid=5, gid=5, mode="0600").status == 200
    reply = files.get("/tmp/a")
    assert (reply.body, reply.headers["X-LXD-uid"], reply.headers["X-LXD-mode"]) == (b"2", "0", "0644")
    assert files.put("/tmp/a", b"34", write="append").status == 200
    assert files.text("/tmp/a") == b"234"
    assert files.put("/tmp/new", b"x", write="append").status == 200


def test_directories(files):
    assert files.put("/tmp/d", type="directory", mode="0700", uid=7).status == 200
    assert files.put("/tmp/d", type="directory").status == 200, "a directory that is there is success"
    for name in ("zeta", "alpha"):
        files.put(f"/tmp/d/{name}", b"x")
    reply = files.get("/tmp/d")
    assert reply.metadata == ["alpha", "zeta"]
    assert (reply.headers["X-LXD-type"], reply.headers["X-LXD-mode"], reply.headers["X-LXD-uid"]) == ("directory", "0700", "7")
    assert files.delete("/tmp/d").status == 409
    files.delete("/tmp/d/zeta")
    files.delete("/tmp/d/alpha")
    assert files.delete("/tmp/d").status == 200
    assert "etc" in files.get("/").metadata
    assert files.put("/tmp/f", b"").status == 200
    assert files.put("/tmp/f", type="directory").status == 409


def test_links(files):
    assert files.put("/tmp/l", b"/etc/hostname", type="symlink").status == 200
    assert files.put("/tmp/l", b"/etc/hostname", type="symlink").status == 200, "the same link again is success"
    assert files.put("/tmp/l", b"/elsewhere", type="symlink").status == 409
    reply = files.get("/tmp/l")
    assert (reply.body, reply.headers["X-LXD-type"], reply.headers["X-LXD-mode"]) == (b"/etc/hostname", "symlink", "0777")
    assert files.put("/tmp/l", b"named").status == 200
    assert files.text("/etc/hostname") == b"named"
    assert files.delete("/tmp/l").status == 200
    assert files.text("/etc/hostname") == b"named"
    files.put("/tmp/dangling", b"sub/there", type="symlink")
    assert files.put("/tmp/dangling", b"x").status == 404, "where it points has no parent"
    files.put("/tmp/sub", type="directory")
    assert files.put("/tmp/dangling", b"x").status == 200
    assert files.text("/tmp/sub/there") == b"x"
    files.put("/tmp/loop", b"loop", type="symlink")
    assert files.put("/tmp/loop", b"x").status == 400


def test_head(files):
    files.put("/tmp/a", b"12345", mode="0604")
    reply = files.call("HEAD", "/tmp/a")
    assert (reply.status, reply.body, reply.headers["Content-Length"], reply.headers["X-LXD-mode"]) == (200, b"", "5", "0604")
    assert files.call("HEAD", "/tmp/none").status == 404


@pytest.mark.parametrize("method,path,headers,status", [
    ("POST", "/no/where/a", {}, 404), ("POST", "/no/where", {"type": "directory"}, 404), ("GET", "/no/where", {}, 404),
    ("GET", "/etc/hostname/x", {}, 404), ("POST", "/tmp/a", {"type": "fifo"}, 400), ("POST", "/tmp/a", {"mode": "9"}, 400),
    ("POST", "/tmp/a", {"uid": "-1"}, 400), ("POST", "/tmp/a", {"uid": "root"}, 400), ("POST", "/tmp/a", {"write": "now"}, 400),
    ("POST", "/tmp", {}, 400), ("POST", "/tmp/l", {"type": "symlink"}, 400), ("GET", "/" + "n" * 256, {}, 400),
    ("POST", "/tmp/new/", {}, 400), ("DELETE", "/", {}, None), ("GET", "", {}, 400), ("GET", "/" + "d/" * 3000, {}, 400),
])
def test_refused(same_files, method, path, headers, status):
    reply = same_files.call(method, path, b"", **headers)
    assert reply.status == status or (status is None and reply.status >= 400), reply.body
    assert reply.json["error"]


@pytest.mark.host_only("turned away before anything reaches the kernel")
def test_missing_path_and_instance(files, rest):
    assert rest.get(files.path).status == 400
    assert rest.get("/1.0/instances/nobody/files?path=/").status == 404


@pytest.mark.parametrize("name", ["new\nline", "grün", "tab\there", 'quo"te', "back\\slash", "-rf", "%41", "a b+c&d=e", "..."])
def test_names(same_files, name):
    assert same_files.put(f"/tmp/{name}", name.encode()).status == 200
    assert same_files.text(f"/tmp/{name}") == name.encode()
    assert name in same_files.get("/tmp").metadata
    assert same_files.delete(f"/tmp/{name}").status == 200


def test_name_that_is_no_utf8(files):
    url = f"{files.path}?path=/tmp/%ff%fe"
    assert files.rest.request("POST", url, data=b"raw").status == 200
    reply = files.rest.request("GET", url)
    assert reply.status == 200 and reply.body == b"raw"
    assert "\ufffd\ufffd" in files.get("/tmp").metadata
    assert files.rest.request("DELETE", url).status == 200
    gone = files.rest.request("GET", url)
    assert gone.status == 404 and "??" in gone.json["error"]


def test_special_files_are_not_opened(instance):
    inst = instance()
    files = Files(inst)
    inst.sh("mkfifo /tmp/pipe; ln -s pipe /tmp/link")
    for path in ("/tmp/pipe", "/dev/null", "/dev/console"):
        assert files.get(path).status == 400
        assert files.put(path, b"x").status == 400
    assert files.put("/tmp/link", b"x").status == 400
    assert files.delete("/tmp/pipe").status == 200


def test_ids_are_those_of_the_container(instance):
    inst = instance()
    files = Files(inst)
    files.put("/tmp/a", b"", uid=33, gid=44, mode="4755")
    assert inst.sh("stat -c '%u %g %a' /tmp/a") == "33 44 4755\n"
    assert files.put("/tmp/b", b"", uid=4_000_000_000).status == 400
    inst.sh("touch /tmp/c; chown 12:13 /tmp/c; chmod 2711 /tmp/c")
    head = files.get("/tmp/c").headers
    assert (head["X-LXD-uid"], head["X-LXD-gid"], head["X-LXD-mode"]) == ("12", "13", "2711")


def test_an_id_that_the_instance_does_not_have(files):
    """The same answer whether it runs or not, and nothing is made."""
    for kind in ("file", "directory", "symlink"):
        for who, header in (("user", "uid"), ("group", "gid")):
            reply = files.put("/tmp/foreign", b"target", type=kind, **{header: 70000})
            assert reply.status == 400 and f"{who} 70000 is not among the ids of the instance (0 to 65535)" in reply.error
            assert files.get("/tmp/foreign").status == 404
    assert files.put("/tmp/last", b"", uid=65535, gid=65535).status == 200


def test_ids_of_a_stopped_one_are_those_of_its_next_start(instance):
    inst = instance(start=False)
    files = Files(inst)
    inst.rest.change("PATCH", inst.path, {"config": {"security.idmap.size": "100000"}})
    assert files.put("/tmp/stopped", b"", uid=70000).status == 200
    assert files.put("/tmp/never", b"", uid=100000).status == 400
    inst.start()
    assert files.put("/tmp/running", b"", uid=70000).status == 200
    assert files.put("/tmp/never", b"", uid=100000).status == 400
    assert inst.sh("stat -c %u /tmp/stopped /tmp/running") == "70000\n70000\n"


def test_proc_and_tmpfs(instance):
    inst = instance()
    files = Files(inst)
    inst.sh("mkdir -p /mem; mount -t tmpfs none /mem; echo hello > /mem/a")
    assert files.text("/mem/a") == b"hello\n"
    assert b"btime" in files.text("/proc/stat")
    assert files.text("/proc/sys/kernel/ostype") == b"Linux\n"


def test_what_was_written_stays(instance):
    inst = instance(start=False)
    files = Files(inst)
    files.put("/root/before", b"1", uid=3)
    inst.start()
    assert inst.sh("cat /root/before; stat -c %u /root/before") == "13\n"
    files.put("/root/during", b"2")
    inst.stop()
    assert files.text("/root/during") == b"2"


@pytest.mark.host_only("listeners on a socket")
def test_events(files, rest):
    with rest.events("lifecycle") as events:
        files.put("/tmp/a", b"")
        files.get("/tmp/a")
        files.delete("/tmp/a")
        for action in ("pushed", "retrieved", "deleted"):
            event = events.wait_for(lambda e, a=action: e["metadata"]["action"] == f"instance-file-{a}", 10)
            assert event["metadata"]["context"]["path"] == "/tmp/a"


def test_stopped_privileged(instance):
    inst = instance(start=False, config={"security.privileged": "true"})
    files = Files(inst)
    assert files.put("/tmp/a", b"x", uid=1000).status == 200
    assert files.get("/tmp/a").headers["X-LXD-uid"] == "1000"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_big_and_sparse(instance, daemon, tmp_path):
    """Over 4 GiB, mostly hole: sent by curl, so that nothing of it is in memory here."""
    files = Files(instance())
    if os.statvfs("/tmp").f_bavail * os.statvfs("/tmp").f_frsize < 20 << 30:
        pytest.skip("not enough space")
    size = (4 << 30) + 12345
    big = tmp_path / "big"
    with open(big, "wb") as f:
        f.truncate(size)
        f.seek(size - 5)
        f.write(b"tail!")
    url = f"http://lxd{files.path}?path=/root/big"
    curl = ["curl", "-sf", "--unix-socket", str(daemon.socket)]
    subprocess.run([*curl, "-X", "POST", "-T", str(big), url], check=True)
    assert files.call("HEAD", "/root/big").headers["Content-Length"] == str(size)
    back = subprocess.Popen([*curl, url], stdout=subprocess.PIPE)
    subprocess.run(["cmp", "-", str(big)], stdin=back.stdout, check=True)
    assert back.wait() == 0
    big.unlink()


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
@pytest.mark.parametrize("verb", ["lxc", "lxmc"])
def test_clients(daemon, inst, verb, tmp_path):
    run = getattr(daemon, verb)
    tree = tmp_path / "tree"
    (tree / "sub dir" / "deep").mkdir(parents=True)
    (tree / "a").write_bytes(os.urandom(70_000))
    (tree / "sub dir" / "b").write_text("bee")
    (tree / "sub dir" / "link").symlink_to("../a")
    os.chmod(tree / "a", 0o750)
    run("file", "push", "-r", "-p", tree, f"{inst.name}/root/x/y/", check=True)
    run("file", "pull", "-r", f"{inst.name}/root/x/y/tree", tmp_path / "back", check=True)
    back = tmp_path / "back" if (tmp_path / "back" / "a").exists() else tmp_path / "back" / "tree"
    assert (back / "a").read_bytes() == (tree / "a").read_bytes()
    assert os.stat(back / "a").st_mode & 0o777 == 0o750
    assert (back / "sub dir" / "b").read_text() == "bee"
    assert os.readlink(back / "sub dir" / "link") == "../a"
    assert run("file", "pull", f"{inst.name}/root/x/y/tree/sub dir/b", "-").out == "bee"
    run("file", "delete", f"{inst.name}/root/x/y/tree/a", check=True)
    assert run("file", "pull", f"{inst.name}/root/x/y/tree/a", "-").code == 1
