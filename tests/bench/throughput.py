"""CPU per request of the handler over that of a minimal epoll server with the same bytes in and out, in turns, with
wrk on the other core. Ratios hold from machine to machine; seconds do not.

    python3 tests/bench/throughput.py [BUILD_DIR] [SECONDS] [ROUNDS]
"""

import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile

from startup import descendants, first_answer, free_port

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release").resolve()
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
CONNECTIONS = 64
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
HOST_HEADERS = {
    "X-Azure-Functions-HostVersion": "4.1037.0.0",
    "X-Azure-Functions-InvocationId": "1a1740b7-480c-41f6-a33c-7e4e9fedff9b",
    "User-Agent": "Azure-Functions-Host/4.1037.0.0",
}
CLIENT_HEADERS = {  # with those of the host about 640 bytes
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Cookie": "theme=dark; seen=" + "0123456789" * 8,
    "Referer": "https://www.example.com/some/long/path/that/goes/on?and=on",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
}


def order_envelope(size):
    """A queue message for the function order, of about that many bytes, with one long string."""
    message = {"id": "A-17", "quantity": 2, "note": ""}
    envelope = {"Data": {"message": json.dumps(json.dumps(message))},
                "Metadata": {"DequeueCount": "1", "Id": "\"521f8f7a-0e9e-4512-9372-3e34a4fd161b\"",
                             "sys": {"MethodName": "order", "UtcNow": "2026-11-22T01:44:38.6627888Z"}}}
    message["note"] = "n" * max(0, size - len(json.dumps(envelope)))
    envelope["Data"]["message"] = json.dumps(json.dumps(message))
    return json.dumps(envelope)


WORK = {
    "GET forwarded, 640 bytes of headers": ("/api/hello/Ada", {**HOST_HEADERS, **CLIENT_HEADERS}, None),
    "envelope of 1 KiB, two members read, one output": ("/order", HOST_HEADERS, order_envelope(1024)),
    "envelope of 16 KiB with one long string": ("/order", HOST_HEADERS, order_envelope(16384)),
}


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def answer_body(port, path, headers, body):
    """What the handler answers, for the minimal server to answer the same."""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    request = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}{length}Connection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request.encode() + (body or "").encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    if not answer.startswith(b"HTTP/1.1 200"):
        sys.exit(f"the handler does not answer {path} with 200: {answer[:200]}")
    return answer.partition(b"\r\n\r\n")[2].decode()


def wrk_script(folder, headers, body):
    lines = [f'wrk.headers["{name}"] = {json.dumps(value)}' for name, value in headers.items()]
    if body:
        lines += ['wrk.method = "POST"', f"wrk.body = {json.dumps(body)}"]
    script = pathlib.Path(folder) / "request.lua"
    script.write_text("\n".join(lines) + "\n")
    return script


def load(port, path, script):
    """Requests that were answered."""
    done = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}", "-s", str(script),
                           f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(done.stdout)
    return int(re.search(r"(\d+) requests in", done.stdout)[1])


def measure(name, path, headers, body):
    ports = {"handler": free_port(), "minimal": free_port()}
    _, handler = first_answer(["taskset", "-c", "0", str(BUILD / "app" / "handler")], ports["handler"], BUILD / "app")
    minimal = None
    try:
        same = answer_body(ports["handler"], path, headers, body)
        _, minimal = first_answer(["taskset", "-c", "0", str(BUILD / "bench" / "minimal_server"), str(ports["minimal"]),
                                   same], ports["minimal"], BUILD / "app")
        pids = {"handler": descendants(handler.pid)[-1], "minimal": minimal.pid}
        costs = {"handler": [], "minimal": []}
        with tempfile.TemporaryDirectory() as folder:
            script = wrk_script(folder, headers, body)
            for _ in range(ROUNDS):
                for kind, pid in pids.items():
                    before = cpu_s(pid)
                    count = load(ports[kind], path, script)
                    costs[kind].append((cpu_s(pid) - before) / count * 1e6)
    finally:
        for process in (handler, minimal):
            if process:
                process.kill()
                process.wait()
    ratios = [ours / theirs for ours, theirs in zip(costs["handler"], costs["minimal"])]
    print(f"| {name} | {statistics.median(costs['handler']):.2f} | {statistics.median(costs['minimal']):.2f} | "
          f"{statistics.median(ratios):.2f} |", flush=True)


def main():
    print("| work | handler, us of CPU per request | minimal server | ratio (median) |\n|---|---|---|---|")
    for name, (path, headers, body) in WORK.items():
        measure(name, path, headers, body)


if __name__ == "__main__":
    main()
