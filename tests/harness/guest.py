"""A client inside an instance on its /dev/lxd/sock: a Python of the host in the instance's pid and user namespaces."""
import json
import subprocess
import sys
from collections import namedtuple

Reply = namedtuple("Reply", "status headers text")

CLIENT = r'''
import socket, sys
path, data = sys.argv[1], sys.stdin.buffer.read()
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(path)
s.sendall(data)
while True:
    got = s.recv(65536)
    if not got:
        break
    sys.stdout.buffer.write(got)
    sys.stdout.buffer.flush()
'''


def command(inst, code, *args, flags=("-p", "-U"), socket_of=None):
    """argv of that Python code in namespaces of an instance (or of its init's pid); argv[1] is the path of its socket."""
    pid = inst if isinstance(inst, int) else inst.pid
    return ["nsenter", "-t", str(pid), *flags, sys.executable, "-I", "-c", code,
            f"/proc/{socket_of or pid}/root/dev/lxd/sock", *args]


def raw(inst, data, **kw):
    """Bytes out, bytes in, until the other side closes."""
    done = subprocess.run(command(inst, CLIENT, **kw), input=data, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def parse(data):
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return Reply(int(lines[0].split()[1]), headers, body.decode())


def request(inst, method, path, body="", headers=(), **kw):
    text = "".join(f"{line}\r\n" for line in [f"{method} {path} HTTP/1.1", "Host: lxd", f"Content-Length: {len(body)}",
                                             "Connection: close", *headers, ""])
    return parse(raw(inst, (text + body).encode(), **kw))


def get(inst, path, **kw):
    return request(inst, "GET", path, **kw)


def read(inst, path):
    """The JSON or the text of a GET that must succeed."""
    reply = get(inst, path)
    assert reply.status == 200, reply
    return json.loads(reply.text) if reply.headers["content-type"] == "application/json" else reply.text
