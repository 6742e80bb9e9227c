"""The API over TLS: certificates made with the openssl program, and REST calls with one of them."""
import base64
import hashlib
import http.client
import socket
import ssl
import subprocess
from pathlib import Path

from .rest import Rest


class Certificate:
    """A key and a certificate in files of a directory; self-signed unless `ca` (another Certificate) signs it."""

    def __init__(self, directory, name="client", days=30, ca=None, kind="ec:P-384", not_before=None, extensions=()):
        self.key = Path(directory) / f"{name}.key"
        self.crt = Path(directory) / f"{name}.crt"
        csr = Path(directory) / f"{name}.csr"
        ext = Path(directory) / f"{name}.ext"
        option = f"{'ec_paramgen_curve' if kind.startswith('ec') else 'rsa_keygen_bits'}:{kind.split(':')[1]}"
        openssl("req", "-new", "-newkey", kind.split(":")[0], "-pkeyopt", option, "-nodes", "-keyout", self.key, "-out", csr, "-subj", f"/CN={name}")
        ext.write_text("\n".join(extensions) + "\n")
        signer = ["-CA", ca.crt, "-CAkey", ca.key, "-CAcreateserial"] if ca else ["-signkey", self.key]
        openssl("x509", "-req", "-in", csr, "-out", self.crt, "-days", str(days), "-extfile", ext, *signer)

    @property
    def pem(self):
        return self.crt.read_text()

    @property
    def der(self):
        return ssl.PEM_cert_to_DER_cert(self.pem)

    @property
    def fingerprint(self):
        return hashlib.sha256(self.der).hexdigest()

    def trust(self, rest, **more):
        """Puts it into the trust store."""
        rest.change("POST", "certificates", {"certificate": base64.b64encode(self.der).decode(), "name": "test", "type": "client", **more})
        return self


def openssl(*argv, **kw):
    """Runs openssl, which must succeed; its output."""
    return subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True, text=True, **kw).stdout


def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


class TlsRest(Rest):
    """Rest over TLS to HOST:PORT, with a certificate or without; the server's is not verified, but kept in server_der."""

    def __init__(self, address, certificate=None, version=None):
        super().__init__(f"https://{address}")
        self.host, port = address.rsplit(":", 1)
        self.host, self.port = self.host.strip("[]"), int(port)
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ctx.check_hostname = False
        self.ctx.verify_mode = ssl.CERT_NONE
        if version:
            self.ctx.minimum_version = self.ctx.maximum_version = version
        if certificate:
            self.ctx.load_cert_chain(certificate.crt, certificate.key)

    def http(self, timeout=60):
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.ctx)

    def raw(self, timeout=60):
        """A TCP connection without TLS."""
        sock = socket.create_connection((self.host, self.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def dial(self, timeout=60, session=None):
        return self.ctx.wrap_socket(self.raw(timeout), session=session)

    def server_der(self):
        """The certificate that the server shows now."""
        with self.dial() as sock:
            return sock.getpeercert(binary_form=True)


class Served:
    """A daemon that listens on the network of its host for a test: put() its addresses, and all is off at the end."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.rest = daemon.rest

    def __enter__(self):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.set({"core.https_address": self.address})
        return self

    def __exit__(self, *_):
        if self.daemon.alive():
            config = self.rest.read("/1.0")["config"]
            self.set({key: "" for key in config if key.startswith(("core.https", "core.metrics", "core.trust"))})
            for url in self.rest.read("certificates"):
                self.rest.delete(url)

    def set(self, config):
        self.rest.change("PATCH", "/1.0", {"config": config})

    def at(self, certificate=None, **kw):
        return TlsRest(self.address, certificate, **kw)
