"""The client programs of the suite, each with a configuration directory of its own."""
import json
from pathlib import Path

from harness.daemon import TOP
from harness.terminal import Terminal
from harness.tls import Certificate

INCUS = TOP / "build/cache/incus/usr/bin/incus"


class Client:
    """lxc or incus: `client("list")` runs it, `local:` is the server under test."""

    def __init__(self, server, program, conf):
        self.server = server
        self.program = program
        self.conf = Path(conf)
        self.is_incus = program == INCUS
        self.opened = []
        self.env = {"HOME": str(conf), **({"INCUS_SOCKET": str(server.socket), "INCUS_CONF": str(conf)} if self.is_incus else {"LXD_CONF": str(conf)})}

    def __call__(self, *argv, **kw):
        return self.server.run([self.program, *argv], **self.env, **kw)

    def ok(self, *argv, **kw):
        """Output of a command that has to succeed."""
        done = self(*argv, **kw)
        assert done.code == 0, f"{Path(self.program).name} {' '.join(map(str, argv))}: {done}"
        return done.out

    def fails(self, *argv, **kw):
        """What a command that has to fail said."""
        done = self(*argv, **kw)
        assert done.code not in (0, 2) and done.err.strip(), f"{Path(self.program).name} {' '.join(map(str, argv))}: {done}"
        return done.err

    def terminal(self, *argv, **size):
        """The program on a Terminal; close() ends it."""
        self.opened.append(Terminal([self.program, *argv], dict(self.server.env, **self.env), **size))
        return self.opened[-1]

    def close(self):
        for term in self.opened:
            term.close()

    def row(self, name, remote=""):
        return next(i for i in json.loads(self.ok("list", remote, "-f", "json")) if i["name"] == name)

    # ---- getting in
    def join(self, remote, server, how):
        """Adds `server` as a remote, by "token", by "certificate" or by "password"."""
        if how == "token":
            self.ok("remote", "add", remote, token(server, self.conf.name))
        elif how == "password":
            server.ok("config", "set", "core.trust_password=sesame")
            self.ok("remote", "add", remote, server.address, "--accept-certificate", "--password", "sesame")
            server.ok("config", "unset", "core.trust_password")
        else:
            if not (self.conf / "client.crt").exists():
                Certificate(self.conf)
            server.ok("config", "trust", "add", self.conf / "client.crt", "--name", self.conf.name)
            self.ok("remote", "add", remote, server.address, "--accept-certificate")


def token(server, name, *flags):
    """A join token of a server, as its administrator gets it from lxc."""
    return server.ok("config", "trust", "add", "--name", name, *flags).strip().splitlines()[-1]
