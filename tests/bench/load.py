"""The requests, and two ways to send them: wrk for time, one connection at a time for counting."""

import json
import pathlib
import re
import socket
import subprocess

HOST_HEADERS = {
    "X-Azure-Functions-HostVersion": "4.1037.0.0",
    "X-Azure-Functions-InvocationId": "1a1740b7-480c-41f6-a33c-7e4e9fedff9b",
    "User-Agent": "Azure-Functions-Host/4.1037.0.0",
}
CLIENT_HEADERS = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Cookie": "theme=dark; seen=" + "0123456789" * 15 + "; id=1",
    "Referer": "https://www.example.com/some/long/path/that/goes/on?and=on",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
}
CHUNK_BYTES = 1024  # as the host cuts its envelopes


class Work:
    """One kind of request."""

    def __init__(self, name, path, headers=None, body=None, is_chunked=False, goal=None, connections=64):
        self.name = name
        self.path = path
        self.headers = {"Host": "127.0.0.1", **(headers or HOST_HEADERS)}
        self.body = body
        self.is_chunked = is_chunked
        self.goal = goal
        self.connections = connections

    def bytes(self, last=False):
        headers = dict(self.headers)
        body = (self.body or "").encode()
        if self.is_chunked:
            headers["Transfer-Encoding"] = "chunked"
            pieces = [body[i:i + CHUNK_BYTES] for i in range(0, len(body), CHUNK_BYTES)] + [b""]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        elif self.body is not None:
            headers["Content-Length"] = str(len(body))
        if self.body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        if last:
            headers["Connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{'GET' if self.body is None else 'POST'} {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def envelope(size, message, name="message", is_text=True):
    """What the host sends for a queue message (text in text) or an event (an object)."""
    def make(filler):
        content = message(filler)
        return json.dumps({"Data": {name: json.dumps(json.dumps(content)) if is_text else content},
                           "Metadata": {"DequeueCount": "1", "Id": "\"521f8f7a-0e9e-4512-9372-3e34a4fd161b\"",
                                        "sys": {"MethodName": "bench", "UtcNow": "2026-11-22T01:44:38.6627888Z"}}},
                          separators=(",", ":"))
    low, high = 0, size
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(make(middle)) <= size else (low, middle - 1)
    return make(low)


def long_string(filler):
    return {"id": "A-17", "quantity": 2, "note": ("a note that goes on and on, " * (filler // 28 + 1))[:filler]}


def small_values(filler):
    """A tree of about filler / 80 lines."""
    lines = [{"sku": f"S-{i:05}", "count": i % 9, "price": i * 1.25, "tags": ["new", "blue"], "taxed": i % 2 == 0}
             for i in range(filler // 80)]
    return {"id": "A-17", "customer": {"name": "Ada", "country": None}, "lines": lines, "quantity": 2}


def goals():
    """The kinds of requests that have a goal, and their neighbours that have none."""
    return [
        Work("GET forwarded, 640 bytes of headers", "/api/hello/Ada", {**HOST_HEADERS, **CLIENT_HEADERS}, goal=1.15),
        Work("envelope of 1 KiB, one member read, one output", "/one_member", body=envelope(1024, long_string),
             goal=1.25),
        Work("the same, chunked, as the host sends it", "/one_member", body=envelope(1024, long_string),
             is_chunked=True),
        Work("envelope of 16 KiB with one long string, which is read", "/long_text", body=envelope(16384, long_string),
             goal=2.7),
        Work("envelope of 16 KiB with a tree of small values, two members read", "/two_members",
             body=envelope(16384, small_values, is_text=False), goal=4),
        Work("the same tree as text in a queue message", "/two_members", body=envelope(16384, small_values)),
        Work("envelope of 1 MiB, chunked", "/long_text", body=envelope(1 << 20, long_string), is_chunked=True, goal=6,
             connections=8),
    ]


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\n\r\nHello, Ada!\n"


def with_headers(count):
    """A GET with that many header lines."""
    headers = {**HOST_HEADERS}
    for i in range(count - len(headers) - 1):
        headers[f"X-Header-{i}"] = "a value of thirty characters.."
    return Work(f"{count} headers", "/api/hello/Ada", headers)


def upload(size):
    return Work(f"body of {size} bytes", "/api/upload", body="x" * size, connections=8)


def ask(port, work):
    """One answer, whole."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(work.bytes())
        return read_answer(connection)


def read_answer(connection):
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = connection.recv(65536)
        if not more:
            raise RuntimeError(f"the connection was closed: {answer!r}")
        answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"not the answer that was meant: {head!r}")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while len(body) < int(length[1] if length else 0):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def send_in_turn(port, work, count, connections=1):
    """count requests, one on each connection at a time."""
    data = work.bytes()
    open_ones = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    try:
        for _ in range(count // connections):
            for connection in open_ones:
                connection.sendall(data)
            for connection in open_ones:
                read_answer(connection)
    finally:
        for connection in open_ones:
            connection.close()


def lua_text(data):
    """A Lua string of any bytes."""
    return '"' + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\{c:03}" for c in data) + '"'


class Result:
    def __init__(self, requests, seconds):
        self.requests = requests
        self.per_second = requests / seconds


def run_wrk(port, work, seconds, folder, core=None, connections=None):
    script = pathlib.Path(folder) / "request.lua"
    script.write_text(f"local request = {lua_text(work.bytes())}\nwrk.format = function() return request end\n")
    pin = ["taskset", "-c", str(core)] if core is not None else []
    command = [*pin, "wrk", "-t1", f"-c{connections or work.connections}", f"-d{seconds}", "-s", str(script),
               f"http://127.0.0.1:{port}{work.path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    requests, took = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout).groups()
    return Result(int(requests), float(took))
