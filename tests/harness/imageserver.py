"""An HTTPS server on loopback that offers images, well-behaved or not: simplestreams, the images of an LXD, direct files."""
import hashlib
import io
import json
import ssl
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from . import images


def sha(*data):
    return hashlib.sha256(b"".join(data)).hexdigest()


def make_certificate(directory, name="images.test"):
    """(PEM file with key and certificate, PEM text of the certificate), signed by itself."""
    both = directory / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", both, "-out", directory / "crt"],
                   check=True, capture_output=True)
    text = (directory / "crt").read_text()
    both.write_text(both.read_text() + text)
    return both, text


def split(text):
    """(metadata tar.xz, root tar.xz) of a busybox image unlike all others."""
    whole = tarfile.open(fileobj=io.BytesIO(images.busybox_tar(metadata=images.METADATA.replace("system tests", text))))
    meta, root = images.Tar(), images.Tar()
    for entry in whole:
        inside = entry.name.startswith("rootfs")
        to, data = (root if inside else meta), whole.extractfile(entry) if entry.isreg() else None
        if inside:
            entry.name = "." + entry.name[len("rootfs"):]
        to.tar.addfile(entry, data)
    return images.compress(meta.bytes(), "gzip"), images.compress(root.bytes(), "gzip")


class Streams:
    """A simplestreams tree in the making."""

    def __init__(self):
        self.products = {}
        self.files = {}

    def add(self, aliases, version, meta, root, arch="amd64", **change):
        """One version of a product; `change` spoils single fields: root_sha256, root_size, combined ..."""
        key = f"{aliases.split(',')[0]}:{arch}"
        product = self.products.setdefault(key, {"aliases": aliases, "arch": arch, "os": "busybox", "release": "test",
                                                 "variant": "default", "versions": {}})
        paths = {"meta": f"images/{key}/{version}/lxd.tar.xz", "root": f"images/{key}/{version}/root.tar.xz"}
        self.files["/" + paths["meta"]] = meta
        self.files["/" + paths["root"]] = root
        product["versions"][version] = {"items": {
            "lxd.tar.xz": {"ftype": "lxd.tar.xz", "path": paths["meta"], "size": change.get("meta_size", len(meta)),
                           "sha256": change.get("meta_sha256", sha(meta)),
                           "combined_rootxz_sha256": change.get("combined", sha(meta, root))},
            "root.tar.xz": {"ftype": "root.tar.xz", "path": paths["root"], "size": change.get("root_size", len(root)),
                            "sha256": change.get("root_sha256", sha(root))}}}
        return sha(meta, root)

    def routes(self):
        index = {"format": "index:1.0", "index": {
            "other": {"datatype": "image-ids", "path": "streams/v1/other.json", "products": []},
            "images": {"datatype": "image-downloads", "path": "streams/v1/images.json", "products": list(self.products)}}}
        return {"/streams/v1/index.json": json.dumps(index).encode(),
                "/streams/v1/images.json": json.dumps({"format": "products:1.0", "products": self.products}).encode(), **self.files}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status=200, body=b"", length=None, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self):
        url = urlsplit(self.path)
        self.query = {k: v[0] for k, v in parse_qs(url.query).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), self.body))
        route = self.server.routes.get(url.path)
        try:
            if callable(route):
                route(self)
            elif route is None:
                self.answer(404, b'{"type":"error","error_code":404,"error":"SECRET-TEXT-OF-THE-SERVER"}')
            else:
                self.answer(200, route)
        except (OSError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = handle_any


class Server(ThreadingHTTPServer):
    """`routes` maps a path to bytes or to a function of the handler; `seen` lists the requests that came."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, pem=None, certificate=""):
        super().__init__(("127.0.0.1", 0), Handler)
        self.certificate = certificate
        self.routes = {}
        self.seen = []
        self.context = None
        if pem:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pem)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def finish_request(self, request, address):
        if self.context:
            request.settimeout(30)
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, address)

    def handle_error(self, request, address):
        pass

    @property
    def url(self):
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.server_address[1]}"

    def paths(self):
        return [path for _, path, _, _ in self.seen]

    def close(self):
        self.shutdown()
        self.server_close()
