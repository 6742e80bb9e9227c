"""A client between two lxmd: what `copy --mode relay` does, carrying the frames of two operations to each other."""
import os
import socket
import threading

import websocket
from websocket import ABNF


class Relay:
    """Joins the sockets of a source's and a sink's operation. Messages are cut into pieces of odd sizes on the way.

    `after` bytes of fs the relay calls `on_byte` once (to kill somebody, say); `twist` may change what passes.
    """

    def __init__(self, source, sink, source_op, sink_op, after=None, on_byte=None, twist=None, piece=None):
        self.bytes = {"control": 0, "fs": 0}
        self.after, self.on_byte, self.twist, self.piece = after, on_byte, twist, piece
        self.threads, self.sockets = [], []
        for name in ("control", "fs"):
            ends = [rest.websocket(f"operations/{op['id']}/websocket", query={"secret": op["metadata"][name]}, timeout=120)
                    for rest, op in ((source, source_op), (sink, sink_op))]
            self.sockets += ends
            for way, (a, b) in (("down", ends), ("up", ends[::-1])):
                t = threading.Thread(target=self._carry, args=(name, way, a, b), daemon=True)
                t.start()
                self.threads.append(t)

    def _carry(self, name, way, a, b):
        try:
            while True:
                opcode, data = a.recv_data(control_frame=False)
                if opcode == ABNF.OPCODE_CLOSE:
                    break
                if way == "down":
                    self.bytes[name] += len(data)
                    if name == "fs" and self.on_byte and self.bytes["fs"] >= self.after:
                        act, self.on_byte = self.on_byte, None
                        act(self)
                if self.twist:
                    data = self.twist(name, way, data)
                self._send(b, opcode, data)
        except (websocket.WebSocketException, OSError):
            pass
        self._end(a, b)

    @staticmethod
    def _end(*sockets):
        """shutdown() and not close(): only that wakes a thread that reads from it."""
        for ws in sockets:
            try:
                ws.sock.shutdown(socket.SHUT_RDWR)
            except (OSError, AttributeError):
                pass  # it has ended already

    def _send(self, ws, opcode, data):
        at = 0
        while True:
            size = self.piece or 1 + int.from_bytes(os.urandom(2), "big") * 2
            piece, at = data[at:at + size], at + size
            ws.send_frame(ABNF.create_frame(piece, opcode, int(at >= len(data))))
            opcode = ABNF.OPCODE_CONT
            if at >= len(data):
                return

    def cut(self):
        """Both connections end without a word."""
        self._end(*self.sockets)

    def join(self, timeout=60):
        for t in self.threads:
            if t is not threading.current_thread():
                t.join(timeout)
        for ws in self.sockets:
            ws.shutdown()
