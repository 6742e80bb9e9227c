"""pylxd and Ansible's modules over TLS: in by a token, a password or a certificate that was added."""
import os
import shutil
import ssl

import pytest
from ansible_play import Player
from clients import token

from harness import images
from harness.instance import fresh_name
from harness.tls import Certificate

pylxd = pytest.importorskip("pylxd", reason="the package python3-pylxd is not installed")


@pytest.fixture
def certificate(tmp_path, served):
    """A key pair of this test, gone from the trust store afterwards."""
    made = Certificate(tmp_path)
    yield made
    served.lxc("config", "trust", "remove", made.fingerprint)


@pytest.fixture
def connect(served, certificate, monkeypatch):
    """The CA bundle that requests takes from the environment would win over what pylxd is told."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return lambda: pylxd.Client(endpoint=f"https://{served.address}", cert=(str(certificate.crt), str(certificate.key)), verify=False)


@pytest.fixture
def trusted(connect, certificate, served):
    certificate.trust(served.rest)
    return connect()


def test_untrusted(connect):
    client = connect()
    assert not client.trusted and client.host_info["auth"] == "untrusted"
    with pytest.raises(pylxd.exceptions.LXDAPIException, match="(?i)not authorized"):
        client.containers.all()


def test_by_certificate(connect, certificate, served):
    certificate.trust(served.rest)
    assert connect().trusted


def test_by_token(connect, served):
    client = connect()
    client.authenticate(token(served, fresh_name("pylxd")))
    assert client.trusted


def test_by_password(connect, ok):
    ok("config", "set", "core.trust_password=sesame")
    try:
        client = connect()
        with pytest.raises(pylxd.exceptions.LXDAPIException):
            client.authenticate("wrong")
        client.authenticate("sesame")
        assert client.trusted
    finally:
        ok("config", "unset", "core.trust_password")


def test_verified_server(served, connect, certificate, tmp_path):
    """The server's certificate names the address it is reached at."""
    certificate.trust(served.rest)
    (tmp_path / "server.crt").write_text(served.rest.read("/1.0")["environment"]["certificate"])
    client = pylxd.Client(endpoint=f"https://{served.address}", cert=(str(certificate.crt), str(certificate.key)), verify=str(tmp_path / "server.crt"))
    assert client.trusted


# ---- work
def test_instance(trusted, image, thing):
    name = thing("instance")
    made = trusted.containers.create({"name": name, "source": {"type": "image", "alias": image}}, wait=True)
    made.start(wait=True)
    assert trusted.containers.get(name).status == "Running"
    assert made.execute(["sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\n", "err\n")
    data = os.urandom(300000)
    made.files.put("/root/f", data)
    assert made.files.get("/root/f") == data
    made.stop(wait=True, force=True)
    made.delete(wait=True)
    assert not trusted.containers.exists(name)


def test_image(trusted, tmp_path):
    made = trusted.images.create(images.busybox_tar(images.METADATA.replace("release: test", f"release: {fresh_name('py')}")), wait=True)
    assert len(made.export().read()) == made.size
    made.delete(wait=True)


def test_migrate_to_another_server(trusted, second, certificate, image, thing):
    """pylxd tells the target where to fetch from."""
    if second.is_lxd:
        pytest.skip("pylxd sends no certificate of the source along, and LXD trusts none without")
    name = thing("instance")
    made = trusted.containers.create({"name": name, "source": {"type": "image", "alias": image}, "config": {"user.m": "1"}}, wait=True)
    certificate.trust(second.rest)
    target = pylxd.Client(endpoint=f"https://{second.address}", cert=(str(certificate.crt), str(certificate.key)), verify=False)
    moved = made.migrate(target, wait=True)
    assert moved.config["user.m"] == "1"
    moved.delete(wait=True)


# ---- every manager
def test_certificates(trusted, tmp_path):
    other = Certificate(tmp_path, "other")
    made = trusted.certificates.create("", other.pem.encode())
    assert made.fingerprint == other.fingerprint and other.fingerprint in [c.fingerprint for c in trusted.certificates.all()]
    assert ssl.PEM_cert_to_DER_cert(trusted.certificates.get(other.fingerprint).certificate) == other.der
    made.delete()
    assert other.fingerprint not in [c.fingerprint for c in trusted.certificates.all()]


def test_operations(trusted, box, server):
    session = trusted.api.instances[box].exec.post(json={"command": ["sleep", "1"], "wait-for-websocket": False})
    op = trusted.operations.get(session.json()["operation"])
    assert op.status in ("Running", "Success")
    op.wait()
    assert trusted.operations.get(session.json()["operation"]).metadata["return"] == 0


def test_snapshots(trusted, image, thing):
    name = thing("instance")
    made = trusted.containers.create({"name": name, "source": {"type": "image", "alias": image}}, wait=True)
    snap = made.snapshots.create("s1", wait=True)
    assert [s.name for s in made.snapshots.all()] == ["s1"]
    snap.rename("s2", wait=True)
    made.restore_snapshot("s2", wait=True)
    made.snapshots.get("s2").delete(wait=True)
    assert made.snapshots.all() == []


def test_networks(trusted, thing):
    name = thing("network")
    made = trusted.networks.create(name, type="bridge", description="d", config={"ipv4.address": "none", "ipv6.address": "none"})
    assert name in [n.name for n in trusted.networks.all()] and made.description == "d"
    made.config["user.a"] = "b"
    made.save(wait=True)
    assert trusted.networks.get(name).config["user.a"] == "b"
    made.delete(wait=True)
    assert not trusted.networks.exists(name)


def test_pools_and_volumes(trusted, thing):
    pool, name = trusted.storage_pools.get("default"), thing("volume")
    assert pool.name in [p.name for p in trusted.storage_pools.all()]
    made = pool.volumes.create({"name": name, "type": "custom", "config": {}}, wait=True)
    made.put({"config": {"user.b": "c"}})
    assert pool.volumes.get("custom", name).config["user.b"] == "c"
    made.patch({"config": {"user.d": "e"}})
    assert pool.volumes.get("custom", name).config["user.d"] == "e"
    made.delete()
    assert name not in [v.name for v in pool.volumes.all()]


def test_profiles(trusted, thing):
    name, new = thing("profile"), thing("profile")
    made = trusted.profiles.create(name, config={"user.a": "b"}, devices={})
    made.devices["d"] = {"type": "none"}
    made.save(wait=True)
    made.rename(new)
    assert trusted.profiles.get(new).devices == {"d": {"type": "none"}} and new in [p.name for p in trusted.profiles.all()]
    trusted.profiles.get(new).delete()


def test_resources(trusted):
    assert trusted.api.resources.get().json()["metadata"]["memory"]["total"] > 0


def test_projects(trusted, thing):
    """This pylxd has no manager for them, but its bare API reaches everything."""
    name = thing("project")
    trusted.api.projects.post(json={"name": name, "config": {"features.images": "false"}, "description": "d"})
    assert f"/1.0/projects/{name}" in trusted.api.projects.get().json()["metadata"]
    assert trusted.api.projects[name].get().json()["metadata"]["description"] == "d"
    trusted.api.projects[name].delete()


def test_server_configuration(trusted, ok):
    trusted.api.patch(json={"config": {"user.pylxd": "1"}})
    assert ok("config", "get", "user.pylxd") == "1\n"
    ok("config", "unset", "user.pylxd")


# ---- Ansible
@pytest.fixture
def over_https(served, certificate):
    """What the modules want to know; they check the server's certificate against the system's."""
    return {"url": f"https://{served.address}", "client_cert": str(certificate.crt), "client_key": str(certificate.key)}


@pytest.fixture
def play(server, served, tmp_path):
    if not shutil.which("ansible-playbook"):
        pytest.skip("the package ansible is not installed")
    (tmp_path / "server.crt").write_text(served.rest.read("/1.0")["environment"]["certificate"])
    return Player(server, tmp_path, {"SSL_CERT_FILE": str(tmp_path / "server.crt")})


def test_ansible_by_certificate(play, over_https, certificate, served, image, thing):
    certificate.trust(served.rest)
    task = lambda state, **more: {"community.general.lxd_container": dict(  # noqa: E731
        name=name, state=state, type="container", timeout=30, **over_https, **more)}
    name, profile = thing("instance"), thing("profile")
    results = play(task("started", source={"type": "image", "alias": image}), task("stopped", force_stop=True), task("absent"),
                   {"community.general.lxd_profile": dict(name=profile, state="present", config={"user.a": "b"}, **over_https)},
                   {"community.general.lxd_profile": dict(name=profile, state="absent", **over_https)})
    assert [r["changed"] for r in results] == [True] * 5


def test_ansible_by_password(play, over_https, served, ok, image, thing):
    ok("config", "set", "core.trust_password=sesame")
    name = thing("instance")
    try:
        for _ in range(1 if served.is_lxd else 2):  # LXD 5.0.2 has other words than the module takes when it is trusted already
            play({"community.general.lxd_container": dict(name=name, state="stopped", type="container", source={"type": "image", "alias": image},
                                                          trust_password="sesame", **over_https)})
    finally:
        ok("config", "unset", "core.trust_password")


def test_ansible_untrusted(play, over_https):
    result = play.results({"community.general.lxd_container": dict(name="nobody", state="started", type="container", **over_https)})[0]
    assert result["failed"] and "not authorized" in result["msg"].lower()
