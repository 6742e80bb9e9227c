"""REST calls and websockets over the daemon's Unix socket, as a client library would make them."""
import http.client
import json as jsonlib
import select
import socket
import threading
import time
from urllib.parse import quote, urlencode

import websocket


class OperationFailed(Exception):
    """A background operation ended with an error; `op` is its last state."""

    def __init__(self, op):
        super().__init__(f"{op.get('description')}: {op.get('err')}")
        self.op = op


class RestError(AssertionError):
    """A request that had to succeed did not."""


class Reply:
    """One answer: status, headers and body; `json` and `metadata` parse it."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return jsonlib.loads(self.body)

    @property
    def metadata(self):
        return self.json["metadata"]

    @property
    def error(self):
        return self.json.get("error", "")

    def __repr__(self):
        return f"<Reply {self.status} {self.body[:300]!r}>"


class UnixHTTPConnection(http.client.HTTPConnection):
    """http.client on a Unix socket; kept alive between requests."""

    def __init__(self, path, timeout=60):
        super().__init__("unix.socket", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = unix_connect(self.path, self.timeout)


def unix_connect(path, timeout=60):
    """A connected stream socket; the caller closes it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect(str(path))
    return sock


class Rest:
    """The API of one daemon. Paths may leave out the leading /1.0/."""

    def __init__(self, socket_path):
        self.socket_path = str(socket_path)

    def http(self, timeout=60):
        """A connection of http.client, not yet connected."""
        return UnixHTTPConnection(self.socket_path, timeout)

    def dial(self, timeout=60):
        """A connected stream socket; the caller closes it."""
        return unix_connect(self.socket_path, timeout)

    @staticmethod
    def url(path, query=None):
        if not path.startswith("/"):
            path = "/1.0/" + path
        if query:
            path += ("&" if "?" in path else "?") + urlencode(query)
        return path

    def request(self, method, path, json=None, data=None, headers=None, query=None, timeout=60):
        """One request on a connection of its own, whatever the answer's status is."""
        conn = self.http(timeout)
        try:
            headers = dict(headers or {})
            if json is not None:
                data = jsonlib.dumps(json).encode()
                headers.setdefault("Content-Type", "application/json")
            conn.request(method, self.url(path, query), body=data, headers=headers)
            answer = conn.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            conn.close()

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, json=None, **kw):
        return self.request("POST", path, json=json, **kw)

    def put(self, path, json=None, **kw):
        return self.request("PUT", path, json=json, **kw)

    def patch(self, path, json=None, **kw):
        return self.request("PATCH", path, json=json, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def read(self, path, **kw):
        """Metadata of a GET that must succeed."""
        reply = self.get(path, **kw)
        if reply.status != 200:
            raise RestError(f"GET {path}: {reply}")
        return reply.metadata

    def change(self, method, path, json=None, timeout=60, **kw):
        """A change that must succeed: waits for its operation if there is one and returns that operation."""
        reply = self.request(method, path, json=json, timeout=timeout, **kw)
        if reply.status not in (200, 201, 202):
            raise RestError(f"{method} {path}: {reply}")
        body = reply.json
        return self.wait(body["operation"], timeout) if body["type"] == "async" else body["metadata"]

    def refused(self, method, path, json=None, statuses=(400,), **kw):
        """Text of the error of a request that must fail with one of the statuses, at once or as an operation."""
        reply = self.request(method, path, json=json, **kw)
        if reply.status == 202:
            done = self.read(f"{reply.json['operation']}/wait", query={"timeout": 60}, timeout=70)
            if done["status_code"] != 400:  # "Failure": operations have no other word for it
                raise RestError(f"{method} {path}: should have been refused: {done}")
            return done["err"]
        if reply.status not in statuses:
            raise RestError(f"{method} {path}: should have been refused with {statuses}: {reply}")
        return reply.error

    def start_op(self, method, path, json=None, **kw):
        """Starts an operation and returns its state without waiting."""
        reply = self.request(method, path, json=json, **kw)
        if reply.status != 202:
            raise RestError(f"{method} {path}: {reply}")
        return reply.metadata

    def wait(self, op, timeout=60):
        """Waits for the end of an operation (its object or URL); raises OperationFailed unless it succeeded."""
        path = op if isinstance(op, str) else f"/1.0/operations/{op['id']}"
        reply = self.get(f"{path}/wait", query={"timeout": int(timeout)}, timeout=timeout + 10)
        if reply.status != 200:
            raise RestError(f"wait for {path}: {reply}")
        done = reply.metadata
        if done["status_code"] < 200:
            raise TimeoutError(f"operation still {done['status']} after {timeout} s: {done}")
        if done["status_code"] != 200:
            raise OperationFailed(done)
        return done

    def websocket(self, path, query=None, timeout=30):
        """An open websocket on an API path; the caller closes it."""
        sock = self.dial(timeout)
        try:
            ws = websocket.WebSocket()
            ws.settimeout(timeout)
            ws.connect("ws://unix.socket" + self.url(path, query), socket=sock, suppress_origin=True)
            return ws
        except BaseException:
            sock.close()
            raise

    def events(self, types=None, **query):
        """A listening `Events` object on /1.0/events."""
        if types:
            query["type"] = types
        return Events(self.websocket("/1.0/events", query))


class Events:
    """Collects events in the background from the moment the server accepted the listener."""

    def __init__(self, ws):
        self.ws = ws
        self.seen = []
        self.lock = threading.Condition()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while True:
                text = self.ws.recv()
                if not text:
                    return
                with self.lock:
                    self.seen.append(jsonlib.loads(text))
                    self.lock.notify_all()
        except (OSError, websocket.WebSocketException, ValueError):
            return

    def wait_for(self, match, timeout=20):
        """The first event, also an earlier one, for which match(event) holds."""
        end = time.monotonic() + timeout
        start = 0
        with self.lock:
            while True:
                for event in self.seen[start:]:
                    if match(event):
                        return event
                start = len(self.seen)
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no such event among {len(self.seen)}: {self.seen[-5:]}")
                self.lock.wait(left)

    def close(self):
        self.ws.close()
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ExecResult:
    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self):
        return f"<ExecResult {self.code} out={self.out!r} err={self.err!r}>"


class Exec:
    """A running exec operation with its websockets: "0", "1", "2" or, with a terminal, only "0"; and "control"."""

    def __init__(self, rest, name, command, interactive=False, **body):
        body = {"command": list(command), "wait-for-websocket": True, "interactive": interactive, **body}
        self.connect(rest, rest.start_op("POST", f"instances/{quote(name, safe='')}/exec", body), interactive)

    @classmethod
    def reattach(cls, rest, op_id, interactive=False):
        """Comes back to one that an earlier lxmd began."""
        ex = cls.__new__(cls)
        ex.connect(rest, rest.read(f"operations/{op_id}"), interactive)
        return ex

    def connect(self, rest, op, interactive):
        self.rest = rest
        self.op = op
        fds = op["metadata"]["fds"]
        self.ws = {}
        for key in ["control"] + (["0"] if interactive else ["0", "1", "2"]):
            self.ws[key] = rest.websocket(f"/1.0/operations/{self.op['id']}/websocket", {"secret": fds[key]})

    def send(self, data):
        self.ws["0"].send_binary(data)

    def eof(self):
        """Ends the command's input, the way clients do it: an empty text frame."""
        self.ws["0"].send("")

    def control(self, **message):
        self.ws["control"].send(jsonlib.dumps(message))

    def output(self, timeout=30):
        """Reads all output streams until each has ended; (stdout or terminal, stderr)."""
        streams = {key: b"" for key in self.ws if key in ("0", "1", "2")}
        if len(streams) == 3:
            del streams["0"]
        left = {self.ws[key].sock: key for key in streams}
        end = time.monotonic() + timeout
        while left:
            ready, _, _ = select.select(list(left), [], [], max(0, end - time.monotonic()))
            if not ready:
                raise TimeoutError(f"output did not end; so far {streams}")
            for sock in ready:
                key = left[sock]
                data = self._frame(self.ws[key])
                if data:
                    streams[key] += data
                else:
                    del left[sock]
        return (streams["0"], b"") if "0" in streams else (streams["1"], streams["2"])

    @staticmethod
    def _frame(ws):
        """Data of the next frame, b'' when the stream has ended."""
        try:
            op, data = ws.recv_data()
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            return b""
        return data if op == websocket.ABNF.OPCODE_BINARY else b""

    def wait(self, timeout=30):
        """The operation's `return` value; waits for the command's end. 126 and 127 come with a failed operation."""
        try:
            return self.rest.wait(self.op, timeout)["metadata"]["return"]
        except OperationFailed as e:
            code = (e.op.get("metadata") or {}).get("return")
            if code not in (126, 127):
                raise
            return code

    def close(self):
        for ws in self.ws.values():
            ws.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run_exec(rest, name, command, stdin=b"", timeout=30, **body):
    """Runs a command through pipes and returns its ExecResult."""
    with Exec(rest, name, command, **body) as ex:
        if stdin:
            ex.send(stdin)
        ex.eof()
        out, err = ex.output(timeout)
        return ExecResult(ex.wait(timeout), out, err)
