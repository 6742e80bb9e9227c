"""The audit log: each change with who, from where, what and how it ended; nothing secret; turned over by size or from outside."""
import json
import os
import stat

import pytest

from harness.tls import Certificate, Served

pytestmark = pytest.mark.host_only("what lxmd writes into its log")

SECRET = "open-sesame-0123456789"


class Log:
    """Lines that were added since it was made."""

    def __init__(self, daemon):
        self.path = daemon.dir / "logs" / "audit.log"
        self.start = self.path.stat().st_size if self.path.exists() else 0

    def lines(self):
        with open(self.path) as f:
            f.seek(self.start)
            return [json.loads(line) for line in f]

    def of(self, **want):
        return [o for o in self.lines() if all(o.get(k) == v for k, v in want.items())]


@pytest.fixture
def log(daemon):
    return Log(daemon)


def test_a_change_by_the_socket_names_user_and_process(rest, log):
    rest.change("POST", "profiles", {"name": "audited"})
    rest.change("DELETE", "profiles/audited")
    (made,) = log.of(method="POST", path="/1.0/profiles")
    assert (made["user"], made["uid"], made["pid"], made["protocol"], made["address"]) == ("root", 0, os.getpid(), "unix", "@")
    assert made["status"] == 201 and made["project"] == "default" and made["time"].endswith("Z")
    assert log.of(method="DELETE", path="/1.0/profiles/audited", status=200)


def test_a_change_over_tls_names_the_certificate(daemon, log, tmp_path):
    with Served(daemon) as served:
        cert = Certificate(tmp_path, "auditor").trust(daemon.rest, restricted=True, projects=["default"], name="the auditor")
        served.at(cert).change("PATCH", "profiles/default", {})
        assert served.at(cert).delete("projects/x").status == 403
        (ok,) = log.of(method="PATCH", path="/1.0/profiles/default")
        (no,) = log.of(method="DELETE", path="/1.0/projects/x")
    for line in (ok, no):
        assert (line["fingerprint"], line["name"], line["protocol"]) == (cert.fingerprint, "the auditor", "tls")
        assert line["address"].startswith("127.0.0.1:")
    assert (ok["status"], no["status"]) == (200, 403)


def test_refused_and_unknown_requests_are_there_reads_are_not(rest, log):
    rest.delete("instances/nobody-is-here")
    rest.post("no-such-thing", {})
    rest.get("instances")
    assert log.of(method="DELETE", path="/1.0/instances/nobody-is-here", status=404)
    assert log.of(path="/1.0/no-such-thing", status=404)
    assert not log.of(method="GET")


def test_an_operation_has_a_line_for_its_end(rest, log, image):
    bad = rest.start_op("POST", "instances", {"name": "audited", "source": {"type": "image", "alias": image},
                                               "config": {"limits.memory": "1MiB"}, "start": True, "profiles": ["default"]})
    rest.get(f"operations/{bad['id']}/wait", query={"timeout": 60}, timeout=70)
    (begin,) = log.of(method="POST", path="/1.0/instances", operation=bad["id"])
    (end,) = [o for o in log.of(operation=bad["id"]) if "result" in o]
    done = rest.read(f"operations/{bad['id']}")
    assert begin["status"] == 202 and end["result"] == done["status"] and end["user"] == "root"
    rest.change("PUT", "instances/audited/state", {"action": "stop", "force": True}) if done["status"] == "Success" else None
    if rest.get("instances/audited").status == 200:
        rest.change("DELETE", "instances/audited")


def test_strangers_do_not_fill_it(daemon, log, tmp_path):
    with Served(daemon) as served:
        for _ in range(3):
            served.at(Certificate(tmp_path, "stranger")).post("certificates", {"trust_token": "x"})
            served.at().delete("instances/c1")
        assert not [o for o in log.lines() if o["protocol"] == "tls"]


def test_no_secrets(rest, log):
    rest.patch("/1.0", {"config": {"core.trust_password": SECRET}})
    rest.delete("operations/none", query={"secret": SECRET})
    rest.patch("/1.0", {"config": {"core.trust_password": ""}})
    assert log.lines() and SECRET not in json.dumps(log.lines())


def test_only_root_reads_it_and_it_may_be_moved_away(own_daemon):
    rest, path = own_daemon.rest, own_daemon.dir / "logs" / "audit.log"
    rest.patch("/1.0", {"config": {"user.a": "1"}})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.rename(path.with_suffix(".moved"))
    rest.patch("/1.0", {"config": {"user.a": "2"}})
    assert len(path.read_text().splitlines()) == 1
    with open(path, "ab") as f:
        f.truncate(16 * 1024 * 1024 - 10)
    rest.patch("/1.0", {"config": {"user.a": "3"}})
    assert len(path.read_text().splitlines()) == 1
    assert (path.parent / "audit.log.1").stat().st_size == 16 * 1024 * 1024 - 10
