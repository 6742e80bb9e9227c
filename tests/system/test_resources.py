"""Resources, warnings, certificates and the key tables: what administrators read about a server."""
import base64
import shutil
import subprocess

import pytest


def test_resources_agree_with_proc(rest):
    r = rest.read("resources")
    with open("/proc/cpuinfo") as f:
        cpus = sum(1 for line in f if line.startswith("processor"))
    threads = [t for s in r["cpu"]["sockets"] for c in s["cores"] for t in c["threads"]]
    assert r["cpu"]["total"] == len(threads) >= cpus
    with open("/proc/meminfo") as f:
        total = int(f.readline().split()[1]) * 1024
    assert r["memory"]["total"] == total and 0 < r["memory"]["used"] < total
    for kind, items in (("gpu", "cards"), ("network", "cards"), ("storage", "disks"), ("usb", "devices"),
                        ("pci", "devices")):
        assert r[kind]["total"] == len(r[kind][items])
    assert r["system"]["type"] in ("physical", "virtual-machine", "container")


@pytest.mark.host_only("what the client asks for and prints; the requests themselves are made above")
@pytest.mark.real_lxc
@pytest.mark.skipif(not shutil.which("lxc"), reason="the package lxd-client is not installed")
def test_lxc_shows_resources(lxc):
    out = lxc("info", "--resources", check=True).out
    assert "CPU" in out and "Memory:" in out


@pytest.mark.host_only("rows of the database")
def test_configuration_metadata_names_every_key_once(rest):
    configs = rest.read("metadata/configuration")["configs"]
    keys = [next(iter(k)) for group in configs["instance"].values() for k in group["keys"]]
    assert "limits.memory" in keys and len(keys) == len(set(keys))
    assert configs["device-disk"]["device-conf"]["keys"]
    assert {"boot", "cloud-init", "kernel-limits", "resource-limits", "security", "snapshots", "volatile"} <= set(configs["instance"])
    one = {name: k[name] for k in configs["instance"]["raw"]["keys"] for name in k}
    assert one["raw.lxc"]["restrictedby"] == "restricted.containers.lowlevel" and one["raw.lxc"]["liveupdate"] == "no"
    assert "virtual machines" in one["raw.qemu"]["refused"]
    assert not any("refused" in k["limits.cpu"] for k in configs["instance"]["resource-limits"]["keys"] if "limits.cpu" in k)


@pytest.mark.host_only("rows of the database")
def test_warnings_are_listed_acknowledged_and_deleted(daemon, rest):
    uuid = "11111111-2222-4333-8444-555555555555"
    daemon.lxmd("sql", "cluster", "INSERT INTO warnings (uuid, type, status, severity, count, first_seen_at, "
                f"last_seen_at) VALUES ('{uuid}', 'Test', 1, 1, 1, 1000, 1000)", check=True)
    assert f"/1.0/warnings/{uuid}" in rest.read("warnings")
    assert rest.read(f"warnings/{uuid}")["status"] == "new"
    rest.change("PUT", f"warnings/{uuid}", {"status": "acknowledged"})
    assert rest.read(f"warnings/{uuid}")["status"] == "acknowledged"
    rest.refused("PUT", f"warnings/{uuid}", {"status": "gone"})
    rest.change("DELETE", f"warnings/{uuid}")
    assert rest.get(f"warnings/{uuid}").status == 404


@pytest.fixture
def certificate(tmp_path):
    """(base64 of DER as pylxd sends it: wrapped, fingerprint)."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes",
                    "-subj", "/CN=tester", "-keyout", tmp_path / "k", "-out", tmp_path / "c", "-days", "1"],
                   check=True, capture_output=True)
    der = subprocess.run(["openssl", "x509", "-in", tmp_path / "c", "-outform", "der"], check=True,
                         capture_output=True).stdout
    digest = subprocess.run(["openssl", "x509", "-in", tmp_path / "c", "-noout", "-fingerprint", "-sha256"],
                            check=True, capture_output=True, text=True).stdout
    return base64.encodebytes(der).decode(), digest.split("=")[1].strip().replace(":", "").lower()


@pytest.mark.host_only("rows of the database")
def test_certificates_are_trusted_changed_and_forgotten(rest, certificate):
    text, fingerprint = certificate
    reply = rest.post("certificates", {"certificate": text, "type": "client"})
    assert reply.status == 201 and reply.headers["Location"] == f"/1.0/certificates/{fingerprint}"
    again = rest.post("certificates", {"certificate": text})
    assert again.status == 409 and again.error == "Certificate already in trust store"
    got = rest.read(f"certificates/{fingerprint[:12]}")
    assert got["name"] == "tester" and got["fingerprint"] == fingerprint and got["type"] == "client"
    assert got["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    rest.change("PUT", f"certificates/{fingerprint}", {"name": "n", "restricted": True, "projects": ["default"]})
    got = rest.read(f"certificates/{fingerprint}")
    assert got["restricted"] and got["projects"] == ["default"]
    assert "restricted" in rest.refused("PUT", f"certificates/{fingerprint}", {"name": "n"})
    rest.change("DELETE", f"certificates/{fingerprint[:12]}")
    assert rest.get(f"certificates/{fingerprint}").status == 404


@pytest.mark.host_only("turned away before anything reaches the kernel")
@pytest.mark.parametrize("body", [{}, {"certificate": "x"}, {"certificate": "AAAA"}, {"certificate": "A" * 70000},
                                  {"certificate": 5}, {"token": True}])
def test_bad_certificates_are_refused(rest, body):
    rest.refused("POST", "certificates", body)
