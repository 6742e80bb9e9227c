"""lxc image and lxc publish."""
import hashlib
import io
import json
import tarfile

import pytest
import yaml

from harness import images


@pytest.fixture
def tarball(tmp_path):
    """File of a unified image that is unlike every other one."""
    path = tmp_path / "image.tar"
    path.write_bytes(images.busybox_tar(extra=lambda tar: tar.add("rootfs/etc/mark", str(tmp_path))))
    return path


@pytest.fixture
def split(tmp_path):
    """(metadata tarball, rootfs tarball) of a split image."""
    meta, root = io.BytesIO(), io.BytesIO()
    whole = tarfile.open(fileobj=io.BytesIO(images.busybox_tar(extra=lambda t: t.add("rootfs/etc/mark", str(tmp_path)))))
    with tarfile.open(fileobj=meta, mode="w") as m, tarfile.open(fileobj=root, mode="w") as r:
        for info in whole:
            data = whole.extractfile(info) if info.isreg() else None
            if info.name == "rootfs" or info.name.startswith("rootfs/"):
                info.name = "." + info.name[len("rootfs"):]
                r.addfile(info, data)
            else:
                m.addfile(info, data)
    (tmp_path / "meta.tar").write_bytes(meta.getvalue())
    (tmp_path / "root.tar").write_bytes(root.getvalue())
    return tmp_path / "meta.tar", tmp_path / "root.tar"


@pytest.fixture
def imported(ok, tarball, thing):
    """Alias of an image of its own."""
    alias = thing("image")
    ok("image", "import", tarball, "--alias", alias)
    return alias


def fingerprint(ok, alias):
    return json.loads(ok("query", f"/1.0/images/aliases/{alias}"))["target"]


# ---- import
def test_import_unified(ok, tarball, thing):
    alias = thing("image")
    out = ok("image", "import", tarball, "--alias", alias)
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    assert f"Image imported with fingerprint: {digest}" in out and fingerprint(ok, alias) == digest


def test_import_split(ok, split, thing, fresh):
    alias = thing("image")
    ok("image", "import", *split, "--alias", alias)
    digest = hashlib.sha256(split[0].read_bytes() + split[1].read_bytes()).hexdigest()
    assert fingerprint(ok, alias) == digest


def test_import_split_starts(ok, split, thing):
    alias, name = thing("image"), thing("instance")
    ok("image", "import", *split, "--alias", alias)
    ok("launch", alias, name)
    assert ok("exec", name, "--", "hostname").strip() == name


@pytest.mark.parametrize("program", ["gzip", "xz", "bzip2", "zstd"])
def test_import_compressed(ok, tarball, thing, program):
    alias = thing("image")
    packed = tarball.with_suffix(".tar." + program)
    packed.write_bytes(images.compress(tarball.read_bytes(), program))
    ok("image", "import", packed, "--alias", alias)
    assert len(fingerprint(ok, alias)) == 64


def test_import_with_properties(ok, tarball, thing):
    alias = thing("image")
    ok("image", "import", tarball, "--alias", alias, "description=a test", "colour=red")
    shown = yaml.safe_load(ok("image", "show", alias))["properties"]
    assert shown["description"] == "a test" and shown["colour"] == "red"


def test_import_public(ok, tarball, thing):
    alias = thing("image")
    ok("image", "import", tarball, "--alias", alias, "--public")
    assert yaml.safe_load(ok("image", "show", alias))["public"] is True


def test_import_twice_fails(ok, fails, imported, tarball):
    assert "same fingerprint already exists" in fails("image", "import", tarball)


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\x1f\x8b\x08 broken"])
def test_import_garbage(fails, tmp_path, content):
    (tmp_path / "bad.tar").write_bytes(content)
    fails("image", "import", tmp_path / "bad.tar")


def test_import_without_metadata(fails, tmp_path):
    tar = images.Tar().dir("rootfs")
    (tmp_path / "bad.tar").write_bytes(tar.bytes())
    fails("image", "import", tmp_path / "bad.tar")


# ---- list, info, show, edit
@pytest.mark.parametrize("form", ["csv", "json", "yaml", "table", "compact"])
def test_image_list(ok, image, form):
    assert image in ok("image", "list", "-f", form)


@pytest.mark.parametrize("column, expect", [("l", "bb"), ("p", "no"), ("a", "x86_64"), ("t", "CONTAINER"),
                                            ("d", "busybox of the system tests")])
def test_image_list_column(ok, image, column, expect):
    assert ok("image", "list", image, "-c", column, "-f", "csv").strip() == expect


@pytest.mark.parametrize("filters", [("os=busybox",), ("bb",), ("type=container",), ("architecture=x86_64", "release=test")])
def test_image_list_filter(ok, image, filters):
    assert "bb" in ok("image", "list", *filters, "-f", "csv")


def test_image_list_filter_none(ok, image):
    assert ok("image", "list", "os=nonsense", "-f", "csv").strip() == ""


def test_image_info(ok, image):
    out = ok("image", "info", image)
    assert "Fingerprint:" in out and "Architecture: x86_64" in out and "Type: container" in out and "os: busybox" in out
    assert "Auto update: disabled" in out and "- bb" in out and "Cached: no" in out


def test_image_info_by_short_fingerprint(ok, image):
    full = fingerprint(ok, image)
    assert full in ok("image", "info", full[:10])


def test_image_info_unknown(fails):
    assert "not found" in fails("image", "info", "no-such-image").lower()


def test_image_show_keys(ok, image):
    assert set(yaml.safe_load(ok("image", "show", image))) == {"auto_update", "properties", "public", "expires_at", "profiles"}


def test_image_edit(ok, imported):
    shown = ok("image", "show", imported)
    ok("image", "edit", imported, stdin=shown.replace("public: false", "public: true").replace("os: busybox", "os: edited"))
    after = yaml.safe_load(ok("image", "show", imported))
    assert after["properties"]["os"] == "edited" and after["public"] is True


def test_image_property(ok, imported):
    ok("image", "set-property", imported, "colour", "green")
    assert ok("image", "get-property", imported, "colour") == "green\n"
    ok("image", "unset-property", imported, "colour")


def test_image_delete(ok, fails, imported):
    ok("image", "delete", imported)
    fails("image", "info", imported)


def test_image_delete_keeps_instances(ok, imported, thing):
    name = thing("instance")
    ok("init", imported, name)
    ok("image", "delete", imported)
    ok("start", name)


# ---- aliases
def test_alias_life(ok, image, thing):
    alias = thing("alias")
    ok("image", "alias", "create", alias, fingerprint(ok, image))
    assert alias in ok("image", "alias", "list", "-f", "csv")
    ok("image", "alias", "rename", alias, alias + "-new")
    names = [a["name"] for a in json.loads(ok("image", "alias", "list", "-f", "json"))]
    assert alias + "-new" in names and alias not in names
    ok("image", "alias", "delete", alias + "-new")


def test_alias_with_slash(ok, image, thing):
    alias = thing("alias")
    ok("image", "alias", "create", alias + "/1/amd64", fingerprint(ok, image))
    assert ok("image", "info", alias + "/1/amd64")
    ok("image", "alias", "delete", alias + "/1/amd64")


def test_alias_twice_fails(ok, fails, image):
    fails("image", "alias", "create", image, fingerprint(ok, image))


def test_alias_of_nothing_fails(fails):
    fails("image", "alias", "create", "nothing", "0" * 64)


# ---- export
def test_export_unified(ok, imported, tarball, tmp_path):
    ok("image", "export", imported, tmp_path / "out")
    found = list(tmp_path.glob("out*"))
    assert len(found) == 1 and found[0].read_bytes() == tarball.read_bytes()


def test_export_split(ok, split, thing, tmp_path):
    alias = thing("image")
    ok("image", "import", *split, "--alias", alias)
    (tmp_path / "out").mkdir()
    ok("image", "export", alias, tmp_path / "out")
    got = sorted(p.read_bytes() for p in (tmp_path / "out").iterdir())
    assert got == sorted(p.read_bytes() for p in split)


def test_export_import_again(ok, imported, thing, tmp_path):
    before = fingerprint(ok, imported)
    ok("image", "export", imported, tmp_path / "out")
    ok("image", "delete", imported)
    ok("image", "import", next(tmp_path.glob("out*")), "--alias", imported)
    assert fingerprint(ok, imported) == before


# ---- publish
def test_publish(ok, fresh, thing):
    alias, name = thing("image"), fresh()
    ok("file", "push", "-", f"{name}/root/mark", stdin="published")
    assert "fingerprint" in ok("publish", name, "--alias", alias, "description=made here")
    assert yaml.safe_load(ok("image", "show", alias))["properties"]["description"] == "made here"
    second = thing("instance")
    ok("launch", alias, second)
    assert ok("exec", second, "--", "cat", "/root/mark") == "published"


def test_publish_running_fails(fails, box):
    assert "running" in fails("publish", box)


def test_publish_running_by_force(ok, fresh, thing):
    alias, name = thing("image"), fresh(verb="launch")
    ok("publish", "--force", name, "--alias", alias)
    assert ok("list", name, "-c", "s", "-f", "csv").strip() == "RUNNING"


@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zstd"])
def test_publish_compression(ok, fresh, thing, compression):
    alias = thing("image")
    ok("publish", fresh(), "--alias", alias, "--compression", compression)
    assert fingerprint(ok, alias)
