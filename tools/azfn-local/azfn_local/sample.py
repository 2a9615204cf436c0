"""What an HTTP function is tried with: its sample.dat as the body, and the lines of its sample.headers.

    X-Signature-256: sha256={hmac-sha256:webhook-key}

{hmac-sha256:NAME} becomes the hexadecimal HMAC-SHA256 of the body, with azfn.json's secret NAME as the key.
"""

import hashlib
import hmac
import json
import re

_SIGNATURE = re.compile(r"\{hmac-sha256:([^{}]+)\}")


def sample_request(function, body, secret_of=None):
    """(method, headers) to try an HTTP function with this body; bytes() for none. secret_of(name) gives a secret's
    value; without it what needs one stays as it is written."""
    allowed = function.methods or {"GET", "POST"}
    order = ("POST", "PUT", "PATCH", "GET") if body else ("GET", "POST")
    method = next((method for method in order if method in allowed), sorted(allowed)[0])
    headers = [(name, _SIGNATURE.sub(lambda match: _sign(match, body, secret_of), value))
               for name, value in _read_headers(function)]
    if body and not any(name.lower() == "content-type" for name, _ in headers):
        headers.insert(0, ("Content-Type", "application/json" if _is_json(body) else "text/plain"))
    return method, headers


def _read_headers(function):
    path = function.folder and function.folder / "sample.headers"
    if not path or not path.is_file():
        return []
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    pairs = [line.partition(":") for line in lines if line and not line.startswith("#")]
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _sign(match, body, secret_of):
    if secret_of is None:
        return match[0]
    try:
        key = secret_of(match[1])
    except KeyError:
        return match[0]
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def _is_json(body):
    try:
        json.loads(body)
        return True
    except ValueError:
        return False
