"""The SFTP endpoint: every packet type, what clients rely on, bounds, and sessions that outlive what they stand in."""
import os
import stat
import struct
import sys
import threading
import time

import pytest

from harness import sftp as s
from harness.daemon import SLOW
from harness.sftp import Sftp, SftpError, attrs, string


@pytest.fixture(scope="module", params=["running", "stopped"])
def state(request):
    return request.param


def empty(client, where):
    for name, (_, st) in client.list(where).items():
        path = where + b"/" + name
        if stat.S_ISDIR(st.mode):
            empty(client, path)
        client.ask(s.REMOVE, string(path))


@pytest.fixture
def inst(daemon, kept, state):
    """One for all of them, with nothing in /tmp and /root."""
    inst = kept(state == "running")
    with Sftp(daemon, inst.name) as c:
        empty(c, b"/tmp")
        empty(c, b"/root")
    return inst


@pytest.fixture
def client(inst, daemon):
    with Sftp(daemon, inst.name) as c:
        yield c


def code_of(fn, *args, **kw):
    with pytest.raises(SftpError) as e:
        fn(*args, **kw)
    return e.value.code


@pytest.mark.host_only("bytes of the protocol")
def test_version_and_extensions(client):
    assert client.version == 3
    assert client.extensions["posix-rename@openssh.com"] == "1"
    assert client.extensions["statvfs@openssh.com"] == "2"
    assert client.extensions["hardlink@openssh.com"] == "1"


def test_put_get_stat(client):
    body = os.urandom(300_001)
    client.put("/tmp/a", body, attrs(mode=0o640))
    assert client.get("tmp/a") == body, "relative paths start at /"
    st = client.stat("/tmp/a")
    assert (st.flags, st.size, st.uid, st.gid, st.mode) == (15, len(body), 0, 0, 0o100640)
    client.ask(s.SETSTAT, string("/tmp/a"), attrs(ids=(1000, 1001)))
    client.ask(s.SETSTAT, string("/tmp/a"), attrs(mode=0o4755))
    client.ask(s.SETSTAT, string("/tmp/a"), attrs(times=(1000000, 2000000)))
    st = client.stat("/tmp/a")
    assert (st.uid, st.gid, st.mode, st.atime, st.mtime) == (1000, 1001, 0o104755, 1000000, 2000000)
    client.ask(s.SETSTAT, string("/tmp/a"), attrs(size=5))
    assert client.get("/tmp/a") == body[:5]
    handle = client.open("/tmp/a", s.F_READ | s.F_WRITE)
    client.ask(s.FSETSTAT, string(handle), attrs(size=3, mode=0o600, ids=(1, 2)))
    st = s.Attrs(client.ask(s.FSTAT, string(handle), want=s.ATTRS))
    assert (st.size, st.mode, st.uid, st.gid) == (3, 0o100600, 1, 2)
    client.close_handle(handle)


def test_ids_that_the_instance_does_not_have(client):
    client.put("/tmp/a", b"body")
    handle = client.open("/tmp/a", s.F_READ | s.F_WRITE)
    foreign = attrs(ids=(70000, 0))
    for kind, *parts in ((s.SETSTAT, string("/tmp/a"), attrs(size=1, ids=(0, 70000))), (s.FSETSTAT, string(handle), foreign),
                         (s.MKDIR, string("/tmp/d"), foreign),
                         (s.OPEN, string("/tmp/new"), struct.pack(">I", s.F_WRITE | s.F_CREAT), foreign)):
        with pytest.raises(SftpError, match="70000 is not among the ids of the instance") as e:
            client.ask(kind, *parts)
        assert e.value.code == 4
    client.close_handle(handle)
    assert client.get("/tmp/a") == b"body"
    for path in ("/tmp/d", "/tmp/new"):
        assert code_of(client.stat, path) == 2
    client.ask(s.SETSTAT, string("/tmp/a"), attrs(ids=(65535, 65535)))


def test_open_flags(client):
    client.put("/tmp/a", b"12345")
    assert code_of(client.open, "/tmp/a", s.F_WRITE | s.F_CREAT | s.F_EXCL) == 4
    assert code_of(client.open, "/tmp/none", s.F_WRITE) == 2
    handle = client.open("/tmp/a", s.F_WRITE | s.F_APPEND)
    client.write(handle, 0, b"67")
    client.close_handle(handle)
    assert client.get("/tmp/a") == b"1234567"
    handle = client.open("/tmp/a", s.F_READ)
    assert code_of(client.write, handle, 0, b"x") == 4
    assert client.read(handle, 2, 3) == b"345"
    assert code_of(client.read, handle, 7, 10) == 1
    client.close_handle(handle)


def test_handles(client):
    handle = client.open("/etc/inittab")
    client.close_handle(handle)
    for name in (handle, b"", b"12345678", b"x" * 100):
        assert code_of(client.close_handle, name) == 4
        assert code_of(client.read, name, 0, 10) == 4
    handles = [client.open("/etc/inittab") for _ in range(1024)]
    assert code_of(client.open, "/etc/inittab") == 4
    client.close_handle(handles[7])
    client.open("/etc/inittab")


def test_directories(client):
    client.ask(s.MKDIR, string("/tmp/d"), attrs(mode=0o700))
    assert client.stat("/tmp/d").mode == 0o40700
    client.ask(s.MKDIR, string("/tmp/shared"), attrs(mode=0o3775, ids=(5, 6)))
    assert (client.stat("/tmp/shared").mode, client.stat("/tmp/shared").gid) == (0o43775, 6)
    assert code_of(client.ask, s.MKDIR, string("/tmp/d"), s.NO_ATTRS) == 4
    client.put("/tmp/d/b", b"bee")
    names = client.list("/tmp/d")
    assert list(names) == [b"b"]
    longname, st = names[b"b"]
    assert longname.startswith(b"-rw-r--r--") and longname.endswith(b" b") and st.size == 3
    handle = client.open("/tmp/d")
    st = s.Attrs(client.ask(s.FSTAT, string(handle), want=s.ATTRS))
    assert st.mode & 0o170000 == 0o040000, "a directory can be opened for reading"
    assert code_of(client.read, handle, 0, 10) == 4
    client.close_handle(handle)
    assert code_of(client.ask, s.RMDIR, string("/tmp/d")) == 4
    client.ask(s.REMOVE, string("/tmp/d/b"))
    client.ask(s.REMOVE, string("/tmp/d"))
    assert code_of(client.stat, "/tmp/d") == 2
    assert code_of(client.ask, s.RMDIR, string("/etc/inittab")) == 2


def test_many_entries(client):
    client.ask(s.MKDIR, string("/tmp/many"), s.NO_ATTRS)
    count = 3000
    serials = [client.send(s.OPEN, string(f"/tmp/many/file-{i:05}"), struct.pack(">I", 0x1a), s.NO_ATTRS) for i in range(count // 10)]
    for serial in serials:
        client.close_handle(client.result(serial, s.HANDLE).string())
    assert len(client.list("/tmp/many")) == count // 10


def test_links(client):
    # not in /tmp: there the kernel may follow links of the own user only (fs.protected_symlinks)
    client.put("/root/a", b"aaa")
    client.ask(s.SYMLINK, string("a"), string("/root/l"))
    assert client.name(s.READLINK, "/root/l") == b"a"
    assert client.lstat("/root/l").mode & 0o170000 == 0o120000
    assert client.stat("/root/l").mode & 0o170000 == 0o100000
    assert client.get("/root/l") == b"aaa"
    assert code_of(client.name, s.READLINK, "/root/a") == 4
    client.ask(s.EXTENDED, string("hardlink@openssh.com"), string("/root/a"), string("/root/h"))
    assert client.get("/root/h") == b"aaa"
    client.ask(s.EXTENDED, string("lsetstat@openssh.com"), string("/root/l"), attrs(ids=(7, 8)))
    assert client.lstat("/root/l").uid == 7 and client.stat("/root/l").uid == 0


def test_rename(client):
    client.put("/tmp/a", b"a")
    client.put("/tmp/b", b"b")
    assert code_of(client.ask, s.RENAME, string("/tmp/a"), string("/tmp/b")) == 4
    client.ask(s.RENAME, string("/tmp/a"), string("/tmp/c"))
    client.ask(s.EXTENDED, string("posix-rename@openssh.com"), string("/tmp/c"), string("/tmp/b"))
    assert client.get("/tmp/b") == b"a"


@pytest.mark.host_only("bytes of the protocol")
@pytest.mark.parametrize("path,real", [(".", "/"), ("", "/"), ("/", "/"), ("a/b", "/a/b"), ("/a/../..//b/.", "/b"), ("/x/./y/", "/x/y")])
def test_realpath(client, path, real):
    assert client.name(s.REALPATH, path) == real.encode()


def test_statvfs(client):
    reader = client.ask(s.EXTENDED, string("statvfs@openssh.com"), string("/"), want=s.EXTENDED_REPLY)
    values = [reader.u64() for _ in range(11)]
    assert values[0] > 0 and values[2] >= values[3]


def test_errors_name_the_path(client):
    with pytest.raises(SftpError) as e:
        client.stat("/no/such/thing")
    assert e.value.code == 2 and "/no/such/thing" in e.value.text and "No such file" in e.value.text
    assert code_of(client.stat, b"/tmp/\0x") == 4
    assert code_of(client.stat, "/" + "x" * 5000) == 4
    assert code_of(client.stat, "/" + "x" * 300) == 4
    assert code_of(client.ask, s.EXTENDED, string("what@ever")) == 8
    assert code_of(client.ask, 99) == 8
    assert code_of(client.ask, s.OPEN, b"\0\0") == 5
    assert client.get("/etc/inittab"), "the session goes on"


@pytest.mark.parametrize("name", [b"new\nline", "grün".encode(), b"\xff\xfe\x01", b"-rf", b"*", b" ", b"..."])
def test_names(client, name):
    client.put(b"/tmp/" + name, name)
    assert client.get(b"/tmp/" + name) == name
    assert name in client.list("/tmp")
    client.ask(s.REMOVE, string(b"/tmp/" + name))


def test_pipelined(client):
    """64 requests in flight, answers told apart by id."""
    body = os.urandom(32768 * 64)
    handle = client.open("/tmp/big", 0x1a)
    serials = [client.send(s.WRITE, string(handle), struct.pack(">Q", at), string(body[at:at + 32768])) for at in range(0, len(body), 32768)]
    for serial in serials:
        client.result(serial)
    client.close_handle(handle)
    handle = client.open("/tmp/big")
    serials = [client.send(s.READ, string(handle), struct.pack(">QI", at, 32768)) for at in range(0, len(body), 32768)]
    assert b"".join(client.result(n, s.DATA).string() for n in reversed(serials[::-1])) == body


def test_client_that_does_not_read(inst, daemon):
    """A client that asks for gigabytes and reads nothing makes the server wait, not grow."""
    with Sftp(daemon, inst.name) as c:
        c.put("/tmp/a", b"x" * 262144)
        handle = c.open("/tmp/a")
        ask = struct.pack(">I", 29) + struct.pack(">BI", s.READ, 5) + string(handle) + struct.pack(">QI", 0, 262144)
        c.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(2000):
                c.sock.sendall(ask * 100)
        with Sftp(daemon, inst.name) as other:
            assert other.stat("/tmp/a").size == 262144


@pytest.mark.host_only("bytes of the protocol")
@pytest.mark.parametrize("junk", [b"\xff" * 64, b"\0\0\0\0", struct.pack(">I", 1 << 20) + b"x", b"GET / HTTP/1.1\r\n\r\n"])
def test_junk_ends_the_session(inst, daemon, junk):
    c = Sftp(daemon, inst.name, init=False)
    c.sock.sendall(junk)
    assert c.sock.recv(100) == b""
    c.close()


@pytest.mark.host_only("bytes of the protocol")
def test_bytes_behind_the_request(inst, daemon):
    """A client that does not wait for the 101 is understood too."""
    from harness.rest import unix_connect
    sock = unix_connect(daemon.socket)
    init = struct.pack(">IBI", 5, s.INIT, 3)
    sock.sendall(f"GET /1.0/instances/{inst.name}/sftp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: sftp\r\n\r\n".encode() + init)
    got = b""
    while b"statvfs@openssh.com" not in got:
        more = sock.recv(4096)
        assert more, got
        got += more
    sock.close()


@pytest.mark.host_only("bytes of the protocol")
def test_refused(daemon, rest, inst):
    assert rest.get("/1.0/instances/nobody/sftp").status == 404
    assert rest.get(f"{inst.path}/sftp").status == 400
    with pytest.raises(RuntimeError, match="404"):
        s.upgrade(daemon, "nobody")


def helpers():
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                if f.read().strip() == "lxm-helper":
                    out.append(pid)
        except OSError:
            pass
    return out


def test_session_ends_with_the_client(inst, daemon):
    before = set(helpers())
    with Sftp(daemon, inst.name) as c:
        c.stat("/")
        mine = set(helpers()) - before
        assert mine
    end = time.monotonic() + 5
    while mine & set(helpers()):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_session_ends_with_the_instance(instance, daemon):
    inst = instance()
    with Sftp(daemon, inst.name) as c:
        c.put("/root/a", b"kept")
        inst.stop()
        with pytest.raises((EOFError, OSError)):
            c.stat("/")
    with Sftp(daemon, inst.name) as c:
        assert c.get("/root/a") == b"kept"
        with Sftp(daemon, inst.name) as second:
            second.put("/root/b", b"both see it")
            assert c.get("/root/b") == b"both see it"
        inst.start()
        with pytest.raises((EOFError, OSError)):
            c.stat("/")
    assert inst.sh("cat /root/b") == "both see it"


def test_start_among_file_verbs(instance, daemon):
    """Files of an instance are written while it starts and stops: no verb fails but with a word about that."""
    inst = instance(start=False)
    stop, bad, done = threading.Event(), [], [0]

    def work():
        while not stop.is_set():
            reply = daemon.rest.request("POST", f"{inst.path}/files?path=/root/x", data=b"x" * 1000)
            done[0] += 1
            if reply.status != 200 and "meanwhile" not in reply.error and "running" not in reply.error:
                bad.append(reply.body)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(20 if SLOW < 10 else 4):
        inst.start()
        inst.stop()
    stop.set()
    thread.join()
    assert not bad and done[0] > 1


def test_deleted_under_a_session(instance, daemon, rest):
    inst = instance(start=False)
    with Sftp(daemon, inst.name) as c:
        c.stat("/")
        inst.delete()
        with pytest.raises((EOFError, OSError)):
            c.stat("/")
            c.stat("/")


BRIDGE = """\
#!{python}
import os, sys, threading
sys.path.insert(0, {tests!r})
from harness.rest import Rest
from harness.sftp import upgrade
class Daemon: rest = Rest({socket!r})
sock = upgrade(Daemon, {name!r}, None)
def up():
    while data := os.read(0, 65536):
        sock.sendall(data)
    sock.shutdown(1)
threading.Thread(target=up, daemon=True).start()
while data := sock.recv(65536):
    while data:
        data = data[os.write(1, data):]
"""


def test_openssh(inst, daemon, tmp_path):
    """OpenSSH's sftp as the client: put, get, ls, rename, rm, df."""
    bridge = tmp_path / "bridge"
    bridge.write_text(BRIDGE.format(python=sys.executable, tests=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                    socket=str(daemon.socket), name=inst.name))
    bridge.chmod(0o755)
    body = os.urandom(3_000_000)
    (tmp_path / "body").write_bytes(body)
    script = f"""
put {tmp_path}/body /root/body
mkdir /root/dir
rename /root/body /root/dir/body
get /root/dir/body {tmp_path}/back
ls -l /root/dir
chmod 600 /root/dir/body
ln -s body /root/dir/link
df /root
rm /root/dir/link
"""
    done = daemon.run(["sftp", "-b", "-", "-D", bridge, "x"], stdin=script)
    assert done.code == 0, done
    assert (tmp_path / "back").read_bytes() == body
    with Sftp(daemon, inst.name) as c:
        assert list(c.list("/root/dir")) == [b"body"] and c.stat("/root/dir/body").mode == 0o100600


def test_lxmc_trees(inst, daemon, lxmc, tmp_path):
    """A tree with everything in it there and back: many files, empty ones, links, odd names, modes, owners."""
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    for i in range(700):
        (tree / "deep" / f"file {i}").write_bytes(os.urandom(i * 7))
    (tree / "deep" / "er" / "big").write_bytes(os.urandom(5_000_001))
    os.mkdir(os.fsencode(tree) + b"/\xff\n")
    (tree / "link").symlink_to("/etc/passwd")
    os.chmod(tree / "deep" / "file 5", 0o4711)
    os.mkfifo(tree / "pipe")
    lxmc("file", "push", "-rq", "--uid", "1000", "--gid", "1001", tree, f"{inst.name}/root/", check=True)
    with Sftp(daemon, inst.name) as c:
        st = c.stat("/root/tree/deep/file 5")
        assert (st.uid, st.gid, st.mode) == (1000, 1001, 0o104711)
        assert c.name(s.READLINK, "/root/tree/link") == b"/etc/passwd"
    again = lxmc("file", "push", "-rq", tree, f"{inst.name}/root/")
    assert again.code == 0 and "pipe" in again.err
    (tree / "pipe").unlink()
    lxmc("file", "pull", "-rq", f"{inst.name}/root/tree", tmp_path / "back", check=True)
    daemon.run(["diff", "-r", "--no-dereference", tree, tmp_path / "back"], check=True)
    assert stat.S_IMODE(os.stat(tmp_path / "back" / "deep" / "file 5").st_mode) & 0o777 == 0o711
    assert lxmc("file", "delete", f"{inst.name}/root/tree").code == 1
    lxmc("file", "delete", "-r", f"{inst.name}/root/tree", check=True)
    with Sftp(daemon, inst.name) as c:
        assert code_of(c.stat, "/root/tree") == 2


@pytest.mark.host_only("bytes of the protocol")
def test_lxmc_mkdir_stdin_and_errors(inst, lxmc):
    assert lxmc("file", "mkdir", f"{inst.name}/root/a/b").code == 1
    lxmc("file", "mkdir", "-p", "--mode", "0700", "--uid", "5", f"{inst.name}/root/a/b", check=True)
    lxmc("file", "mkdir", "-p", f"{inst.name}/root/a/b", check=True)
    assert lxmc("file", "mkdir", f"{inst.name}/root/a/b").code == 1
    lxmc("file", "push", "-", f"{inst.name}/root/a/b/c", stdin="from stdin", check=True)
    assert lxmc("file", "pull", f"{inst.name}/root/a/b/c", "-").out == "from stdin"
    lost = lxmc("file", "push", "-", f"{inst.name}/root/none/c", stdin="x")
    assert lost.code == 1 and "/root/none/c" in lost.err and "No such file" in lost.err
    assert lxmc("file", "pull", f"{inst.name}/root/a", "-").code == 1
    assert "nobody" in lxmc("file", "pull", "nobody/etc/passwd", "-").err


def test_lxmc_sparse(inst, lxmc, tmp_path):
    """Holes stay holes in both directions, beyond 4 GiB too."""
    with open(tmp_path / "holes", "wb") as f:
        f.write(b"head")
        f.seek((4 << 30) + 77)
        f.write(b"middle")
        f.truncate(5 << 30)
    lxmc("file", "push", tmp_path / "holes", f"{inst.name}/root/holes", check=True)
    reply = inst.rest.request("HEAD", f"{inst.path}/files?path=/root/holes")
    assert reply.headers["Content-Length"] == str(5 << 30)
    if inst.status == "Running":
        assert int(inst.sh("stat -c %b /root/holes")) < 4096
