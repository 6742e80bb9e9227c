"""A small SFTP version 3 client over the API's upgrade, for tests: requests may be sent ahead, answers are kept by id."""
import struct

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR = range(1, 13)
REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(13, 21)
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
F_READ, F_WRITE, F_APPEND, F_CREAT, F_TRUNC, F_EXCL = 1, 2, 4, 8, 16, 32
NO_ATTRS = struct.pack(">I", 0)


class SftpError(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


def raw(s):
    return s.encode() if isinstance(s, str) else s


def string(s):
    return struct.pack(">I", len(raw(s))) + raw(s)


def attrs(size=None, ids=None, mode=None, times=None):
    flags, body = 0, b""
    for bit, form, value in ((1, ">Q", size), (2, ">II", ids), (4, ">I", mode), (8, ">II", times)):
        if value is not None:
            flags |= bit
            body += struct.pack(form, *(value if isinstance(value, tuple) else (value,)))
    return struct.pack(">I", flags) + body


def upgrade(daemon, name, timeout=30):
    """The connection after the 101; RuntimeError with the answer if there is none."""
    sock = daemon.rest.dial(timeout)
    sock.sendall(f"GET /1.0/instances/{name}/sftp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: sftp\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        got = sock.recv(1)
        if not got:
            break
        head += got
    if b" 101 " not in head.split(b"\r\n")[0]:
        sock.close()
        raise RuntimeError(head.decode())
    assert b"upgrade: sftp" in head.lower()
    return sock


class Attrs:
    def __init__(self, reader):
        flags = reader.u32()
        self.flags = flags
        self.size = reader.u64() if flags & 1 else None
        self.uid, self.gid = (reader.u32(), reader.u32()) if flags & 2 else (None, None)
        self.mode = reader.u32() if flags & 4 else None
        self.atime, self.mtime = (reader.u32(), reader.u32()) if flags & 8 else (None, None)


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n):
        self.at += n
        assert self.at <= len(self.data)
        return self.data[self.at - n:self.at]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def u64(self):
        return struct.unpack(">Q", self.take(8))[0]

    def string(self):
        return self.take(self.u32())


class Sftp:
    def __init__(self, daemon, name, init=True):
        self.sock = upgrade(daemon, name)
        self.serial = 0
        self.answers = {}
        self.version = None
        if init:
            self.send_raw(struct.pack(">BI", INIT, 3))
            kind, body = self.packet()
            assert kind == VERSION
            reader = Reader(body)
            self.version, self.extensions = reader.u32(), {}
            while reader.at < len(body):
                key = reader.string().decode()
                self.extensions[key] = reader.string().decode()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- packets
    def send_raw(self, body):
        self.sock.sendall(struct.pack(">I", len(body)) + body)

    def exactly(self, n):
        out = bytearray()
        while len(out) < n:
            got = self.sock.recv(n - len(out))
            if not got:
                raise EOFError("connection closed")
            out += got
        return bytes(out)

    def packet(self):
        body = self.exactly(struct.unpack(">I", self.exactly(4))[0])
        return body[0], body[1:]

    def send(self, kind, *parts):
        self.serial += 1
        self.send_raw(struct.pack(">BI", kind, self.serial) + b"".join(parts))
        return self.serial

    def answer(self, serial):
        while serial not in self.answers:
            kind, body = self.packet()
            self.answers[struct.unpack(">I", body[:4])[0]] = (kind, Reader(body[4:]))
        return self.answers.pop(serial)

    def ask(self, kind, *parts, want=STATUS):
        return self.result(self.send(kind, *parts), want)

    def result(self, serial, want=STATUS):
        kind, reader = self.answer(serial)
        if kind == STATUS:
            code, text = reader.u32(), reader.string().decode(errors="replace")
            if code or want != STATUS:
                raise SftpError(code, text)
            return None
        assert kind == want, (kind, want)
        return reader

    # ---- verbs
    def open(self, path, flags=F_READ, attributes=NO_ATTRS):
        return self.ask(OPEN, string(path), struct.pack(">I", flags), attributes, want=HANDLE).string()

    def close_handle(self, handle):
        self.ask(CLOSE, string(handle))

    def read(self, handle, offset, n):
        return self.ask(READ, string(handle), struct.pack(">QI", offset, n), want=DATA).string()

    def write(self, handle, offset, data):
        self.ask(WRITE, string(handle), struct.pack(">Q", offset), string(data))

    def get(self, path):
        handle, out = self.open(path), b""
        try:
            while True:
                out += self.read(handle, len(out), 32768)
        except SftpError as e:
            if e.code != 1:
                raise
        self.close_handle(handle)
        return out

    def put(self, path, data, attributes=NO_ATTRS):
        handle = self.open(path, F_WRITE | F_CREAT | F_TRUNC, attributes)
        for at in range(0, len(data), 32768):
            self.write(handle, at, data[at:at + 32768])
        self.close_handle(handle)

    def stat(self, path, kind=STAT):
        return Attrs(self.ask(kind, string(path), want=ATTRS))

    def lstat(self, path):
        return self.stat(path, LSTAT)

    def list(self, path):
        handle, names = self.ask(OPENDIR, string(path), want=HANDLE).string(), {}
        try:
            while True:
                reader = self.ask(READDIR, string(handle), want=NAME)
                for _ in range(reader.u32()):
                    name = reader.string()
                    longname = reader.string()
                    names[name] = (longname, Attrs(reader))
        except SftpError as e:
            if e.code != 1:
                raise
        self.close_handle(handle)
        return names

    def name(self, kind, path):
        reader = self.ask(kind, string(path), want=NAME)
        assert reader.u32() == 1
        return reader.string()
