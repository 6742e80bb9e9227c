"""Row 11 (CVE-2026-35527, CVE-2026-28385): a tenant has lxmd fetch and connect; never to what listens on the host for the host alone,
nor where a cloud answers with the host's credentials; and it cannot tell whether something listens there."""
import socket
import threading

import pytest

from harness import images
from harness.rest import OperationFailed
from harness.tls import Certificate, Served, free_port

ROOT = {"root": {"type": "disk", "path": "/", "pool": "default"}}
SECRETS = {"control": "ab" * 32, "fs": "cd" * 32}
NAMES = ["127.0.0.1", "localhost", "127.1", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"]


class Ear:
    """A service of the host's loopback that counts who comes."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(16)
        self.port = self.sock.getsockname()[1]
        self.heard = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                conn = self.sock.accept()[0]
            except OSError:
                return
            with conn:
                conn.settimeout(2)
                self.heard.append(conn.recv(4096))

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@pytest.fixture(scope="module")
def tenant(session_daemon, tmp_path_factory):
    """What a client with a restricted certificate is told when it asks: tenant(path, body); and the same of an administrator."""
    rest = session_daemon.rest
    project = {"project": "inner"}
    with Served(session_daemon) as served:
        rest.change("POST", "projects", {"name": "inner", "config": {"restricted": "true"}})
        cert = Certificate(tmp_path_factory.mktemp("inner"), "inner").trust(rest, restricted=True, projects=["inner"])
        image = rest.change("POST", "images", data=images.busybox_tar(), query=project)["metadata"]["fingerprint"]
        body = {"name": "c", "source": {"type": "image", "fingerprint": image}, "devices": ROOT}
        rest.change("POST", "instances", body, query=project)

        def told(path, body, by=served.at(cert)):
            reply = by.request("POST", path, json=body, query=project)
            if reply.status >= 400:
                return reply.error
            try:
                by.wait(reply.json["operation"])
            except OperationFailed as e:
                return str(e)
            return ""

        told.admin = lambda path, body: told(path, body, rest)
        told.pem, told.image = cert.pem, image
        yield told
        rest.change("DELETE", "instances/c", query=project)
        rest.change("DELETE", f"images/{image}", query=project)
        rest.change("DELETE", "projects/inner")


@pytest.fixture
def ear():
    it = Ear()
    yield it
    it.close()


def requests(tenant, host):
    """All that has lxmd talk to another server."""
    image = {"type": "image", "mode": "pull", "alias": "x"}
    peer = {"operation": f"https://{host}/1.0/operations/7d2f1a50-0000-4000-8000-000000000000", "certificate": tenant.pem}
    return {
        "url": ("images", {"source": {"type": "url", "url": f"http://{host}/x"}}),
        "url by TLS": ("images", {"source": {"type": "url", "url": f"https://{host}/x"}}),
        "simplestreams": ("images", {"source": {**image, "server": f"https://{host}", "protocol": "simplestreams"}}),
        "lxd": ("images", {"source": {**image, "server": f"https://{host}", "protocol": "lxd"}}),
        "instance": ("instances", {"name": "d", "source": {**image, "server": f"https://{host}", "protocol": "simplestreams"},
                                   "devices": ROOT}),
        "image push": (f"images/{tenant.image}/export", {"target": f"https://{host}", "secret": SECRETS["control"], "certificate": tenant.pem}),
        "pull": ("instances", {"name": "d", "source": {"type": "migration", "mode": "pull", "secrets": SECRETS, **peer}, "devices": ROOT}),
        "push": ("instances/c", {"migration": True, "target": {"websockets": SECRETS, **peer}}),
    }


KINDS = ["url", "url by TLS", "simplestreams", "lxd", "instance", "image push", "pull", "push"]


@pytest.mark.parametrize("kind", KINDS)
def test_row_11_nobody_listens_on_the_loopback_for_a_tenant(tenant, ear, kind):
    answers = []
    for port in (ear.port, free_port()):
        path, body = requests(tenant, f"127.0.0.1:{port}")[kind]
        answers.append(tenant(path, body).replace(str(port), "PORT"))
    assert ear.heard == [] and answers[0] == answers[1] and "connect" in answers[0], answers
    path, body = requests(tenant, f"127.0.0.1:{ear.port}")[kind]
    assert tenant.admin(path, body) != "" and ear.heard != []  # the host's own administrator may


@pytest.mark.parametrize("name", NAMES)
def test_row_11_by_whatever_name(tenant, ear, name):
    for kind in ("url", "pull"):
        path, body = requests(tenant, f"{name}:{ear.port}")[kind]
        assert tenant(path, body) != ""
    assert ear.heard == []


def test_the_proxy_of_the_administrator_is_no_exception_to_itself(tenant, rest, ear):
    """Requests that go through a proxy on the host still do."""
    rest.change("PATCH", "/1.0", {"config": {"core.proxy_http": f"http://127.0.0.1:{ear.port}"}})
    try:
        assert tenant(*requests(tenant, "image.example:80")["url"]) != ""
        assert len(ear.heard) == 1 and ear.heard[0].startswith(b"HEAD http://image.example")
        # what goes past the proxy reaches nothing else there
        other = Ear()
        rest.change("PATCH", "/1.0", {"config": {"core.proxy_ignore_hosts": "127.0.0.1"}})
        assert tenant(*requests(tenant, f"127.0.0.1:{other.port}")["url"]) != ""
        heard = list(other.heard)
        other.close()
        assert heard == []
    finally:
        rest.change("PATCH", "/1.0", {"config": {"core.proxy_http": "", "core.proxy_ignore_hosts": ""}})
