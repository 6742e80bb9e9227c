"""How a client becomes trusted, what it may do to its own entry, and that it stops at once when it is trusted no longer."""
import base64
import json
import threading
import time

import pytest
import websocket

from harness import images
from harness.tls import Certificate, Served

pytestmark = pytest.mark.host_only("tokens, passwords and certificates")

EXISTS = "Certificate already in trust store"


@pytest.fixture
def served(daemon):
    with Served(daemon) as s:
        yield s


@pytest.fixture
def cert(tmp_path):
    return Certificate(tmp_path, "joiner")


def make_token(served, **body):
    """(token as clients build it, its operation)."""
    op = served.rest.start_op("POST", "certificates", {"token": True, "name": "joiner", "type": "client", **body})
    meta = op["metadata"]
    token = {"client_name": meta["request"]["name"], "fingerprint": meta["fingerprint"], "addresses": meta["addresses"],
             "secret": meta["secret"], "expires_at": meta.get("expiresAt", "0001-01-01T00:00:00Z")}
    return base64.b64encode(json.dumps(token).encode()).decode(), op


def join(served, cert, **body):
    return served.at(cert).post("certificates", {"type": "client", **body})


# ---- tokens
@pytest.mark.parametrize("key", ["trust_token", "password"])
def test_a_token_is_traded_once(served, cert, tmp_path, key):
    token, op = make_token(served)
    assert op["class"] == "token" and op["may_cancel"] and op["status"] == "Running"
    assert served.address in op["metadata"]["addresses"] and op["metadata"]["request"]["projects"] == []
    reply = join(served, cert, **{key: token})
    assert reply.status == 201 and reply.headers["Location"] == f"/1.0/certificates/{cert.fingerprint}"
    assert served.at(cert).read("/1.0")["auth"] == "trusted"
    assert served.rest.read(f"operations/{op['id']}")["status"] == "Success"
    assert served.rest.read(f"certificates/{cert.fingerprint}")["name"] == "joiner"
    late = join(served, Certificate(tmp_path, "late"), **{key: token})
    assert late.status == 403 and late.error == "not authorized"


def test_of_many_at_a_time_one_gets_in(served, tmp_path):
    token, _ = make_token(served)
    certs = [Certificate(tmp_path, f"many{n}") for n in range(6)]
    got = []
    threads = [threading.Thread(target=lambda c=c: got.append(join(served, c, trust_token=token).status)) for c in certs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(got) == [201] + [403] * 5


def test_the_tokens_word_counts_and_not_the_joiners(served, cert):
    served.rest.change("POST", "projects", {"name": "tokened"})
    try:
        token, _ = make_token(served, restricted=True, projects=["tokened"])
        assert join(served, cert, trust_token=token, name="root", restricted=False, projects=[]).status == 201
        got = served.rest.read(f"certificates/{cert.fingerprint}")
        assert got["restricted"] and got["projects"] == ["tokened"] and got["name"] == "joiner"
    finally:
        served.rest.delete(f"certificates/{cert.fingerprint}")
        served.rest.change("DELETE", "projects/tokened")


def test_tokens_are_listed_and_revoked(served, cert):
    token, op = make_token(served)
    running = served.rest.read("operations", query={"recursion": 1, "project": "default"})["running"]
    assert op["id"] in [o["id"] for o in running if o["class"] == "token" and o["metadata"].get("request")]
    served.rest.change("DELETE", f"operations/{op['id']}")
    assert join(served, cert, trust_token=token).status == 403


def test_tokens_expire(served, cert):
    served.set({"core.remote_token_expiry": "1S"})
    try:
        token, op = make_token(served)
        assert op["metadata"]["expiresAt"] > op["created_at"]
        time.sleep(1.1)
        assert join(served, cert, trust_token=token).status == 403
    finally:
        served.set({"core.remote_token_expiry": ""})
        served.rest.delete(f"operations/{op['id']}")


def test_a_tenant_sees_no_token(served, tmp_path):
    """The secret in it would make an administrator of whoever reads it."""
    tenant = Certificate(tmp_path, "tenant").trust(served.rest, restricted=True, projects=["default"])
    _, op = make_token(served)
    client = served.at(tenant)
    assert op["id"] not in json.dumps(client.read("operations", query={"recursion": 1}))
    assert client.get(f"operations/{op['id']}").status == 404
    assert client.delete(f"operations/{op['id']}").status == 404
    served.rest.change("DELETE", f"operations/{op['id']}")


def test_no_token_without_a_listener(bare):
    assert "core.https_address" in bare.rest.refused("POST", "certificates", {"token": True, "name": "x"})


@pytest.mark.parametrize("text", ["", "x", "e30=", base64.b64encode(b'{"secret":""}').decode(), "A" * 40000,
                                  base64.b64encode(json.dumps({"secret": "0" * 64}).encode()).decode()])
def test_bad_tokens(served, cert, text):
    reply = join(served, cert, trust_token=text)
    assert reply.status == 403 and reply.error == "not authorized"


def test_without_certificate_there_is_nothing_to_trust(served):
    token, op = make_token(served)
    assert join(served, None, trust_token=token).status == 400
    assert served.rest.read(f"operations/{op['id']}")["status"] == "Running", "a failed try must not use it up"
    served.rest.change("DELETE", f"operations/{op['id']}")


def test_another_certificate_in_the_body_is_refused(served, cert, tmp_path):
    token, op = make_token(served)
    other = base64.b64encode(Certificate(tmp_path, "other").der).decode()
    assert join(served, cert, trust_token=token, certificate=other).status == 400
    same = base64.encodebytes(cert.der).decode()
    assert join(served, cert, trust_token=token, certificate=same).status == 201


# ---- the password
def test_the_password_is_off_and_kept_as_a_hash(served, cert, daemon):
    assert join(served, cert, password="").status == 403
    assert join(served, cert, password="sesame").status == 403
    served.set({"core.trust_password": "sesame"})
    assert served.rest.read("/1.0")["config"]["core.trust_password"] == "true"
    assert "sesame" not in daemon.lxmd("sql", "cluster", "SELECT * FROM config", check=True).out
    assert join(served, cert, password="sesam").status == 403
    assert join(served, cert, password="sesame").status == 201
    again = served.rest.post("certificates", {"certificate": base64.b64encode(cert.der).decode()})
    assert again.status == 409 and again.error == EXISTS


def test_guesses_are_counted(own_daemon, tmp_path):
    cert = Certificate(tmp_path, "guesser")
    with Served(own_daemon) as served:
        served.set({"core.trust_password": "right"})
        statuses = [join(served, cert, password=f"wrong{n}").status for n in range(12)]
        assert statuses == [403] * 10 + [429] * 2
        assert join(served, cert, password="right").status == 429
        token, _ = make_token(served)
        assert join(served, cert, trust_token=token).status == 201, "tokens cannot be guessed, so nobody is kept waiting"


# ---- who is in already
def test_already_trusted(served, cert):
    cert.trust(served.rest)
    assert join(served, cert).error == "Certificate already in trust store"
    token, op = make_token(served)
    assert join(served, cert, trust_token=token).status in (400, 409)
    served.rest.delete(f"operations/{op['id']}")


def test_a_tenant_adds_nobody(served, cert, tmp_path):
    cert.trust(served.rest, restricted=True, projects=["default"])
    other = base64.b64encode(Certificate(tmp_path, "friend").der).decode()
    assert join(served, cert, certificate=other).status == 403
    assert join(served, cert, token=True, name="friend").status == 403
    assert join(served, cert).error == "Certificate already in trust store"


# ---- one's own entry
def test_a_tenant_renews_its_certificate_and_nothing_else(served, cert, tmp_path):
    cert.trust(served.rest, restricted=True, projects=["default"], name="tenant")
    client = served.at(cert)
    own = f"certificates/{cert.fingerprint}"
    mine = client.read(own)
    assert mine["restricted"] and client.get(f"certificates/{cert.fingerprint[:8]}").status == 200
    assert client.get("certificates").status == 403
    for change in ({"restricted": False}, {"projects": []}, {"projects": ["default", "x"]}, {"name": "root"}, {"type": "metrics"},
                   {"description": "mine"}):
        assert client.patch(own, change).status == 403, change
        assert client.put(own, {**mine, **change}).status == 403, change
    assert client.delete(own).status == 403
    new = Certificate(tmp_path, "renewed")
    reply = client.put(own, {**mine, "certificate": new.pem})
    assert reply.status == 200, reply
    assert client.get("instances").status == 403, "the old one is out"
    assert served.at(new).get("instances").status == 200
    got = served.rest.read(f"certificates/{new.fingerprint}")
    assert got["restricted"] and got["projects"] == ["default"] and got["name"] == "tenant"


def test_a_renewal_takes_nobodys_place(served, cert, tmp_path):
    cert.trust(served.rest, restricted=True, projects=["default"])
    admin = Certificate(tmp_path, "boss").trust(served.rest)
    reply = served.at(cert).patch(f"certificates/{cert.fingerprint}", {"certificate": admin.pem})
    assert reply.status == 409 and reply.error == EXISTS
    assert not served.rest.read(f"certificates/{admin.fingerprint}")["restricted"]


# ---- the end of trust
def test_a_removed_certificate_loses_its_rights_on_open_connections(served, cert):
    cert.trust(served.rest)
    client = served.at(cert)
    conn = client.http()
    conn.request("GET", "/1.0/instances")
    assert conn.getresponse().read() and True
    with client.events() as events:
        served.rest.change("DELETE", f"certificates/{cert.fingerprint}")
        conn.request("GET", "/1.0/instances")
        assert conn.getresponse().status == 403
        events.thread.join(10)
        assert not events.thread.is_alive(), "its websocket is still open"
    conn.close()


def test_a_change_of_projects_ends_what_is_open(served, cert):
    cert.trust(served.rest, restricted=True, projects=["default"])
    client = served.at(cert)
    with client.events() as events:
        served.rest.change("PATCH", f"certificates/{cert.fingerprint}", {"name": "other name"})
        served.rest.change("PATCH", f"certificates/{cert.fingerprint}", {"projects": []})
        events.thread.join(10)
        assert not events.thread.is_alive()
    assert client.get("instances").status == 403
    with pytest.raises(websocket.WebSocketException):
        client.websocket("events")


def test_exec_ends_with_the_trust(served, cert, instance):
    name = instance().name
    cert.trust(served.rest, restricted=True, projects=["default"])
    client = served.at(cert)
    op = client.start_op("POST", f"instances/{name}/exec", {"command": ["cat"], "wait-for-websocket": True, "interactive": True})
    fds = op["metadata"]["fds"]
    tty, control = (client.websocket(f"{'/1.0/operations/' + op['id']}/websocket", {"secret": fds[k]}) for k in ("0", "control"))
    tty.send_binary(b"hello\n")
    assert tty.recv()
    served.rest.change("DELETE", f"certificates/{cert.fingerprint}")
    tty.settimeout(10)
    with pytest.raises((websocket.WebSocketException, ConnectionError, OSError)):
        while tty.recv():
            pass
        raise ConnectionError("closed")
    control.close()


def test_events_of_certificates_name_who_did_it(served, cert):
    with served.rest.events("lifecycle") as events:
        cert.trust(served.rest)
        served.at(cert).change("PATCH", f"certificates/{cert.fingerprint}", {"name": "again"})
        served.rest.change("DELETE", f"certificates/{cert.fingerprint}")
        url = f"/1.0/certificates/{cert.fingerprint}"
        who = {a: events.wait_for(lambda e, a=a: e["metadata"]["action"] == a and e["metadata"]["source"] == url)["metadata"]["requestor"]
               for a in ("certificate-created", "certificate-updated", "certificate-deleted")}
    assert who["certificate-created"]["protocol"] == "unix"
    assert who["certificate-updated"]["protocol"] == "tls" and who["certificate-updated"]["username"] == cert.fingerprint
    assert who["certificate-updated"]["address"].startswith("127.0.0.1:")


# ---- the lxc client of the distribution
def test_lxc_joins_by_token(served, daemon):
    added = daemon.lxc("config", "trust", "add", "--name", "joiner")
    assert added.code == 0, added
    token = added.out.strip().splitlines()[-1]
    assert "joiner" in daemon.lxc("config", "trust", "list-tokens").out
    done = daemon.lxc("remote", "add", "joined", token)
    assert done.code == 0, done
    assert "joiner" not in daemon.lxc("config", "trust", "list-tokens").out
    assert daemon.lxc("list", "joined:").code == 0
    assert "joiner" in daemon.lxc("config", "trust", "list").out


def test_lxc_joins_by_password(served, daemon):
    served.set({"core.trust_password": "sesame"})
    wrong = daemon.lxc("remote", "add", "byword", served.address, "--accept-certificate", "--password", "nonsense")
    assert wrong.code != 0
    done = daemon.lxc("remote", "add", "byword", served.address, "--accept-certificate", "--password", "sesame")
    assert done.code == 0, done
    assert daemon.lxc("list", "byword:").code == 0


def test_lxc_revokes_a_token(served, daemon):
    token = daemon.lxc("config", "trust", "add", "--name", "gone", check=True).out.strip().splitlines()[-1]
    daemon.lxc("config", "trust", "revoke-token", "gone", check=True)
    assert daemon.lxc("remote", "add", "nowhere", token).code != 0


def test_lxc_works_inside_its_project(served, daemon, busybox_tar):
    """A tenant with the real client: joins by a token for one project, and lives there."""
    rest = served.rest
    rest.change("POST", "projects", {"name": "home", "config": {"features.images": "false", "features.profiles": "false"}})
    try:
        added = daemon.lxc("config", "trust", "add", "--name", "tenant", "--restricted", "--projects", "home")
        assert added.code == 0, added
        done = daemon.lxc("remote", "add", "house", added.out.strip().splitlines()[-1])
        assert done.code == 0, done
        daemon.lxc("remote", "switch", "house", check=True)
        assert "home" in daemon.lxc("project", "list").out and "default" not in daemon.lxc("project", "list", "-f", "csv").out
        daemon.lxc("project", "switch", "house:home", check=True)
        fp = daemon.lxc("query", "local:/1.0/images/aliases/testimage").out
        fp = json.loads(fp)["target"] if fp else images.import_image(rest, busybox_tar, "testimage")
        launched = daemon.lxc("launch", fp[:12], "tenant1")
        assert launched.code == 0, launched
        assert daemon.lxc("exec", "tenant1", "--", "echo", "hello").out == "hello\n"
        assert "tenant1" in daemon.lxc("list", "-f", "csv").out
        assert "tenant1" in daemon.lxc("list", "--all-projects", "-f", "csv").out
        refused = daemon.lxc("config", "set", "tenant1", "security.privileged=true")
        assert refused.code != 0 and "restricted.containers.privilege" in refused.err
        assert daemon.lxc("list", "--project", "default").code != 0
        assert daemon.lxc("delete", "-f", "tenant1").code == 0
    finally:
        daemon.lxc("remote", "switch", "local")
        rest.change("DELETE", "projects/home")
