"""Copies between two lxmd in all three modes, and looking at what arrived."""
import hashlib
import os
import socket
import stat
from pathlib import Path

from .relay import Relay


def serve_tls(daemon):
    """Has the daemon listen on a free port of the loopback; returns its URL."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    daemon.rest.change("PATCH", "/1.0", json={"config": {"core.https_address": address}})
    return f"https://{address}"


def peer(daemon, url, op):
    """What one server must be told about an operation of the other."""
    return {"operation": f"{url}/1.0/operations/{op['id']}", "secrets": {k: op["metadata"][k] for k in ("control", "fs")},
            "certificate": daemon.rest.read("/1.0")["environment"]["certificate"]}


class Transfer:
    """One copy under way; wait() for both ends. `url` maps daemons to their addresses (not needed for relay)."""

    def __init__(self, a, b, source, name, mode="relay", url=None, body=None, query=None, relay=None, sink=None, **keys):
        path = "instances/" + source.replace("/", "/snapshots/")
        self.a, self.b, self.mode, self.relay = a, b, mode, None
        want = {"migration": True, **{k: keys[k] for k in ("instance_only", "allow_inconsistent", "live") if k in keys}}
        new = {"name": name, "source": {"type": "migration", "mode": "pull" if mode == "pull" else "push", **keys, **(sink or {})}, **(body or {})}
        if mode != "push":
            self.source = a.rest.start_op("POST", path, json=want, query=query)
        if mode == "pull":
            new["source"].update(peer(a, url[a], self.source))
        self.sink = b.rest.start_op("POST", "instances", json=new)
        if mode == "push":
            self.source = a.rest.start_op("POST", path, json={**want, "target": peer(b, url[b], self.sink)}, query=query)
        if mode == "relay":
            self.relay = Relay(a.rest, b.rest, self.source, self.sink, **(relay or {}))

    def wait(self, timeout=60):
        done = self.a.rest.wait(self.source, timeout), self.b.rest.wait(self.sink, timeout)
        if self.relay:
            self.relay.join()
        return done

    def errors(self, timeout=60):
        """Both ends failed: what they say."""
        ends = [d.rest.read(f"operations/{op['id']}/wait", query={"timeout": timeout}) for d, op in ((self.a, self.source), (self.b, self.sink))]
        assert [e["status"] for e in ends] == ["Failure", "Failure"], ends
        if self.relay:
            self.relay.join()
        return [e["err"] for e in ends]


def picture(top):
    """Everything that must arrive with a tree: path -> what it is, its attributes, its contents, its other names."""
    seen, names = {}, {}
    for path in [Path(top), *sorted(Path(top).rglob("*"))]:
        rel = str(path.relative_to(top))
        st = path.lstat()
        kind = stat.S_IFMT(st.st_mode)
        what = [oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns]
        if stat.S_ISSOCK(kind):
            continue
        if stat.S_ISREG(kind):
            what += [st.st_size, hashlib.sha256(path.read_bytes()).hexdigest(), st.st_blocks * 512 < st.st_size]
        if stat.S_ISLNK(kind):
            what.append(os.readlink(path))
        if stat.S_ISBLK(kind) or stat.S_ISCHR(kind):
            what.append(st.st_rdev)
        if not stat.S_ISDIR(kind) and st.st_nlink > 1:
            names.setdefault(st.st_ino, []).append(rel)  # an overlay's whiteouts are one inode for many volumes
        keep = ("user.", "security.capability", "system.posix_acl", "trusted.overlay.opaque", "trusted.overlay.redirect")
        what.append(sorted((k, os.getxattr(path, k, follow_symlinks=False)) for k in os.listxattr(path, follow_symlinks=False) if k.startswith(keep)))
        seen[rel] = what
    for same in names.values():
        for rel in same:
            seen[rel] += [same] if len(same) > 1 else []
    return seen


def volume(daemon, name, pool="default", project="default"):
    """The directory of an instance's (or, as c1/s1, a snapshot's) volume."""
    where = "snapshots" if "/" in name else "instances"
    return daemon.dir / "pools" / pool / where / (name if project == "default" else f"{project}_{name}")


def clean(daemon):
    """Nothing lies in the places where nothing may lie when no work is under way."""
    return [str(p.relative_to(daemon.dir)) for pool in (daemon.dir / "pools").iterdir()
            for where in ("tmp", "staged", "lost") for p in (pool / where).iterdir()]
