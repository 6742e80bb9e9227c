"""/1.0/metrics: read by a strict parser, with LXD's names and Incus's; who is shown, and that the figures are true."""
import socket
import ssl
import time
import urllib.error
import urllib.request

import pytest

openmetrics = pytest.importorskip("prometheus_client.openmetrics.parser")
from prometheus_client.parser import text_string_to_metric_families as parse_plain  # noqa: E402

OPEN = {"Accept": "application/openmetrics-text; version=1.0.0"}
LABELS = {"name", "project", "type"}


def samples(rest, strict=True, headers=(), **query):
    """All samples as (name, labels, value)."""
    reply = rest.request("GET", "/1.0/metrics", query=query, headers={**(OPEN if strict else {}), **dict(headers)})
    assert reply.status == 200, reply
    text = reply.body.decode()
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text" if strict else "text/plain")
    families = list(openmetrics.text_string_to_metric_families(text) if strict else parse_plain(text))
    assert len({f.name for f in families}) == len(families)
    return [(s.name, s.labels, s.value) for f in families for s in f.samples]


def of(found, metric, instance):
    return {tuple(sorted((k, v) for k, v in labels.items() if k not in LABELS)): value
            for name, labels, value in found if name == metric and labels.get("name") == instance}


def later(rest, condition, **kw):
    """Figures are kept for a second: asks again until they show what is waited for."""
    end = time.monotonic() + 20
    while True:
        found = samples(rest, **kw)
        if condition(found) or time.monotonic() > end:
            return found
        time.sleep(0.3)


def test_figures_of_an_instance(rest, instance):
    inst = instance(config={"limits.memory": "64MiB"})
    inst.exec("sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    found = later(rest, lambda f: sum(of(f, "lxd_cpu_seconds_total", inst.name).values()) > 0)
    cpu = of(found, "lxd_cpu_seconds_total", inst.name)
    assert 0 < sum(cpu.values()) < 100
    assert {dict(k)["mode"] for k in cpu} == {"user", "system"}
    assert of(found, "lxd_memory_MemTotal_bytes", inst.name) == {(): 64 << 20}
    assert 0 < of(found, "lxd_memory_MemAvailable_bytes", inst.name)[()] <= 64 << 20
    assert of(found, "lxd_procs_total", inst.name)[()] >= 1
    assert of(found, "lxd_cpu_effective_total", inst.name)[()] >= 1
    assert (("device", "lo"),) in of(found, "lxd_network_receive_bytes_total", inst.name)
    (labels, size), = of(found, "lxd_filesystem_size_bytes", inst.name).items()
    assert dict(labels)["mountpoint"] == "/" and dict(labels)["device"] and dict(labels)["fstype"]
    assert size >= of(found, "lxd_filesystem_free_bytes", inst.name)[labels] >= \
        of(found, "lxd_filesystem_avail_bytes", inst.name)[labels] > 0
    assert all(labels["type"] == "container" for name, labels, _ in found if "name" in labels)


def test_an_instance_that_stops_is_counted_but_not_measured(rest, instance):
    inst = instance()
    later(rest, lambda f: of(f, "lxd_procs_total", inst.name))
    inst.stop()
    found = later(rest, lambda f: not of(f, "lxd_procs_total", inst.name))
    assert not of(found, "lxd_procs_total", inst.name)
    assert any(name == "lxd_instances" and value >= 1 for name, labels, value in found)


@pytest.mark.host_only("how figures are written, and for whom")
def test_both_formats_and_both_names_say_the_same(rest, instance):
    instance()
    strict = samples(rest)
    plain = samples(rest, strict=False)
    incus = samples(rest, headers={"User-Agent": "Incus 6.0.4 (Linux)"})
    names = {s[0] for s in strict}
    assert names == {s[0] for s in plain}
    assert {n.replace("incus_", "lxd_", 1) for n, _, _ in incus} == names
    assert all(n.startswith("incus_") for n, _, _ in samples(rest, names="incus"))
    assert rest.request("GET", "/1.0/metrics", query={"names": "x"}).status == 400


@pytest.mark.host_only("how figures are written, and for whom")
def test_a_project_is_shown_alone(rest, instance):
    inst = instance()
    rest.post("projects", {"name": "other", "config": {"features.profiles": "false", "features.images": "false"}})
    try:
        later(rest, lambda f: of(f, "lxd_procs_total", inst.name))
        found = samples(rest, project="other")
        assert not [s for s in found if s[1].get("project") != "other"]
        assert of(samples(rest, project="default"), "lxd_procs_total", inst.name)
        assert rest.request("GET", "/1.0/metrics", query={"project": "nowhere"}).status == 404
        assert {"lxd_operations_total", "lxd_uptime_seconds", "lxd_warnings_total"} <= {s[0] for s in samples(rest)}
    finally:
        rest.delete("projects/other")


@pytest.mark.host_only("how figures are written, and for whom")
def test_it_is_advertised(rest):
    assert "metrics" in rest.read("/1.0")["api_extensions"]


@pytest.mark.host_only("how figures are written, and for whom")
def test_the_metrics_listener_may_serve_everybody(own_daemon):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    own_daemon.lxmc("config", "set", f"core.metrics_address={address}", check=True)
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE

    def status(path):
        try:
            return urllib.request.urlopen(f"https://{address}{path}", context=anybody, timeout=20).status
        except urllib.error.HTTPError as e:
            return e.code

    assert status("/1.0/metrics") == 403
    own_daemon.lxmc("config", "set", "core.metrics_authentication=false", check=True)
    assert status("/1.0/metrics") == 200
    assert status("/1.0/metrics?project=default") == 200
    assert status("/1.0/instances") == 404
    own_daemon.lxmc("config", "set", "core.metrics_authentication=true", check=True)
    assert status("/1.0/metrics") == 403
