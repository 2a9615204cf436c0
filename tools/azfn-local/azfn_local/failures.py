"""What a stand-in does wrong when it is told to, and the small language that tells it.

    vault.fail("503:3")                           # the next three requests
    vault.fail("429,retry-after=2:1@webhook-key")  # the next one for that secret
    vault.fail("403=ForbiddenByRbac")             # all, until vault.recover()
"""

import dataclasses
import re
import threading

# at the accept of a connection, before there is a request
CONNECTION_KINDS = {
    "drop": "connections are closed at once",
    "mute": "connections are accepted, and nothing is ever said on them",
}
TLS_KINDS = {
    "certificate": "=expired, =wrong-host or =other-authority: what a client must not accept",
    "old-tls": "nothing newer than TLS 1.1",
}
REQUEST_KINDS = {
    "slow": "=SECONDS before each answer",
    "hold": "no answer until release() (for tests)",
    "broken": "the connection is reset instead of an answer",
    "truncated": "half of an answer's body, then the end of the connection",
    "stall": "half of an answer's body, then nothing more",
    "endless": "an answer's body, or with =head its head, that has no end",
    "garbage": "200 with a body that is not JSON",
    "wrong-type": "200 with JSON of the wrong shape",
    "empty": "200 without a body",
    "redirect": "307 to =URL, or to the stand-in itself",
}
_SPECIFICATION = re.compile(r"(?P<kind>[1-5]\d\d|[a-z-]+)(?:=(?P<value>.*?))?(?:,retry-after=(?P<retry_after>[^:@,]+))?"
                            r"(?::(?P<times>\d+))?(?:@(?P<target>[^@]+))?")

SYNTAX = "KIND[=VALUE][,retry-after=SECONDS][:COUNT][@TARGET]"


@dataclasses.dataclass
class Failure:
    """times None: every time. target None: any request. retry_after is put into the answer as it is."""
    kind: str  # three digits: a status
    value: str | None = None
    times: int | None = None
    target: str | None = None
    retry_after: str | None = None

    @classmethod
    def parse(cls, text):
        match = _SPECIFICATION.fullmatch(text)
        if not match:
            raise ValueError(f"'{text}' is not {SYNTAX}")
        parts = match.groupdict()
        return cls(**{**parts, "times": None if parts["times"] is None else int(parts["times"])})

    @property
    def status(self):
        return int(self.kind) if self.kind.isdigit() else None

    def __str__(self):
        return self.kind + (f"={self.value}" if self.value else "")


class Failures:
    """Those of one stand-in, in order; uses of it from several threads are fine."""

    def __init__(self, kinds):
        self._kinds = set(kinds)
        self._items = []
        self._lock = threading.Lock()

    def add(self, failure):
        """A Failure, or its text. ValueError for a kind that the stand-in does not have."""
        if isinstance(failure, str):
            failure = Failure.parse(failure)
        if failure.status is None and failure.kind not in self._kinds:
            raise ValueError(f"'{failure.kind}' is not a status and none of {', '.join(sorted(self._kinds))}")
        if failure.kind == "slow":
            float(failure.value or "none")  # its own ValueError
        if failure.times != 0:
            with self._lock:
                self._items.append(failure)
        return failure

    def clear(self):
        with self._lock:
            self._items.clear()

    def take_connection(self):
        """The failure of a new connection, or None."""
        return self._take(lambda item: item.kind in CONNECTION_KINDS or item.kind in TLS_KINDS)

    def take_request(self, target):
        """The failure of a request for target, or None."""
        return self._take(lambda item: item.kind not in CONNECTION_KINDS and item.kind not in TLS_KINDS
                          and (item.target is None or item.target.lower() == (target or "").lower()))

    def _take(self, is_meant):
        with self._lock:
            found = next((item for item in self._items if is_meant(item)), None)
            if found and found.times is not None:
                found.times -= 1
                if found.times == 0:
                    self._items.remove(found)
            return found


def describe_kinds(kinds):
    """Lines for --help."""
    width = max(map(len, kinds)) + 2
    return "\n".join(f"  {kind:{width}}{text}" for kind, text in kinds.items())
