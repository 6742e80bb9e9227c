"""The TLS listener: who gets in and as whom, what is spoken, changes while it runs, and clients that misbehave."""
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

from harness.daemon import Daemon
from harness.rest import Exec
from harness.sftp import F_CREAT, F_READ, F_WRITE, Sftp
from harness.tls import Certificate, Served, TlsRest, free_port, openssl

pytestmark = pytest.mark.host_only("TLS and HTTP on the loopback")


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    return tmp_path_factory.mktemp("certs")


@pytest.fixture(scope="module")
def client(certs):
    return Certificate(certs, "client")


@pytest.fixture
def served(bare):
    with Served(bare) as s:
        yield s


def wait_until(holds, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.02)


# ---- what is spoken
def s_client(address, *options):
    """Does a handshake with these options of openssl s_client come about? The cipher suite, or None."""
    done = subprocess.run(["openssl", "s_client", "-connect", address, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    found = re.search(r"Cipher is (\S+)", done.stdout)
    return found.group(1) if found and found.group(1) != "(NONE)" and done.returncode == 0 else None


WEAK = ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-CCM8",
        "AES128-SHA", "AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256", "ADH-AES128-SHA256", "AECDH-AES256-SHA", "ECDHE-ECDSA-NULL-SHA", "NULL-SHA256",
        "PSK-AES128-GCM-SHA256", "ECDHE-ECDSA-CAMELLIA128-SHA256", "ECDHE-ECDSA-ARIA128-GCM-SHA256"]


def test_versions_and_weak_suites(served):
    old = ["-cipher", "ALL:@SECLEVEL=0"]
    assert s_client(served.address, "-tls1_3") == "TLS_AES_256_GCM_SHA384"
    for version in ("-tls1", "-tls1_1", "-tls1_2"):
        assert s_client(served.address, version, *old) is None, version
    assert s_client(served.address, "-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256:TLS_AES_128_CCM_SHA256") is None
    served.set({"core.https_tls_minimum": "1.2"})
    assert s_client(served.address, "-tls1_3") == "TLS_AES_256_GCM_SHA384"
    for version in ("-tls1", "-tls1_1"):
        assert s_client(served.address, version, *old) is None, version
    for good in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"):
        assert s_client(served.address, "-tls1_2", "-cipher", good) == good
    for weak in WEAK:
        assert s_client(served.address, "-tls1_2", "-cipher", f"{weak}:@SECLEVEL=0") is None, weak
    served.set({"core.https_tls_minimum": ""})
    assert s_client(served.address, "-tls1_2") is None
    assert "1.2" in served.rest.refused("PATCH", "/1.0", {"config": {"core.https_tls_minimum": "1.0"}})


def test_no_renegotiation_no_compression_no_authorities_named(served):
    served.set({"core.https_tls_minimum": "1.2"})
    done = subprocess.run(["openssl", "s_client", "-connect", served.address, "-tls1_2"], input="R\n", capture_output=True, text=True, timeout=20)
    assert "Compression: NONE" in done.stdout
    assert "No client certificate CA names sent" in done.stdout
    assert "no renegotiation" in done.stderr, done.stderr


# ---- the server's certificate
def test_server_certificate_is_what_clients_need(served):
    der = served.at().server_der()
    text = openssl("x509", "-noout", "-text", input=ssl.DER_cert_to_PEM_cert(der))
    assert f"DNS:{socket.gethostname()}" in text and "DNS:localhost" in text and "IP Address:127.0.0.1" in text
    assert "TLS Web Server Authentication" in text and "TLS Web Client Authentication" not in text
    assert "ASN1 OID: secp384r1" in text and "CA:FALSE" in text
    env = served.rest.read("/1.0")["environment"]
    assert ssl.PEM_cert_to_DER_cert(env["certificate"]) == der
    assert env["certificate_fingerprint"] == hashlib.sha256(der).hexdigest()
    for name in ("server.crt", "server.key"):
        assert (served.daemon.dir / name).stat().st_mode & 0o777 == 0o600


def test_certificate_is_replaced_while_clients_stay(served, certs, client):
    client.trust(served.rest)
    before = served.at().server_der()
    with served.at(client).dial() as kept:
        new = Certificate(certs, "replaced", extensions=["subjectAltName=DNS:other.example", "extendedKeyUsage=serverAuth"])
        other = Certificate(certs, "stranger")
        directory = served.daemon.dir
        key, crt = (directory / "server.key").read_text(), (directory / "server.crt").read_text()
        # not a pair: the old one stays in force
        (directory / "server.key").write_text(other.key.read_text())
        served.daemon.proc.send_signal(signal.SIGHUP)
        wait_until(lambda: "does not belong" in served.daemon.log_tail())
        assert served.at().server_der() == before
        try:
            (directory / "server.key").write_text(new.key.read_text())
            (directory / "server.crt").write_text(new.pem)
            assert served.daemon.lxmd("reload").code == 0
            assert served.at().server_der() == new.der
            assert served.rest.read("/1.0")["environment"]["certificate_fingerprint"] == new.fingerprint
            kept.sendall(b"GET /1.0/instances HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in kept.recv(4096).split(b"\r\n")[0]
        finally:
            (directory / "server.key").write_text(key)
            (directory / "server.crt").write_text(crt)
            served.daemon.lxmd("reload", check=True)


# ---- who calls
def test_without_a_known_certificate_little_is_seen(served, client, certs):
    for rest in (served.at(), served.at(client), served.at(Certificate(certs, "rsa", kind="rsa:2048"))):
        assert rest.read("/") == ["/1.0"]
        server = rest.read("/1.0")
        assert server["auth"] == "untrusted" and "environment" not in server and "config" not in server
        assert rest.get("instances").status == 403
        assert rest.get("nothing").status == 404


def test_known_certificate_is_an_administrator_until_it_is_removed(served, client):
    client.trust(served.rest)
    rest = served.at(client)
    server = rest.read("/1.0")
    assert server["auth"] == "trusted" and server["auth_user_method"] == "tls" and server["auth_user_name"] == client.fingerprint
    conn = rest.http()
    conn.request("GET", "/1.0/instances")
    assert conn.getresponse().read() and conn.sock
    served.rest.change("DELETE", f"certificates/{client.fingerprint}")
    conn.request("GET", "/1.0/instances")  # the same connection
    assert conn.getresponse().status == 403
    conn.close()


def test_rsa_client_is_trusted_as_well(served, certs):
    rsa = Certificate(certs, "rsa2", kind="rsa:2048").trust(served.rest)
    assert served.at(rsa).get("instances").status == 200


def test_certificate_outside_of_its_time_is_nobodys(served, certs):
    late = Certificate(certs, "late", days=-1).trust(served.rest)
    assert served.at(late).read("/1.0")["auth"] == "untrusted"
    assert served.at(late).get("instances").status == 403


def resumed(rest, sock):
    """A second connection with the session of the first."""
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 200 " in sock.recv(4096)  # the ticket comes with it
    return rest.dial(session=sock.session)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumed_session_keeps_who_it_is(served, client, certs, version):
    served.set({"core.https_tls_minimum": "1.2"})
    client.trust(served.rest)
    ask = b"GET /1.0/instances HTTP/1.1\r\nHost: x\r\n\r\n"
    rest = served.at(client, version=version)
    with rest.dial() as first, resumed(rest, first) as again:
        assert again.session_reused
        again.sendall(ask)
        assert b" 200 " in again.recv(4096).split(b"\r\n")[0]
        session = first.session
        served.rest.change("DELETE", f"certificates/{client.fingerprint}")
        with rest.dial(session=session) as late:  # what a ticket says is no trust
            late.sendall(ask)
            assert b" 403 " in late.recv(4096).split(b"\r\n")[0]
    client.trust(served.rest)
    nobody = served.at(version=version)
    with nobody.dial() as first, resumed(nobody, first) as again:
        again.sendall(ask)
        assert b" 403 " in again.recv(4096).split(b"\r\n")[0]


# ---- authority
@pytest.fixture
def authority(served, certs):
    ca = Certificate(certs, "ca", extensions=["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"])
    (served.daemon.dir / "server.ca").write_text(ca.pem)
    served.daemon.lxmd("reload", check=True)
    yield ca
    for name in ("server.ca", "ca.crl"):
        (served.daemon.dir / name).unlink(missing_ok=True)
    served.daemon.lxmd("reload", check=True)


def revoke(certs, ca, *revoked):
    """A list of revoked certificates in PEM form."""
    (certs / "index.txt").write_text("".join(
        f"R\t{time.strftime('%y%m%d%H%M%SZ', time.gmtime(time.time() + 864000))}\t{time.strftime('%y%m%d%H%M%SZ', time.gmtime())}\t"
        f"{openssl('x509', '-in', c.crt, '-noout', '-serial').strip().split('=')[1]}\tunknown\t/CN=x\n" for c in revoked))
    (certs / "ca.conf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={certs}/index.txt\ndefault_md=sha256\ndefault_crl_days=5\n")
    return openssl("ca", "-config", certs / "ca.conf", "-gencrl", "-keyfile", ca.key, "-cert", ca.crt)


def test_authority_narrows_and_never_widens(served, certs, client, authority):
    signed = Certificate(certs, "signed", ca=authority)
    confined = Certificate(certs, "confined", ca=authority).trust(served.rest, restricted=True, projects=[])
    client.trust(served.rest)  # known, but not signed: does not count
    assert served.at(client).get("instances").status == 403
    assert served.at(signed).get("instances").status == 403  # signed, but not known
    served.set({"core.trust_ca_certificates": "true"})
    assert served.at(client).get("instances").status == 403
    conn = served.at(signed).http()
    conn.request("GET", "/1.0/certificates")
    answer = conn.getresponse()
    assert answer.status == 200 and answer.read()
    assert served.at(confined).get("certificates").status == 403  # stays what the trust store says
    (served.daemon.dir / "ca.crl").write_text(revoke(certs, authority, signed))
    assert served.daemon.lxmd("reload").code == 0
    conn.request("GET", "/1.0/certificates")  # the connection that was trusted a moment ago
    assert conn.getresponse().status == 403
    conn.close()
    assert served.at(confined).read("/1.0")["auth"] == "trusted"
    (served.daemon.dir / "ca.crl").write_text("no list")
    assert "ca" in served.daemon.lxmd("reload").err
    assert served.at(signed).get("certificates").status == 403


# ---- addresses
def listens(address):
    try:
        return TlsRest(address).get("/").status == 200
    except OSError:
        return False


def test_addresses_change_while_it_runs(served, client):
    client.trust(served.rest)
    old, new = served.address, f"127.0.0.1:{free_port()}"
    with TlsRest(old, client).dial() as kept:
        TlsRest(old, client).change("PATCH", "/1.0", {"config": {"core.https_address": new}})
        assert listens(new) and not listens(old)
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # whoever is there stays
        assert b" 200 " in kept.recv(4096)
    six = f"[::1]:{free_port('::1')}"
    served.set({"core.https_address": f"{new},{six}"})
    assert listens(new) and listens(six)
    assert served.rest.read("/1.0")["environment"]["addresses"] == sorted([new, six])
    port = new.split(":")[1]
    served.set({"core.https_address": f"[::]:{port}"})  # overlaps with what is bound
    assert listens(new) and listens(f"[::1]:{port}") and not listens(six)
    assert not [a for a in served.rest.read("/1.0")["environment"]["addresses"] if a.startswith(("127.", "[::", "0."))]
    served.set({"core.https_address": ""})
    assert not listens(new)
    assert served.rest.read("/1.0")["environment"]["addresses"] == []


def test_address_that_cannot_be_bound_changes_nothing(served):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = f"127.0.0.1:{taken.getsockname()[1]}"
        for bad in (busy, f"127.0.0.1:{free_port()},{busy}", "192.0.2.1:8443"):
            reply = served.rest.patch("/1.0", {"config": {"core.https_address": bad, "user.x": "1"}})
            assert reply.status >= 400 and "listen on" in reply.error
            assert listens(served.address)
            assert served.rest.read("/1.0")["config"] == {"core.https_address": served.address}
    served.rest.refused("PATCH", "/1.0", {"config": {"core.https_address": "no host:1"}})


def test_address_outlives_a_restart_and_may_be_taken_then(bare):
    with Served(bare) as s:
        bare.stop()
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", s.port))
            thief.listen()
            bare.start()  # comes up all the same
            assert s.rest.read("/1.0")["environment"]["addresses"] == []
        bare.stop()
        bare.start()
        assert listens(s.address)


def test_two_daemons_differ(served):
    other = Daemon("tls2")
    try:
        other.start()
        with Served(other) as s:
            assert served.at().server_der() != s.at().server_der()
            busy = other.rest.patch("/1.0", {"config": {"core.https_address": served.address}})
            assert busy.status >= 400 and listens(s.address)
    finally:
        assert not other.discard()


def test_metrics_listener_answers_for_metrics_only(served, client):
    client.trust(served.rest)
    metrics = f"127.0.0.1:{free_port()}"
    served.set({"core.metrics_address": metrics})
    rest = TlsRest(metrics, client)
    assert rest.read("/") == ["/1.0"] and rest.read("/1.0")["auth"] == "trusted"
    for path in ("instances", "certificates", "/1.0/metrics/x", "/internal/ready"):
        assert rest.get(path).status == 404
    assert rest.patch("/1.0", {"config": {"user.x": "1"}}).status == 404
    assert served.rest.read("/1.0")["environment"]["addresses"] == [served.address]


# ---- proxies and pages
def requestor(served, head, client):
    """Address in the lifecycle event of a change over a connection that begins with these bytes."""
    rest = served.at(client)
    with served.rest.events("lifecycle") as events:
        with rest.raw() as raw:
            raw.sendall(head)
            with rest.ctx.wrap_socket(raw) as sock:
                body = json.dumps({"config": {"user.t": str(time.monotonic())}})
                sock.sendall(f"PATCH /1.0 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                assert b" 200 " in sock.recv(4096)
        return events.wait_for(lambda e: e["metadata"]["action"] == "config-updated")["metadata"]["requestor"]["address"]


def test_proxy_header_counts_only_from_configured_proxies(served, client):
    client.trust(served.rest)
    v1 = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 8443\r\n"
    v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H4s4sHH", 15, bytes([203, 0, 113, 8]), bytes(4), 4712, 1) + b"tlv"
    six = b"\r\n\r\n\0\r\nQUIT\n\x21\x21" + struct.pack(">H16s16sHH", 36, socket.inet_pton(socket.AF_INET6, "2001:db8::1"), bytes(16), 4713, 1)
    with pytest.raises(OSError):
        requestor(served, v1, client)
    served.set({"core.https_trusted_proxy": "192.0.2.1, 127.0.0.1"})
    assert requestor(served, v1, client) == "203.0.113.7:4711"
    assert requestor(served, v2, client) == "203.0.113.8:4712"
    assert requestor(served, six, client) == "[2001:db8::1]:4713"
    assert requestor(served, b"PROXY UNKNOWN\r\n", client).startswith("127.0.0.1:")
    assert requestor(served, b"", client).startswith("127.0.0.1:")
    for bad in (b"PROXY TCP4 nonsense\r\n", b"PROXX", b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0"):
        with pytest.raises(OSError):
            requestor(served, bad, client)
    served.rest.refused("PATCH", "/1.0", {"config": {"core.https_trusted_proxy": "proxy.example"}})


def test_pages_of_other_sites_are_refused(served, client):
    client.trust(served.rest)
    rest = served.at(client)
    foreign, own = {"Origin": "https://evil.example"}, {"Origin": f"https://{served.address}"}
    assert rest.get("/1.0", headers=foreign).status == 403
    assert rest.post("profiles", {"name": "evil"}, headers=foreign).status == 403
    assert rest.request("OPTIONS", "/1.0", headers=foreign).status == 403
    for fine in (own, {"Origin": "ws+unix://localhost"}, {"Origin": "null"}, {}):
        reply = rest.get("/1.0", headers=fine)
        assert reply.status == 200 and "Access-Control-Allow-Origin" not in reply.headers
    for origin, status in ((foreign, b" 403 "), (own, b" 101 ")):
        with rest.dial() as sock:
            sock.sendall(f"GET /1.0/events HTTP/1.1\r\nHost: {served.address}\r\nOrigin: {origin['Origin']}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
            assert status in sock.recv(4096).split(b"\r\n")[0]
    assert served.rest.get("/1.0", headers=foreign).status == 200  # no browser reaches a Unix socket


def test_pages_that_are_let_in(served, client):
    client.trust(served.rest)
    rest = served.at(client)
    page = {"Origin": "https://ui.example"}
    served.set({"core.https_allowed_origin": "https://ui.example", "core.https_allowed_methods": "GET, PUT", "core.https_allowed_headers": "X-A",
                "core.https_allowed_credentials": "true"})
    for method in ("GET", "OPTIONS"):
        reply = rest.request(method, "/1.0", headers=page)
        assert reply.status == 200
        assert reply.headers["Access-Control-Allow-Origin"] == "https://ui.example"
        assert reply.headers["Access-Control-Allow-Methods"] == "GET, PUT"
        assert reply.headers["Access-Control-Allow-Headers"] == "X-A"
        assert reply.headers["Access-Control-Allow-Credentials"] == "true"
    assert reply.body == b""
    assert rest.get("/1.0", headers={"Origin": "https://evil.example"}).status == 403
    assert "Access-Control-Allow-Origin" not in rest.get("/1.0").headers


# ---- bytes that are no TLS, and patience
def test_garbage_and_half_handshakes_bother_nobody(served, client):
    client.trust(served.rest)
    rest = served.at(client)
    held = []
    for junk in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(40), b"\x16\x03\x01\xff\xff"):
        held += [rest.raw() for _ in range(20)]
        for sock in held[-20:]:
            sock.sendall(junk)
    for junk in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(3000), b"\x80\x2e\x01\x00\x02" + bytes(60), b"\x15\x03\x03\x00\x02\x02\x28"):
        with rest.raw(10) as sock:
            try:
                sock.sendall(junk)
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
    with rest.dial() as sock:  # a good handshake, then bytes that are no record
        raw = socket.socket(fileno=os.dup(sock.fileno()))
        raw.sendall(os.urandom(200))
        raw.close()
    slow = [served.at().dial() for _ in range(20)]
    for sock in slow:
        sock.sendall(b"GET /1.0 HTTP/1.1\r\nX: ")
    for _ in range(5):
        assert rest.get("instances").status == 200
    assert served.rest.get("instances").status == 200
    for sock in held + slow:
        sock.close()


def test_too_long_headers_are_refused(served):
    with served.at().dial() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200000 + b"\r\n\r\n")
        assert sock.recv(4096).split(b" ")[1] in (b"431", b"413", b"414", b"400")


def test_refused_upload_still_gets_its_reason(served, client):
    """The body is read to its end although nobody wants it: the answer must not drown in a reset."""
    reply = served.at().request("POST", "images", data=os.urandom(3 << 20), headers={"Content-Type": "application/octet-stream"})
    assert reply.status == 403
    client.trust(served.rest)
    assert served.at(client).request("POST", "profiles", data=b"{" + b" " * (5 << 20)).status == 413


def test_many_connections_side_by_side(served, client):
    client.trust(served.rest)
    rest = served.at(client)
    conns = [rest.http() for _ in range(100)]
    for _ in range(3):
        for conn in conns:
            conn.request("GET", "/1.0/profiles?recursion=1")
        for conn in conns:
            answer = conn.getresponse()
            assert answer.status == 200 and json.loads(answer.read())["metadata"]
    for conn in conns:
        conn.close()


def test_stops_with_clients_still_there(client):
    daemon = Daemon("tls3")
    try:
        daemon.start()
        with Served(daemon) as s:
            client.trust(s.rest)
            held = [s.at(client).dial() for _ in range(5)] + [s.at().raw() for _ in range(5)]
            with s.at(client).events():
                daemon.stop()
                for sock in held:
                    sock.settimeout(10)
                    try:
                        assert sock.recv(100) == b""
                    except ConnectionError:
                        pass
                    sock.close()
    finally:
        assert not daemon.discard()


# ---- streams
@pytest.fixture
def far(daemon, client):
    """The session's daemon as seen over TLS by an administrator."""
    with Served(daemon) as s:
        client.trust(s.rest)
        yield s.at(client)


def test_exec_with_a_terminal_and_events_over_tls(far, instance):
    inst = instance()
    with far.events("lifecycle") as events, \
            Exec(far, inst.name, ["sh", "-c", "stty size; read x; stty size; exit 4"], interactive=True, width=80, height=24) as ex:
        shown = b""
        while b"24 80" not in shown:
            shown += ex.ws["0"].recv()
        ex.control(command="window-resize", args={"width": "120", "height": "40"})
        ex.send(b"\n")
        assert b"40 120" in ex.output()[0]
        assert ex.wait() == 4
        who = events.wait_for(lambda e: e["metadata"]["action"] == "instance-exec")["metadata"]["requestor"]
        assert who["protocol"] == "tls" and who["address"].startswith("127.0.0.1:")


def test_100_mb_through_exec_each_way(far, instance):
    inst = instance()
    piece = os.urandom(1 << 20)
    with Exec(far, inst.name, ["sh", "-c", "wc -c; head -c 104857600 /dev/zero"]) as ex:
        for _ in range(100):
            ex.send(piece)
        ex.eof()
        count, _, zeros = ex.ws["1"].recv().partition(b"\n")  # the program's writes may come as one message
        assert count == b"104857600"
        got = len(zeros)
        while frame := ex.ws["1"].recv():
            got += len(frame)
        assert got == 104857600
        assert ex.wait() == 0


class Remote:
    """What the SFTP client asks of a daemon."""

    def __init__(self, rest):
        self.rest = rest


def test_100_mb_through_sftp_each_way(far, instance):
    inst = instance()
    piece = os.urandom(32 << 10)
    with Sftp(Remote(far), inst.name) as c:
        handle = c.open("/root/big", F_READ | F_WRITE | F_CREAT)
        for i in range(3200):
            c.write(handle, i * len(piece), piece)
        assert c.stat("/root/big").size == 104857600
        assert all(c.read(handle, i * len(piece), len(piece)) == piece for i in range(3200))
        c.close_handle(handle)


# ---- set-up
def test_init_listens_only_when_told(daemon, client):
    assert "core.https_address" not in daemon.rest.read("/1.0")["config"]  # after init --auto
    with Served(daemon) as s:
        port = str(free_port())
        daemon.lxmd("init", "--auto", "--network-address", "127.0.0.1", "--network-port", port, check=True)
        assert listens(f"127.0.0.1:{port}") and not listens(s.address)
        daemon.lxmd("init", "--preseed", stdin=f"config:\n  core.https_address: '{s.address}'\n", check=True)
        assert listens(s.address)
