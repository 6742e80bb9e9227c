"""Images: every format in and out again, aliases, what PUT changes, publishing, deleting, and the real lxc doing the same."""
import hashlib
import json
import shutil
import subprocess
import tarfile
import time

import pytest

from harness import images
from harness.instance import fresh_name, wait_until

needs_squashfs = pytest.mark.skipif(not shutil.which("mksquashfs"), reason="squashfs-tools is not installed")
needs_lxc = pytest.mark.skipif(not shutil.which("lxc"), reason="the package lxd-client is not installed")


def tagged(text, **kw):
    """A busybox image unlike all others."""
    return images.busybox_tar(metadata=images.METADATA.replace("system tests", text), **kw)


@pytest.fixture
def imported(rest):
    """imported(data, **headers) uploads bytes and returns the finished operation; the image is gone after the test."""
    made = []

    def put(data, content_type="application/octet-stream", **headers):
        op = rest.start_op("POST", "images", data=data, headers={"Content-Type": content_type, **headers})
        done = rest.wait(op)
        made.append(done["metadata"]["fingerprint"])
        return done

    yield put
    for fp in made:
        rest.delete(f"images/{fp}")


def multipart(metadata, rootfs, name="rootfs"):
    mark = "xxBOUNDARYxx"
    parts = [("metadata", "meta.tar.xz", metadata), (name, "root.bin", rootfs)]
    body = b"".join(f'--{mark}\r\nContent-Disposition: form-data; name="{n}"; filename="{f}"\r\n\r\n'.encode() + d + b"\r\n"
                    for n, f, d in parts) + f"--{mark}--\r\n".encode()
    return body, f"multipart/form-data; boundary={mark}"


def split_of(data, tmp_path, squashfs):
    """(metadata tar, root file) of a unified tar."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "all.tar").write_bytes(data)
    with tarfile.open(tmp_path / "all.tar") as tar:
        tar.extractall(tmp_path / "tree")
    subprocess.run(["tar", "-C", tmp_path / "tree", "-cJf", tmp_path / "meta.tar.xz", "metadata.yaml", "templates"], check=True)
    if squashfs:
        subprocess.run(["mksquashfs", tmp_path / "tree/rootfs", tmp_path / "root", "-noappend", "-quiet", "-no-progress"],
                       check=True, stdout=subprocess.DEVNULL)
    else:
        subprocess.run(["tar", "-C", tmp_path / "tree/rootfs", "-czf", tmp_path / "root", "."], check=True)
    return (tmp_path / "meta.tar.xz").read_bytes(), (tmp_path / "root").read_bytes()


@pytest.mark.parametrize("program", [None, "gzip", "xz", "zstd", "bzip2"])
def test_unified_image_of_each_compression_runs_and_comes_out_again(rest, imported, instance, program):
    if program and not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    data = tagged(f"compressed by {program}")
    data = images.compress(data, program) if program else data
    done = imported(data)
    fp = done["metadata"]["fingerprint"]
    assert fp == hashlib.sha256(data).hexdigest()
    assert done["metadata"]["size"] == str(len(data))
    out = rest.get(f"images/{fp}/export")
    assert out.body == data
    suffix = {None: "tar", "gzip": "tar.gz", "xz": "tar.xz", "zstd": "tar.zst", "bzip2": "tar.bz2"}[program]
    assert out.headers["Content-Disposition"] == f"inline;filename={fp}.{suffix}"
    inst = instance(source={"type": "image", "fingerprint": fp[:12]})
    assert inst.sh("cat /etc/hostname").strip() == inst.name
    assert rest.read(f"instances/{inst.name}")["config"]["image.os"] == "busybox"


@pytest.mark.parametrize("squashfs", [pytest.param(True, marks=needs_squashfs), False], ids=["squashfs", "tar"])
def test_split_image_runs_and_comes_out_again(rest, imported, instance, tmp_path, squashfs):
    meta, root = split_of(tagged(f"split {squashfs}"), tmp_path / "t", squashfs)
    body, kind = multipart(meta, root)
    fp = imported(body, kind)["metadata"]["fingerprint"]
    assert fp == hashlib.sha256(meta + root).hexdigest()
    out = rest.get(f"images/{fp}/export")
    assert out.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert meta in out.body and root in out.body and f"meta-{fp}.tar.xz".encode() in out.body
    inst = instance(source={"type": "image", "fingerprint": fp})
    assert inst.sh("cat /etc/hostname").strip() == inst.name


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("names", [("metadata", "rootfs.img"), ("metadata", "other")])
def test_other_parts_are_refused(rest, names):
    body, kind = multipart(b"x", b"y", names[1])
    assert "rootfs" in rest.refused("POST", "images", data=body, headers={"Content-Type": kind})


@pytest.mark.host_only("rows of the database")
def test_headers_become_properties_aliases_and_more(rest, imported):
    alias = fresh_name("dir") + "/with slash"
    done = imported(tagged("headers"), **{
        "X-LXD-properties": "os=other&a+b=c%26d", "X-LXD-public": "1", "X-LXD-filename": "my image.tar",
        "X-Incus-aliases": "alias=" + alias.replace("/", "%2F").replace(" ", "+")})
    got = rest.read(f"images/{done['metadata']['fingerprint']}")
    assert got["properties"]["os"] == "other" and got["properties"]["a b"] == "c&d"
    assert got["properties"]["description"] == "busybox of the headers"
    assert got["public"] is True and got["filename"] == "my image.tar"
    assert [a["name"] for a in got["aliases"]] == [alias]
    assert got["architecture"] == "x86_64" and got["type"] == "container" and got["profiles"] == ["default"]
    assert got["created_at"].startswith("2023-11-14T") and got["expires_at"] == "1970-01-01T00:00:00Z"
    assert rest.read("images/aliases/" + alias.replace("/", "%2F").replace(" ", "%20"))["target"] == got["fingerprint"]


@pytest.mark.host_only("turned away before anything reaches the kernel")
def test_announced_fingerprint_is_checked(rest):
    for fp in ("0" * 64, "../../../../etc/passwd", "F" * 64):
        text = rest.refused("POST", "images", data=tagged("announced"),
                            headers={"Content-Type": "application/octet-stream", "X-LXD-fingerprint": fp})
        assert "fingerprint" in text


@pytest.mark.host_only("rows of the database")
def test_the_same_image_twice_fails(rest, imported):
    data = tagged("twice")
    imported(data)
    assert "already exists" in rest.refused("POST", "images", data=data, headers={"Content-Type": "application/octet-stream"})


@pytest.mark.host_only("rows of the database")
def test_prefixes_of_fingerprints(rest, imported):
    fp = imported(tagged("prefix"))["metadata"]["fingerprint"]
    assert rest.read(f"images/{fp[:12]}")["fingerprint"] == fp
    assert rest.get("images/xyz").status == 404
    assert rest.get("images/" + ("0" * 64)).status == 404
    alias = fresh_name("notfp")
    rest.change("POST", "images/aliases", {"name": alias, "target": fp[:20]})
    assert rest.get(f"images/{alias}").status == 404  # an alias is no fingerprint
    assert rest.read(f"images/aliases/{alias}")["target"] == fp


@pytest.mark.host_only("rows of the database")
def test_list_filter_and_recursion(rest, imported):
    fp = imported(tagged("listing"))["metadata"]["fingerprint"]
    assert f"/1.0/images/{fp}" in rest.read("images")
    assert [i["fingerprint"] for i in rest.read("images", query={"recursion": 1, "filter": f"fingerprint eq {fp}"})] == [fp]
    assert rest.read("images", query={"filter": "properties.os eq nothing"}) == []
    assert rest.get("images", query={"filter": "fingerprint eq"}).status == 400
    assert rest.get("images", query={"project": "nope"}).status == 404


@pytest.mark.host_only("rows of the database")
def test_put_patch_and_etag(rest, imported):
    fp = imported(tagged("changing"))["metadata"]["fingerprint"]
    tag = rest.get(f"images/{fp}").headers["ETag"]
    rest.change("PATCH", f"images/{fp}", {"properties": {"new": "1"}, "expires_at": "2040-01-01T00:00:00Z"})
    got = rest.read(f"images/{fp}")
    assert got["properties"]["new"] == "1" and got["properties"]["os"] == "busybox"
    assert got["expires_at"].startswith("2040-01-01T")
    assert rest.put(f"images/{fp}", {"properties": {}}, headers={"If-Match": tag}).status == 412
    tag = rest.get(f"images/{fp}").headers["ETag"]
    assert rest.put(f"images/{fp}", {"properties": {"x": "y"}, "public": True}, headers={"If-Match": tag}).status == 200
    got = rest.read(f"images/{fp}")
    assert got["properties"] == {"x": "y"} and got["public"] is True and got["expires_at"] == "1970-01-01T00:00:00Z"


@pytest.mark.host_only("rows of the database")
def test_life_of_an_alias(rest, imported):
    fp = imported(tagged("alias"))["metadata"]["fingerprint"]
    one, two = fresh_name("al"), fresh_name("al") + "%2Fx"
    reply = rest.post("images/aliases", {"name": one, "target": fp, "description": "d", "type": ""})
    assert reply.status == 201 and reply.headers["Location"] == f"/1.0/images/aliases/{one}"
    assert rest.post("images/aliases", {"name": one, "target": fp}).status == 409
    assert rest.post("images/aliases", {"name": fresh_name("al"), "target": "0" * 64}).status == 404
    assert rest.post("images/aliases", {"name": "bad\nname", "target": fp}).status == 400
    assert rest.read(f"images/aliases/{one}") == {"name": one, "description": "d", "target": fp, "type": "container"}
    rest.change("PATCH", f"images/aliases/{one}", {"description": "e"})
    assert rest.read(f"images/aliases/{one}")["description"] == "e"
    assert rest.post(f"images/aliases/{one}", {"name": two.replace("%2F", "/")}).status == 201
    assert rest.get(f"images/aliases/{one}").status == 404
    assert f"/1.0/images/aliases/{two}" in rest.read("images/aliases")
    rest.change("DELETE", f"images/aliases/{two}")
    assert rest.delete(f"images/aliases/{two}").status == 404


@pytest.mark.host_only("rows of the database")
def test_secret_opens_and_is_a_token(rest, imported):
    fp = imported(tagged("secret"))["metadata"]["fingerprint"]
    op = rest.start_op("POST", f"images/{fp}/secret")
    assert op["class"] == "token" and len(op["metadata"]["secret"]) == 64
    rest.change("DELETE", f"operations/{op['id']}")


@pytest.mark.host_only("rows of the database")
def test_refresh_of_an_image_without_a_source(rest, imported):
    fp = imported(tagged("refresh"))["metadata"]["fingerprint"]
    assert rest.change("POST", f"images/{fp}/refresh")["metadata"] == {"refreshed": False}


def test_deleted_image_stays_under_its_instances(daemon, rest, imported, instance):
    fp = imported(tagged("deleted"))["metadata"]["fingerprint"]
    inst = instance(source={"type": "image", "fingerprint": fp})
    rest.change("DELETE", f"images/{fp}")
    assert rest.get(f"images/{fp}").status == 404
    pool = daemon.dir / "pools/default/images"
    assert (pool / fp).exists() and not (daemon.dir / "images" / fp).exists()
    inst.stop(force=True)
    inst.start()
    assert inst.sh("cat /etc/hostname").strip() == inst.name
    inst.remove()
    wait_until(lambda: not (pool / fp).exists(), 10)


def test_publish_keeps_what_was_changed(rest, instance, image):
    inst = instance()
    inst.sh("echo mine > /root/file; ln /root/file /root/second; rm /etc/inittab.none 2>/dev/null; ln -s /nowhere /root/link; mkfifo /root/pipe")
    assert "running" in rest.refused("POST", "images", {"source": {"type": "instance", "name": inst.name}})
    inst.stop(force=True)
    alias = fresh_name("pub")
    done = rest.change("POST", "images", {"source": {"type": "container", "name": inst.name}, "properties": {"description": "p"},
                                          "compression_algorithm": "zstd", "aliases": [{"name": alias}], "public": True})
    fp = done["metadata"]["fingerprint"]
    try:
        got = rest.read(f"images/{fp}")
        assert got["properties"] == {"description": "p"} and got["aliases"][0]["name"] == alias and got["public"]
        child = instance(image=alias)
        assert child.sh("cat /root/second; stat -c %h /root/file; readlink /root/link; test -p /root/pipe && echo pipe").split() == \
            ["mine", "2", "/nowhere", "pipe"]
        assert child.sh("cat /etc/hostname").strip() == child.name  # its templates came along
        child.remove()
    finally:
        rest.change("DELETE", f"images/{fp}")


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("body", [
    {"source": {"type": "instance", "name": "no-such"}}, {"source": {"type": "instance"}}, {"source": {"type": "snapshot", "name": "x"}},
    {"source": {"type": "instance", "name": "../x"}}, {"source": {"type": "nonsense"}}, {"source": "x"}, {},
    {"source": {"type": "instance", "name": "c1"}, "compression_algorithm": "gzip -n; touch /tmp/lxm-was-here"},
])
def test_bad_sources_are_refused(rest, body):
    reply = rest.post("images", body)
    assert reply.status in (400, 404, 501), reply
    assert reply.error


def test_kill_during_import_and_unpack_leaves_nothing_half(own_daemon):
    """Whatever the moment, the next start has whole images only, and no leftovers in pool or store."""
    noise = hashlib.sha256(b"x").digest() * 32768
    data = images.compress(tagged("killed", extra=lambda t: [t.add(f"rootfs/f{i}", noise) for i in range(60)]), "gzip")
    rest = own_daemon.rest
    fp = images.import_image(rest, data, "big")
    for delay in (0.01, 0.05, 0.12, 0.25):
        rest.start_op("POST", "instances", {"name": "k1", "source": {"type": "image", "alias": "big"}})
        time.sleep(delay)
        own_daemon.kill()
        own_daemon.start()
        pool = own_daemon.dir / "pools/default"
        wait_until(lambda: not list((pool / "tmp").iterdir()) and not list((pool / "trash").iterdir()), 10)
        assert not list((pool / "lost").iterdir())
        for image_dir in (pool / "images").iterdir():
            assert sum(1 for _ in (image_dir / "rootfs").glob("f*")) == 60
        if rest.get("instances/k1").status == 200:
            rest.change("DELETE", "instances/k1")
    other = tagged("killed upload")
    rest.start_op("POST", "images", data=other, headers={"Content-Type": "application/octet-stream"})
    own_daemon.kill()
    own_daemon.start()
    files = {p.name for p in (own_daemon.dir / "images").iterdir()}
    assert files == {i["fingerprint"] for i in rest.read("images", query={"recursion": 1})} and fp in files


# ---- the real client
@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
@needs_lxc
def test_lxc_import_export_alias_delete(lxc, rest, tmp_path):
    (tmp_path / "one.tar.gz").write_bytes(images.compress(tagged("lxc"), "gzip"))
    alias = fresh_name("lxc")
    lxc("image", "import", str(tmp_path / "one.tar.gz"), "--alias", alias, "color=blue", check=True)
    fp = rest.read(f"images/aliases/{alias}")["target"]
    assert alias in lxc("image", "list", check=True).out
    info = lxc("image", "info", alias, check=True).out
    assert "color: blue" in info and fp in info
    lxc("image", "export", alias, str(tmp_path / "out"), check=True)
    assert (tmp_path / "out.tar.gz").read_bytes() == (tmp_path / "one.tar.gz").read_bytes()
    lxc("image", "alias", "rename", alias, alias + "/2", check=True)
    listed = json.loads(lxc("image", "alias", "list", alias, "-f", "json", check=True).out)
    assert alias + "/2" in [a["name"] for a in listed]
    lxc("image", "delete", alias + "/2", check=True)
    assert rest.get(f"images/{fp}").status == 404


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
@needs_lxc
@needs_squashfs
def test_lxc_split_import_and_publish(lxc, rest, instance, tmp_path):
    meta, root = split_of(tagged("lxc split"), tmp_path / "t", True)
    (tmp_path / "meta.tar.xz").write_bytes(meta)
    (tmp_path / "root.squashfs").write_bytes(root)
    one, two = fresh_name("lxc"), fresh_name("lxc")
    lxc("image", "import", str(tmp_path / "meta.tar.xz"), str(tmp_path / "root.squashfs"), "--alias", one, check=True)
    inst = instance(image=one)
    lxc("publish", inst.name, "--force", "--alias", two, "description=from lxc", check=True)
    assert inst.status == "Running"
    fps = [rest.read(f"images/aliases/{a}")["target"] for a in (one, two)]
    assert rest.read(f"images/{fps[1]}")["properties"]["description"] == "from lxc"
    inst.remove()
    lxc("image", "delete", one, two, check=True)


@pytest.mark.host_only("which word of the settings counts")
def test_publishing_compresses_as_the_server_is_set(rest, instance):
    """images.compression_algorithm counts where the request names none; it is one of the known words, never a command."""
    inst = instance(start=False)
    for bad in ("gzip -9", "sh -c id", "lzop"):
        assert rest.patch("/1.0", {"config": {"images.compression_algorithm": bad}}).status == 400
    rest.change("PATCH", "/1.0", {"config": {"images.compression_algorithm": "none"}})
    try:
        done = rest.change("POST", "images", {"source": {"type": "instance", "name": inst.name}})
    finally:
        rest.change("PATCH", "/1.0", {"config": {"images.compression_algorithm": ""}})
    fp = done["metadata"]["fingerprint"]
    try:
        out = rest.get(f"images/{fp}/export")
        assert out.headers["Content-Disposition"].endswith(f"{fp}.tar")
    finally:
        rest.change("DELETE", f"images/{fp}")
