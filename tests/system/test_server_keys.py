"""Settings of the server that are there when it starts: they hold as those that are changed while it runs, which other files test; and unset ones do not."""
import urllib.request
import ssl

import pytest

from conftest import create
from harness import backups
from harness.tls import free_port
from test_tls import listens, s_client

pytestmark = pytest.mark.host_only("TLS and HTTP on the loopback")


def test_settings_hold_when_the_server_starts(own_daemon):
    rest, address, metrics = own_daemon.rest, f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    config = {"core.https_address": address, "core.https_tls_minimum": "1.2", "core.metrics_address": metrics,
              "core.metrics_authentication": "false", "backups.compression_algorithm": "none", "images.compression_algorithm": "xz",
              "instances.nic.host_name": "mac", "core.https_allowed_origin": "https://ui.example"}
    inst = create(own_daemon, None, name="settings", start=False, source={"type": "none"})
    rest.change("PATCH", "/1.0", {"config": config})
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE

    def open_metrics():
        try:
            return urllib.request.urlopen(f"https://{metrics}/1.0/metrics", context=anybody, timeout=20).status == 200
        except OSError:
            return False

    def packed():
        fp = rest.change("POST", "images", {"source": {"type": "instance", "name": inst.name}})["metadata"]["fingerprint"]
        shown = rest.get(f"images/{fp}/export").headers["Content-Disposition"].rsplit(".", 1)[1]
        rest.change("DELETE", f"images/{fp}")
        return shown, backups.export(inst)[:2] == b"\x1f\x8b"

    for _ in range(2):
        assert listens(address) and s_client(address, "-tls1_2") and open_metrics() and packed() == ("xz", False)
        assert urllib.request.urlopen(urllib.request.Request(f"https://{address}/", headers={"Origin": "https://ui.example"}),
                                      context=anybody, timeout=20).headers["Access-Control-Allow-Origin"] == "https://ui.example"
        own_daemon.kill()
        own_daemon.start()
    rest.change("PATCH", "/1.0", {"config": dict.fromkeys(config, "")})
    for _ in range(2):
        assert not listens(address) and not open_metrics() and packed() == ("gz", True)
        own_daemon.kill()
        own_daemon.start()
