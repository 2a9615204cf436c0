"""A broker that checks nothing, at the other end of a channel: so that the steps that speak to azfn's broker
are seen to be what they claim."""

import socket
import struct
import threading
import urllib.parse

PREFIX = "https://api.partner.example/v1/"
SECRET_ASK, REQUEST, SECRET, RESPONSE, RESPONSE_END = 6, 7, 65, 66, 68


class TrustingBroker:
    """.theirs is for the attacker. .lines are what it would have logged, .faults what it could not read."""

    def __init__(self):
        self._ours, self.theirs = socket.socketpair()
        self.lines = []
        self.faults = []
        self.targets = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()
        self._ours.close()

    def finish(self):
        """When the attacker has ended: waits until all that it said was read."""
        self.theirs.close()
        self._thread.join(20)

    def _run(self):
        stream = self._ours.makefile("rb")
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack("<II", head)
            payload = stream.read(length)
            try:
                if len(payload) < length:
                    raise ValueError("waits for more")
                self._take(kind, payload)
            except (ValueError, struct.error) as error:
                self.faults.append(str(error))
        stream.close()

    def _take(self, kind, payload):
        if kind == SECRET_ASK:
            identifier, texts = payload[:4], self._texts(payload[4:], 4)
            value = b"canary-of-" + texts[3].encode("latin-1")
            self._send(SECRET, identifier + b"\0" + struct.pack("<H", 0) + struct.pack("<H", len(value)) + value)
        elif kind == REQUEST:
            identifier, texts = payload[:4], self._texts(payload[16:], 6)
            self.targets.append(urllib.parse.urljoin(PREFIX, texts[5]))
            self._send(RESPONSE, identifier + struct.pack("<HH", 200, 0))
            self._send(RESPONSE_END, identifier + struct.pack("<I", 0))
        elif kind == 3:
            event, _, _, text = self._texts(payload[1:], 4)
            self.lines += f"{event} {text}".split("\n")
        elif kind == 2:
            self.lines.append(self._texts(payload, 1)[0])
        else:
            raise ValueError(f"frame {kind}")

    @staticmethod
    def _texts(payload, count):
        found = []
        for _ in range(count):
            (length,) = struct.unpack_from("<H", payload)
            found.append(payload[2:2 + length].decode("latin-1"))
            payload = payload[2 + length:]
        return found

    def _send(self, kind, payload):
        self._ours.sendall(struct.pack("<II", len(payload), kind) + payload)
