"""HTTP heads as the host writes them: what forwarding and proxying share."""

import dataclasses
import http

# headers that .NET keeps with the body
CONTENT_HEADERS = {"allow", "content-disposition", "content-encoding", "content-language", "content-length",
                   "content-location", "content-md5", "content-range", "content-type", "expires", "last-modified"}


class CannotForward(Exception):
    """The host fails before the handler sees anything; the client gets 500."""


@dataclasses.dataclass
class HttpAnswer:
    """What the HTTP client gets. Content-Length is left to the sender, unless it is in headers."""
    status: int
    reason: str
    headers: list
    body: bytes = b""

    @classmethod
    def error(cls, status=500, reason=None):
        return cls(status, standard_reason(status) if reason is None else reason, [])

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


def standard_reason(status):
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def percent_encode(pattern, text):
    """text with what the pattern finds as %XX of its UTF-8."""
    return pattern.sub(lambda match: "".join(f"%{byte:02X}" for byte in match.group().encode()), text)


def known_name(headers, name):
    """The spelling in which a header is there already, or name."""
    return next((known for known in headers if known.lower() == name.lower()), name)


def needs_length(method):
    """Whether a request without a body says so with Content-Length: 0."""
    return method.upper() not in ("GET", "HEAD", "CONNECT", "OPTIONS", "DELETE")


def encode_head(method, target, headers):
    """The bytes of a request's head; headers: name -> list of values, each in one line. CannotForward."""
    lines = [f"{method} {target} HTTP/1.1"]
    for name, values in headers.items():
        joint = {"cookie": "; ", "user-agent": " "}.get(name.lower(), ", ")
        lines.append(f"{name}: {joint.join(values)}")
    try:
        return "\r\n".join(lines + ["", ""]).encode("ascii")
    except UnicodeEncodeError as error:
        raise CannotForward("a header value is not ASCII") from error


def sends_allowed(has_body):
    """How often the host's HTTP client sends a request when the connection is closed without an answer."""
    return 1 if has_body else 4
