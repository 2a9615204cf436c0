"""Servers that answer well and badly over TLS, for the tests of azfn-https.so. https_server.py FOLDER: makes
authorities and certificates there, writes one line of NAME=PORT on stdout, and ends with its stdin."""
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def make_authority(folder, name):
    openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def make_certificate(folder, authority, name, hosts, *dates):
    with open(os.path.join(folder, f"{name}.ext"), "w", encoding="ascii") as file:
        file.write(f"[v3]\nsubjectAltName={hosts}\n[ca]\ndefault_ca=one\n[one]\ndatabase={name}.db\n"
                   f"serial={name}.serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n")
    open(os.path.join(folder, f"{name}.db"), "w", encoding="ascii").close()
    with open(os.path.join(folder, f"{name}.serial"), "w", encoding="ascii") as file:
        file.write("01")
    openssl(folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    dates = dates or ("-days", "2")
    openssl(folder, "ca", "-batch", "-notext", "-config", f"{name}.ext", "-extensions", "v3", *dates,
            "-cert", f"{authority}.pem", "-keyfile", f"{authority}.key", "-in", f"{name}.csr", "-out", f"{name}.pem")


class Gone(Exception):
    pass


class Connection:
    numbers = 0
    counts = {}
    lock = threading.Lock()

    def __init__(self, stream, raw):
        self.stream = stream
        self.raw = raw
        self.buffer = b""
        self.served = 0
        with Connection.lock:
            Connection.numbers += 1
            self.number = Connection.numbers

    def more(self):
        data = self.stream.recv(65536)
        if not data:
            raise Gone
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def exactly(self, length):
        while len(self.buffer) < length:
            self.more()
        part, self.buffer = self.buffer[:length], self.buffer[length:]
        return part

    def body(self, head):
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        if headers.get(b"transfer-encoding") == b"chunked":
            while True:
                size = int(self.until(b"\r\n"), 16)
                data = self.exactly(size + 2)[:-2]
                if size == 0:
                    return
                yield data
        left = int(headers.get(b"content-length", b"0"))
        while left:
            if not self.buffer:
                self.more()
            data = self.exactly(min(left, len(self.buffer)))
            left -= len(data)
            yield data

    def send(self, data):
        self.stream.sendall(data)

    def answer(self, body, status="200 OK", extra=""):
        self.send(f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def serve(self):
        while True:
            head = self.until(b"\r\n\r\n")
            self.served += 1
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            with Connection.lock:
                Connection.counts[target] = Connection.counts.get(target, 0) + 1
            name, _, argument = target[1:].partition("/")
            handler = getattr(self, "do_" + name.replace("-", "_"), None)
            if handler is None:
                self.answer(b"no such path", "404 Not Found")
            else:
                handler(head, method, argument)

    def cut(self):
        """ends the connection without a word of TLS about it"""
        self.raw.shutdown(socket.SHUT_RDWR)
        raise Gone

    def do_hello(self, head, method, argument):
        if method == "HEAD":
            self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
        else:
            self.answer(b"hello", extra="X-Name: value \r\nx-name:two\r\nEmpty:\r\n")

    def do_head(self, head, method, argument):
        for _ in self.body(head):
            pass
        self.answer(head)

    def do_echo(self, head, method, argument):
        self.answer(b"".join(self.body(head)))

    def do_measure(self, head, method, argument):
        """how many bytes, read slowly at first"""
        time.sleep(float(argument or 0))
        self.answer(str(sum(len(part) for part in self.body(head))).encode())

    def do_early(self, head, method, argument):
        """an answer before the body was read"""
        self.answer(b"too large", "413 Content Too Large", "Connection: close\r\n")
        for _ in self.body(head):
            pass

    def do_where(self, head, method, argument):
        self.answer(f"{self.number} {self.served}".encode())

    def do_count(self, head, method, argument):
        self.answer(str(Connection.counts.get("/" + argument, 0)).encode())

    def do_status(self, head, method, argument):
        self.answer(b"", argument + " Status")

    def do_empty(self, head, method, argument):
        self.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    def do_redirect(self, head, method, argument):
        self.answer(b"elsewhere", "302 Found", "Location: /redirected\r\n")

    def do_bytes(self, head, method, argument):
        length = int(argument)
        self.send(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
        while length:
            self.send(b"x" * min(length, 65536))
            length -= min(length, 65536)

    def do_chunked(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(int(argument)):
            self.send(b"3e8\r\n" + b"y" * 1000 + b"\r\n")
        self.send(b"0\r\nX-Trailer: dropped\r\n\r\n")

    def do_endless(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            self.send(b"3e8\r\n" + b"z" * 1000 + b"\r\n")

    def do_endless_head(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.send(b"X-More: " + b"m" * 100 + b"\r\n")

    def do_endless_interim(self, head, method, argument):
        while True:
            self.send(b"HTTP/1.1 103 Early Hints\r\nX-More: " + b"m" * 100 + b"\r\n\r\n")

    def do_endless_trailers(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        while True:
            self.send(b"X-More: " + b"m" * 100 + b"\r\n")

    def do_long_header(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\nX-Long: " + b"l" * int(argument) + b"\r\nContent-Length: 0\r\n\r\n")

    def do_many_headers(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * int(argument) + b"Content-Length: 0\r\n\r\n")

    def do_trickle(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            self.send(b"t")
            time.sleep(0.02)

    def do_never(self, head, method, argument):
        self.more()

    def do_after(self, head, method, argument):
        time.sleep(float(argument))
        self.answer(b"late")

    def do_truncated(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.")
        raise Gone

    def do_truncated_chunk(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nten bytes.")
        raise Gone

    def do_truncated_head(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        raise Gone

    def do_until_close(self, head, method, argument):
        self.send(b"HTTP/1.1 200 OK\r\n\r\nup to the end")
        if argument == "cut":
            self.cut()
        self.stream.unwrap()
        raise Gone

    def do_nothing(self, head, method, argument):
        raise Gone

    def do_garbage(self, head, method, argument):
        self.send({"none": b"\x16\x03\x01 this is not HTTP\r\n\r\n", "old": b"<html>HTTP/0.9</html>",
                   "version": b"HTTP/7.3 200 OK\r\nContent-Length: 0\r\n\r\n",
                   "status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
                   "name": b"HTTP/1.1 200 OK\r\nNa me: x\r\nContent-Length: 0\r\n\r\n",
                   "fold": b"HTTP/1.1 200 OK\r\nName: x\r\n y\r\nContent-Length: 0\r\n\r\n",
                   "colon": b"HTTP/1.1 200 OK\r\nName\r\nContent-Length: 0\r\n\r\n",
                   "nul": b"HTTP/1.1 200 OK\r\nName: a\0b\r\nContent-Length: 0\r\n\r\n",
                   "control": b"HTTP/1.1 200 OK\r\nName: a\x01b\r\nContent-Length: 0\r\n\r\n",
                   "length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                   "coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                   "switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nother",
                   "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello"}[argument])
        raise Gone

    def do_interim(self, head, method, argument):
        self.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")
        self.answer(b"final")

    def do_leave(self, head, method, argument):
        """answers, and ends the connection that the client means to keep"""
        self.answer(b"bye")
        raise Gone

    def do_second_never(self, head, method, argument):
        """ends a kept connection instead of an answer"""
        if self.served > 1:
            self.cut()
        self.answer(b"first")


def serve(raw, context):
    stream = raw
    try:
        raw.settimeout(60)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            stream = context.wrap_socket(raw, server_side=True)
        Connection(stream, raw if not context else socket.socket(fileno=os.dup(stream.fileno()))).serve()
    except (Gone, OSError, ValueError):
        pass
    finally:
        try:
            stream.close()
        except OSError:
            pass


def listen(context):
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0], context), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def context_of(folder, name, protocol=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, f"{name}.pem"), os.path.join(folder, f"{name}.key"))
    context.set_alpn_protocols(["h2", "http/1.1"])  # a client that offers HTTP/2 would be in trouble
    if protocol == "old":
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    if protocol == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def main():
    folder = sys.argv[1]
    for authority in ("development", "other", "system"):
        make_authority(folder, authority)
    make_certificate(folder, "development", "good", "DNS:good.test,IP:127.0.0.1")
    make_certificate(folder, "development", "elsewhere", "DNS:elsewhere.test")
    make_certificate(folder, "development", "expired", "DNS:good.test", "-startdate", "20200101000000Z", "-enddate",
                     "20200201000000Z")
    make_certificate(folder, "other", "unknown", "DNS:good.test")
    make_certificate(folder, "system", "public", "DNS:good.test")
    ports = {name: listen(context_of(folder, name)) for name in ("good", "elsewhere", "expired", "unknown", "public")}
    ports["tls12"] = listen(context_of(folder, "good", "1.2"))
    ports["old"] = listen(context_of(folder, "good", "old"))
    ports["plain"] = listen(None)
    print(" ".join(f"{name}={port}" for name, port in ports.items()), flush=True)
    sys.stdin.read()


main()
