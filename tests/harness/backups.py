"""Backups of instances: made over the API, and tarballs put together by hand for imports."""
import json

from .images import Tar


def make(inst, name="", **body):
    """Makes a backup; returns its name as clients find it."""
    op = inst.rest.change("POST", f"{inst.path}/backups", {"name": name, **body})
    (url,) = op["resources"]["backups"]
    assert url.startswith("/1.0/backups/"), url
    return url[len("/1.0/backups/"):]


def fetch(inst, name):
    reply = inst.rest.get(f"{inst.path}/backups/{name}/export")
    assert reply.status == 200, reply
    assert int(reply.headers["Content-Length"]) == len(reply.body) and reply.headers["Content-Type"] == "application/octet-stream"
    return reply.body


def export(inst, **body):
    """The tarball of a backup that is gone from the server again."""
    name = make(inst, **body)
    data = fetch(inst, name)
    inst.rest.change("DELETE", f"{inst.path}/backups/{name}")
    return data


def headers(name=None, pool=None):
    found = {"Content-Type": "application/octet-stream"}
    if name:
        found["X-LXD-name"] = name
    if pool:
        found["X-LXD-pool"] = pool
    return found


def index(name, snapshots=(), config=None, devices=None, pool="default", **more):
    """An index.yaml; JSON is YAML."""
    common = {"architecture": "x86_64", "profiles": ["default"], "created_at": "2024-02-03T04:05:06Z", "ephemeral": False}
    tree = {"name": name, "backend": "dir", "pool": pool, "optimized": False, "type": "container", "snapshots": list(snapshots), "config": {
        "container": {**common, "name": name, "config": config or {}, "devices": devices or {}},
        "snapshots": [{**common, "name": s, "config": {}, "devices": {}} for s in snapshots]}}
    tree.update(more)
    return json.dumps(tree)


def volume(tar, prefix="backup/container", extra=None):
    tar.dir(prefix).dir(f"{prefix}/rootfs").dir(f"{prefix}/rootfs/etc").add(f"{prefix}/rootfs/etc/mark", prefix)
    if extra:
        extra(tar, f"{prefix}/rootfs")
    return tar


def tarball(text, prefixes=("backup/container",), extra=None):
    """A backup of the simplest kind; `extra(tar, root)` adds to the root of the first volume."""
    tar = Tar().add("backup/index.yaml", text)
    for k, prefix in enumerate(prefixes):
        volume(tar, prefix, extra if k == 0 else None)
    return tar.bytes()
