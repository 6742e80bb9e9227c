"""What lxc asks the server itself: trust and tokens, settings, metrics, warnings, and copies inside it from project to project."""
import json
import re

import pytest
import yaml
from clients import Client, token

from harness import images
from harness.instance import fresh_name
from harness.tls import Certificate


@pytest.fixture
def certificate(tmp_path, server):
    made = Certificate(tmp_path, fresh_name("crt"))
    yield made
    server.lxc("config", "trust", "remove", made.fingerprint)


@pytest.fixture
def project(server, ok, thing):
    name = thing("project")
    ok("project", "create", name, "-c", "features.images=false", "-c", "features.profiles=false")
    yield name
    for i in json.loads(server.lxc("list", "--project", name, "-f", "json").out or "[]"):
        server.lxc("delete", "-f", i["name"], "--project", name)


# ---- trust
def test_trust_add_show_remove(ok, certificate):
    ok("config", "trust", "add", certificate.crt, "--name", "by-file")
    row = next(c for c in json.loads(ok("config", "trust", "list", "-f", "json")) if c["fingerprint"] == certificate.fingerprint)
    assert (row["name"], row["type"], row["restricted"], row["projects"]) == ("by-file", "client", False, [])
    shown = yaml.safe_load(ok("config", "trust", "show", certificate.fingerprint[:12]))
    assert shown["fingerprint"] == certificate.fingerprint and "BEGIN CERTIFICATE" in shown["certificate"]
    ok("config", "trust", "remove", certificate.fingerprint[:12])
    assert certificate.fingerprint[:12] not in ok("config", "trust", "list", "-f", "csv")


def test_trust_add_twice(ok, fails, certificate):
    ok("config", "trust", "add", certificate.crt)
    assert "already in trust store" in fails("config", "trust", "add", certificate.crt)


def test_trust_add_restricted(ok, certificate, project):
    ok("config", "trust", "add", certificate.crt, "--restricted", "--projects", project)
    row = next(c for c in json.loads(ok("config", "trust", "list", "-f", "json")) if c["fingerprint"] == certificate.fingerprint)
    assert row["restricted"] is True and row["projects"] == [project]


def test_trust_add_metrics(ok, certificate):
    ok("config", "trust", "add", certificate.crt, "--type=metrics")
    assert re.search(f"^metrics,.*{certificate.fingerprint[:12]}", ok("config", "trust", "list", "-f", "csv"), re.M)


def test_trust_edit(ok, certificate):
    ok("config", "trust", "add", certificate.crt, "--name", "before")
    shown = yaml.safe_load(ok("config", "trust", "show", certificate.fingerprint))
    ok("config", "trust", "edit", certificate.fingerprint, stdin=yaml.safe_dump(dict(shown, name="after")))
    assert yaml.safe_load(ok("config", "trust", "show", certificate.fingerprint))["name"] == "after"


def test_trust_add_garbage(fails, tmp_path):
    (tmp_path / "not.crt").write_text("no certificate")
    fails("config", "trust", "add", tmp_path / "not.crt")


def test_trust_unknown(fails):
    fails("config", "trust", "show", "0123456789ab")
    fails("config", "trust", "remove", "0123456789ab")


@pytest.mark.parametrize("form", ["csv", "json", "yaml", "table"])
def test_trust_list_formats(ok, certificate, form):
    ok("config", "trust", "add", certificate.crt)
    assert certificate.fingerprint[:12] in ok("config", "trust", "list", "-f", form)


# ---- tokens
def test_token_life(served, ok):
    name = fresh_name("tok")
    assert len(token(served, name)) > 100
    assert name in ok("config", "trust", "list-tokens", "-f", "csv")
    ok("config", "trust", "revoke-token", name)
    assert name not in ok("config", "trust", "list-tokens", "-f", "csv")


def test_token_formats(served, ok):
    name = fresh_name("tok")
    token(served, name)
    for form in ("csv", "json", "yaml", "table"):
        assert name in ok("config", "trust", "list-tokens", "-f", form)
    ok("config", "trust", "revoke-token", name)


def test_token_unknown(served, fails):
    fails("config", "trust", "revoke-token", "no-such-token")


def test_token_is_an_operation(served, ok):
    name = fresh_name("tok")
    token(served, name)
    rows = [row for row in ok("operation", "list", "-f", "csv").splitlines() if "TOKEN" in row and "RUNNING" in row]
    assert len(rows) == 1
    shown = yaml.safe_load(ok("operation", "show", rows[0].split(",")[0]))
    assert shown["class"] == "token" and shown["may_cancel"] is True
    ok("operation", "delete", shown["id"])
    assert name not in ok("config", "trust", "list-tokens", "-f", "csv")


def test_token_is_used_once(served, ok, tmp_path):
    name = fresh_name("tok")
    word = token(served, name)
    for i, expect in enumerate((0, 1)):
        (tmp_path / str(i)).mkdir()
        assert Client(served, "lxc", tmp_path / str(i))("remote", "add", "r", word).code == expect
    assert name in ok("config", "trust", "list", "-f", "csv") and name not in ok("config", "trust", "list-tokens", "-f", "csv")
    finger = next(c["fingerprint"] for c in json.loads(ok("config", "trust", "list", "-f", "json")) if c["name"] == name)
    ok("config", "trust", "remove", finger)


def test_restricted_token(served, ok, project, tmp_path):
    name = fresh_name("tok")
    Client(served, "lxc", tmp_path).ok("remote", "add", "r", token(served, name, "--restricted", "--projects", project))
    row = next(c for c in json.loads(ok("config", "trust", "list", "-f", "json")) if c["name"] == name)
    assert row["restricted"] is True and row["projects"] == [project]
    ok("config", "trust", "remove", row["fingerprint"])


# ---- settings of the server
def test_address_is_shown(served, ok):
    assert ok("config", "get", "core.https_address") == f"{served.address}\n"
    assert yaml.safe_load(ok("info"))["environment"]["addresses"] == [served.address]


def test_password_is_not_shown(ok):
    ok("config", "set", "core.trust_password=sesame")
    assert yaml.safe_load(ok("config", "show"))["config"]["core.trust_password"] in ("true", True)
    ok("config", "unset", "core.trust_password")
    assert "core.trust_password" not in (yaml.safe_load(ok("config", "show"))["config"] or {})


def test_config_edit(ok):
    whole = yaml.safe_load(ok("config", "show"))
    whole["config"] = dict(whole["config"] or {}, **{"user.edited": "yes"})
    ok("config", "edit", stdin=yaml.safe_dump(whole))
    assert ok("config", "get", "user.edited") == "yes\n"
    ok("config", "unset", "user.edited")


@pytest.mark.parametrize("setting", ["core.https_address=not an address", "images.remote_cache_expiry=soon", "images.auto_update_cached=perhaps"])
def test_bad_setting(ok, fails, setting):
    before = ok("config", "show")
    fails("config", "set", setting)
    assert ok("config", "show") == before


# ---- metrics
@pytest.mark.parametrize("metric", ["lxd_cpu_seconds_total", "lxd_memory_MemTotal_bytes", "lxd_memory_MemAvailable_bytes", "lxd_procs_total",
                                    "lxd_filesystem_size_bytes", "lxd_filesystem_free_bytes", "lxd_network_receive_bytes_total"])
def test_metrics(server, box, metric):
    text = server.rest.get("metrics").body.decode()
    rows = [line for line in text.splitlines() if line.startswith(metric + "{") and f'name="{box}"' in line]
    assert rows and all('project="default"' in r for r in rows)
    assert f"# TYPE {metric} " in text


def test_metrics_certificate_sees_metrics_alone(served, certificate, box):
    served.ok("config", "trust", "add", certificate.crt, "--type=metrics")
    curl = lambda path: served.run(["curl", "-sk", "--cert", certificate.crt, "--key", certificate.key,  # noqa: E731
                                    f"https://{served.address}{path}"]).out
    assert f'name="{box}"' in curl("/1.0/metrics")
    assert json.loads(curl("/1.0/instances"))["error_code"] == 403


# ---- between projects of one server
def test_copy_to_another_project(ok, fresh, project):
    name = fresh("-c", "user.a=b")
    ok("copy", name, f"{name}x", "--target-project", project)
    assert ok("config", "get", f"{name}x", "user.a", "--project", project) == "b\n"
    assert f"{name}x" not in ok("list", "-c", "n", "-f", "csv").split()


def test_move_to_another_project_and_back(ok, fresh, project):
    name = fresh("-c", "user.a=b")
    ok("file", "push", "-", f"{name}/root/f", stdin="moved along")
    ok("snapshot", name, "s1")
    ok("move", name, "--target-project", project)
    assert name not in ok("list", "-c", "n", "-f", "csv").split()
    assert ok("file", "pull", f"{name}/root/f", "-", "--project", project) == "moved along"
    assert "s1" in ok("info", name, "--project", project)
    ok("move", name, "--target-project", "default", "--project", project)
    assert ok("config", "get", name, "user.a") == "b\n"


def test_list_all_projects(ok, box, image, project):
    name = fresh_name("p")
    ok("init", image, name, "--project", project)
    rows = [tuple(line.split(",")) for line in ok("list", "--all-projects", "-c", "en", "-f", "csv").splitlines()]
    assert ("default", box) in rows and (project, name) in rows


def test_image_copy_between_projects(ok, image, thing):
    target = thing("project")
    ok("project", "create", target)
    ok("image", "copy", image, "local:", "--target-project", target, "--copy-aliases")
    assert image in ok("image", "list", "--project", target, "-f", "csv")
    ok("image", "delete", image, "--project", target)


def test_project_get(ok, project):
    assert ok("project", "get", project, "features.images") == "false\n"


def test_profile_copy_to_another_project(ok, thing, project):
    target, profile = thing("project"), thing("profile")
    ok("project", "create", target)
    ok("profile", "create", profile)
    ok("profile", "set", profile, "user.a=b")
    ok("profile", "copy", profile, profile, "--target-project", target)
    assert ok("profile", "get", profile, "user.a", "--project", target) == "b\n"
    ok("profile", "delete", profile, "--project", target)


# ---- public images
def test_image_public_flag(ok, thing, tmp_path):
    alias = fresh_name("img")
    (tmp_path / "i.tar").write_bytes(images.busybox_tar(images.METADATA.replace("release: test", f"release: {alias}")))
    ok("image", "import", tmp_path / "i.tar", "--alias", alias, "--public")
    assert yaml.safe_load(ok("image", "show", alias))["public"] is True
    ok("image", "edit", alias, stdin=ok("image", "show", alias).replace("public: true", "public: false"))
    assert yaml.safe_load(ok("image", "show", alias))["public"] is False
    ok("image", "delete", alias)


# ---- cluster
def test_no_cluster(server, fails):
    fails("cluster", "list")
    cluster = server.rest.read("cluster")
    assert cluster["enabled"] is False and cluster["server_name"] == ""
