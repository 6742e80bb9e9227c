"""Requests that are almost right: rows of the route table with names, queries, headers and bodies of which a part was spoiled."""
import json
import random

from . import routes

WORDS = ["blueinst", "redinst", "bluesnap", "blueprofile", "bluevolume", "bluealias", "default", "custom", "container", "image", "blue", "red",
         "x", "", "..", ".", "%", "a/b", "0", "-1", "x" * 300, "\u00e9", "\u202e", "lxc.log", "snap%d", "busybox", "none"]
VALUES = [None, True, False, 0, -1, 1 << 31, 1 << 63 - 1, 1e308, -0.5, "", "true", "0", "-1", "99999999999999999999", "x" * 5000, "\x01\x02\n", "{{ x }}",
          [], [[]], [None], ["x"] * 50, {}, {"": ""}, {"a": {"b": [None]}}, "1970-01-01T00:00:00Z", "9999-99-99T99:99:99Z", "/", "../../x", "%s%n"]
QUERIES = ["recursion", "project", "all-projects", "filter", "timeout", "secret", "type", "path", "target", "public", "instance-type", "stateful"]
FILTERS = ["name eq x", "not config.user.x eq (a|b)*c{2,900}", "a eq b and", "\" eq", "x ne ((((((((((a?){9}){9}){9}", "status eq \\", "name eq [z-a]", "eq"]
HEADERS = ["X-LXD-type", "X-LXD-mode", "X-LXD-uid", "X-LXD-write", "X-LXD-fingerprint", "X-LXD-properties", "X-LXD-aliases", "X-LXD-secret", "X-LXD-public",
           "If-Match", "Range", "Content-Type", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Content-Encoding", "Origin"]
HEADER_VALUES = ["", "x", "0", "-1", "directory", "symlink", "file", "append", "true", "a=b&c=%zz", "alias=a&alias=b", "0" * 64, "bytes=0-", "bytes=9-3",
                 "application/json", "application/octet-stream", "multipart/form-data; boundary=x", "websocket", "Upgrade", "dGhlIHNhbXBsZSBub25jZQ==", "13", "gzip"]
ROOT = {"root": {"type": "disk", "path": "/", "pool": "default"}}
BODIES = {
    "instances": [{"name": "mutant", "source": {"type": "none"}, "profiles": ["default"], "devices": ROOT, "config": {"user.a": "b"}},
                  {"name": "mutant", "source": {"type": "copy", "source": "blueinst/bluesnap", "project": "blue", "refresh": True}},
                  {"name": "mutant", "source": {"type": "image", "alias": "bluealias"}, "start": False, "ephemeral": True, "architecture": "x86_64"},
                  {"name": "mutant", "source": {"type": "migration", "mode": "push", "base-image": "0" * 64}, "devices": ROOT},
                  {"name": "mutant", "source": {"type": "migration", "mode": "pull", "certificate": "x", "secrets": {"control": "aa", "fs": "bb"},
                                                "operation": "https://127.0.0.1:1/1.0/operations/00000000-0000-4000-8000-000000000000"}},
                  {"state": {"action": "freeze", "timeout": 1, "force": True}}],
    "exec": [{"command": ["true"], "environment": {"A": "b"}, "user": 0, "group": 0, "cwd": "/", "width": 80, "height": 25, "interactive": False,
              "wait-for-websocket": True, "record-output": True}],
    "state": [{"action": "stop", "timeout": 1, "force": True, "stateful": False}], "console": [{"width": 80, "height": 25, "type": "console"}],
    "snapshots": [{"name": "mutant", "stateful": False, "expires_at": "2040-01-01T00:00:00Z"}],
    "images": [{"source": {"type": "instance", "name": "blueinst"}, "properties": {"a": "b"}, "public": False, "compression_algorithm": "none",
                "aliases": [{"name": "mutant"}]}, {"source": {"mode": "push", "fingerprint": "0" * 64}, "filename": "x", "profiles": ["default"]},
               {"source": {"type": "url", "url": "https://127.0.0.1:1/x"}}, {"source": {"type": "image", "server": "https://127.0.0.1:1", "protocol": "lxd", "alias": "x"}}],
    "aliases": [{"name": "mutant", "target": "0" * 64, "description": "x"}],
    "profiles": [{"name": "mutant", "config": {"limits.memory": "64MiB"}, "devices": ROOT, "description": "x"}],
    "rebuild": [{"source": {"type": "none"}}, {"source": {"type": "image", "alias": "bluealias"}}],
    "export": [{"target": "https://127.0.0.1:1", "secret": "x", "certificate": "y", "profiles": ["z"]}],
    "metadata": [{"architecture": "x86_64", "creation_date": 1, "expiry_date": 2, "properties": {"a": "b"}, "templates": {"/x": {"when": ["start"], "template": "x.tpl"}}}],
    "volumes": [{"name": "mutant", "type": "custom", "content_type": "filesystem", "config": {"size": "1MiB"}}],
    "custom": [{"name": "mutant", "config": {"size": "1MiB"}, "description": "x"}],
    "certificates": [{"type": "client", "certificate": "AAAA", "name": "x", "restricted": True, "projects": ["blue"], "password": "x", "trust_token": "e30="}],
}
ANY = [{"name": "mutant", "description": "x", "config": {"user.x": "y"}, "devices": ROOT, "profiles": ["default"], "migration": True, "project": "blue",
        "pool": "default", "restore": "bluesnap", "public": True, "expires_at": "2040-01-01T00:00:00Z", "certificate": "x"}]


class Mutator:
    """`request()` gives (method, path, headers, body); the same seed gives the same requests."""

    def __init__(self, rows, seed):
        self.rows, self.rnd = rows, random.Random(seed)

    def word(self, _prefix="", name=""):
        likely = {"pool": "default", "type": "custom", "volume": "bluevolume", "snapshot": "bluesnap", "file": "lxc.log", "name": "blueinst"}.get(name)
        return likely if likely and self.rnd.random() < 0.8 else self.rnd.choice(WORDS) or "x"

    def spoil(self, value, depth=0):
        """A copy with one thing in it wrong."""
        rnd = self.rnd
        if isinstance(value, dict) and value and rnd.random() < 0.85:
            out, key = dict(value), rnd.choice(list(value))
            how = rnd.random()
            if how < 0.1:
                del out[key]
            elif how < 0.2:
                out[rnd.choice([key.upper(), key + "x", "", "volatile.lxm.creating", "\u0130"])] = out.pop(key)
            else:
                out[key] = self.spoil(out[key], depth + 1)
            return out
        if isinstance(value, list) and value and rnd.random() < 0.6:
            return [self.spoil(v, depth + 1) for v in value] * rnd.choice([1, 1, 40])
        return rnd.choice([*VALUES, rnd.choice(WORDS)])

    def body(self, row):
        rnd, last = self.rnd, [w for w in row.pattern.split("/") if not w.startswith("{")][-1]
        value = rnd.choice(BODIES.get(last, ANY) if row.method == "POST" else ANY + BODIES.get(last, ANY))
        for _ in range(rnd.choice([0, 1, 1, 2, 3])):
            value = self.spoil(value)
        text = json.dumps(value).encode()
        how = rnd.random()
        if how < 0.1 and text:
            at = rnd.randrange(len(text))
            text = text[:at] + bytes([rnd.randrange(256)]) + text[at + rnd.randrange(3):]
        elif how < 0.13:
            text = b'{"name":' * rnd.choice([3, 2500]) + text
        elif how < 0.16:
            text = text[:-1] + b',"name":"a","NAME":"b","name":"c"}'
        return text

    def request(self):
        rnd = self.rnd
        row = rnd.choice(self.rows)
        path = routes.fill(row.pattern, self.word)
        query = [(rnd.choice(QUERIES), rnd.choice(WORDS + FILTERS)) for _ in range(rnd.choice([0, 0, 1, 2]))] + [("project", "blue")] * (rnd.random() < 0.7)
        if row.pattern.endswith(("/wait", "/websocket")):
            query.append(("timeout", "0"))
        headers = {rnd.choice(HEADERS): rnd.choice(HEADER_VALUES) for _ in range(rnd.choice([0, 0, 1, 3]))}
        return row.method, path, query, headers, self.body(row) if row.method not in ("GET", "DELETE") or rnd.random() < 0.1 else None
