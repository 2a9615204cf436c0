#!/usr/bin/env python3
"""A custom handler as tutorials show it: an HTTP server of the standard library, its keys in the environment. Its
function has a bug that lets a caller run code: here a program, chosen by the tests, as that code would run, with all that
the handler has."""

import http.server
import json
import os
import subprocess
import urllib.parse

API_KEY = os.environ["PAYMENT_API_KEY"]
EXPLOIT = os.environ["ATTACK_BARE"]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/api/Attack":
            self.attack(query)
        else:
            self.answer(200, b"paid" if API_KEY else b"no key")

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        request = json.loads(self.rfile.read(length))["Data"]["req"]
        self.attack({**request["Query"], **{name.lower(): value[0] for name, value in request["Headers"].items()}})

    def attack(self, query):
        listener = self.server.fileno()
        if query["step"] == "redirect-host":
            self.answer(307, b"", Location=query["x-location"])
            return
        target = f"{self.headers.get('x-target', '')};listener={listener}"
        result = subprocess.run([EXPLOIT, "step", query["step"], target], pass_fds=[listener], timeout=60, check=False,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.answer(200, json.dumps({"code": result.returncode, "output": result.stdout.decode("latin-1")}).encode())

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


if __name__ == "__main__":
    port = int(os.environ["FUNCTIONS_CUSTOMHANDLER_PORT"])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
