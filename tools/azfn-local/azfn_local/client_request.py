"""A client's request as the host's web server (Kestrel) sees it, before a function gets it."""

import dataclasses
import re
import urllib.parse

# the names that Kestrel knows come first and in this order; Content-Length ends them, all others follow as sent
_KNOWN_ORDER = [
    "Accept", "Connection", "Host", "User-Agent", "Accept-Charset", "Accept-Encoding", "Accept-Language",
    "Access-Control-Request-Headers", "Access-Control-Request-Method", "Alt-Used", "Authorization", "baggage",
    "Cache-Control", "Content-Type", "Cookie", "Correlation-Context", "Date", "Expect", "From",
    "Grpc-Accept-Encoding", "Grpc-Encoding", "Grpc-Timeout", "If-Match", "If-Modified-Since", "If-None-Match",
    "If-Range", "If-Unmodified-Since", "Keep-Alive", "Max-Forwards", "Origin", "Pragma", "Proxy-Authorization",
    "Range", "Referer", "Request-Id", "TE", "traceparent", "tracestate", "Transfer-Encoding", "Translate",
    "Upgrade", "Upgrade-Insecure-Requests", "Via", "Warning", "Content-Length",
]
_KNOWN = {name.lower(): name for name in _KNOWN_ORDER}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class BadRequest(Exception):
    """The host's web server answers this itself, with status."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


@dataclasses.dataclass
class ClientRequest:
    method: str
    target: str
    headers: dict = dataclasses.field(default_factory=dict)  # name -> list of values, in the host's order
    body: bytes = b""
    is_chunked: bool = False
    version: str = "HTTP/1.1"

    @classmethod
    def make(cls, method, target, headers=(), body=b"", host="localhost:7071"):
        """A request from its parts; Host and Content-Length are added where missing."""
        headers = list(headers)
        names = {name.lower() for name, _ in headers}
        if "host" not in names:
            headers.insert(0, ("Host", host))
        if body and "content-length" not in names and "transfer-encoding" not in names:
            headers.append(("Content-Length", str(len(body))))
        return cls.from_parts(method, target, headers, body)

    @classmethod
    def from_parts(cls, method, target, headers, body=b"", version="HTTP/1.1"):
        """headers: (name, value) as received. BadRequest where the web server would refuse it."""
        found = {}
        for name, value in headers:
            if not _TOKEN.fullmatch(name) or "\0" in value:
                raise BadRequest(400, f"bad header '{name}'")
            key = next((known for known in found if known.lower() == name.lower()),
                       _KNOWN.get(name.lower(), name))
            found.setdefault(key, []).append(value)
        ordered = {name: found.pop(name) for name in _KNOWN_ORDER if name in found}
        ordered.update(found)
        if "Connection" in ordered:
            ordered["Connection"] = ["close" if "close" in ordered["Connection"][0].lower() else "keep-alive"]
        if version == "HTTP/1.1" and len(ordered.get("Host", [])) != 1:
            raise BadRequest(400, "needs exactly one Host header")
        is_chunked = "chunked" in ",".join(ordered.get("Transfer-Encoding", [])).lower()
        if not target.startswith("/"):
            parts = urllib.parse.urlsplit(target)
            if parts.scheme not in ("http", "https"):
                raise BadRequest(400, "bad request target")
            target = (parts.path or "/") + ("?" + parts.query if "?" in target else "")
        return cls(method, target, ordered, body, is_chunked, version)

    @classmethod
    def from_bytes(cls, data):
        """Parses one whole request."""
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, target, version = (part.decode("latin-1") for part in first.split(b" "))
        headers = [decode_header_line(line) for line in lines]
        names = {name.lower(): value for name, value in headers}
        if "chunked" in names.get("transfer-encoding", "").lower():
            pieces = []
            while rest:
                size, _, rest = rest.partition(b"\r\n")
                pieces.append(rest[:int(size, 16)])
                rest = rest[int(size, 16) + 2:]
            rest = b"".join(pieces)
        elif "content-length" in names:
            rest = rest[:int(names["content-length"])]
        return cls.from_parts(method, target, headers, rest, version)

    def header(self, name):
        """All values of a header joined with a comma, or None."""
        values = next((found for key, found in self.headers.items() if key.lower() == name.lower()), None)
        return None if values is None else ",".join(values)

    @property
    def host(self):
        return self.header("Host")

    @property
    def raw_query(self):
        """With its question mark, as sent; empty without one."""
        _, mark, query = self.target.partition("?")
        return mark + query

    @property
    def path(self):
        """The decoded path: %2F stays, as do sequences that are not UTF-8; dot segments are resolved."""
        decoded = decode_path(self.target.partition("?")[0])
        return remove_dot_segments(decoded)

    @property
    def query(self):
        """name -> list of values, decoded. Names that differ in case are one; the first spelling stays."""
        found = {}
        for piece in self.raw_query[1:].split("&"):
            if not piece:
                continue
            name, _, value = piece.partition("=")
            name, value = decode_query(name), decode_query(value)
            key = next((known for known in found if known.lower() == name.lower()), name)
            found.setdefault(key, []).append(value)
        return found

    @property
    def has_body(self):
        """Whether a Content-Length above 0 was sent: the host takes no other body."""
        length = self.header("Content-Length") or "0"
        return length.isdigit() and int(length) > 0

    @property
    def media_type(self):
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower()


def decode_header_line(line):
    """(name, value) of a header line's bytes. Values are UTF-8; anything else is refused, as Kestrel does."""
    name, colon, value = line.partition(b":")
    if not colon:
        raise BadRequest(400, "bad header line")
    try:
        return name.decode("ascii"), value.strip(b" \t").decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(400, "a header is not UTF-8") from error


_ESCAPED_RUN = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def _decode_run(run, keep=()):
    """Decodes %XX sequences that are UTF-8; bytes that are not, and those in keep, stay as written."""
    data = bytes.fromhex(run.replace("%", ""))
    out, position = [], 0
    while position < len(data):
        character = None
        for size in range(1, min(4, len(data) - position) + 1):
            try:
                character = data[position:position + size].decode("utf-8")
                break
            except UnicodeDecodeError:
                continue
        if character is None or data[position:position + 1] in keep:
            out.append(run[position * 3:position * 3 + 3])
            position += 1
        else:
            out.append(character)
            position += size
    return "".join(out)


def decode_path(path):
    if "%00" in path:
        raise BadRequest(400, "a NUL in the path")
    return _ESCAPED_RUN.sub(lambda match: _decode_run(match.group(), (b"/",)), path)


def decode_query(text):
    return _ESCAPED_RUN.sub(lambda match: _decode_run(match.group()), text.replace("+", " "))


def remove_dot_segments(path):
    if "/." not in path:
        return path
    output = []
    segments = path.split("/")
    for index, segment in enumerate(segments):
        is_last = index == len(segments) - 1
        if segment == "..":
            if len(output) > 1:
                output.pop()
            if is_last:
                output.append("")
        elif segment == ".":
            if is_last:
                output.append("")
        else:
            output.append(segment)
    return "/".join(output)
