"""A program on a pseudo terminal of ours, as a person would have it."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from .daemon import SLOW


class Terminal:
    """Runs argv on a terminal of that size; type() what a person types, expect() what shows up."""

    def __init__(self, argv, env, rows=24, cols=80):
        self.fd, self.slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.slave)  # before the program can have changed it
        self.proc = subprocess.Popen([str(a) for a in argv], stdin=self.slave, stdout=self.slave, stderr=self.slave, env=dict(env, TERM="xterm"),
                                     start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.seen = b""

    def type(self, data):
        os.write(self.fd, data)

    def expect(self, text, timeout=15):
        """Waits for the text and returns what came up to it."""
        end = time.monotonic() + timeout * SLOW
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} did not come, but {self.seen!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 65536)
        at = self.seen.index(text) + len(text)
        out, self.seen = self.seen[:at], self.seen[at:]
        return out

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def end(self, timeout=15):
        """Waits for the program's end: its exit status. It has to leave the terminal as it was."""
        code = self.proc.wait(timeout * SLOW)
        assert termios.tcgetattr(self.slave)[3] == self.before[3], "the terminal was left in raw mode"
        self.close()
        return code

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        for fd in (self.fd, self.slave):
            if fd >= 0:
                os.close(fd)
        self.fd = self.slave = -1
