"""Every captured request of the host, cut at every place, in random order, a thousand connections at a time: each
answer is the one that the whole request gets. AZFN_STORM=all takes every place, otherwise one in ten."""

import os
import random
import re
import resource
import selectors
import socket
import unittest

import probe
import test_captures

CONNECTIONS = 1000
LARGEST = 6000  # larger requests are cut at some places only
PLACES_OF_LARGE = 50
SHARE = 1.0 if os.environ.get("AZFN_STORM") == "all" else 0.1


def answer_length(data):
    """How long the answer at the start of data is; None while that is not known."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    if data.startswith(b"HTTP/1.1 100 "):
        rest = answer_length(data[end + 4:])
        return None if rest is None else end + 4 + rest
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", data[:end + 2], re.IGNORECASE)
    return end + 4 + int(length[1]) if length else end + 4


def without_date(data):
    return re.sub(rb"\r\nDate: [^\r]*", b"", data)


class Client:
    """One connection that sends requests in two pieces each, the second when all others had a turn."""

    def __init__(self, port):
        self.port = port
        self.socket = None
        self.job = None

    def connect(self, selector):
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(20)
        selector.register(self.socket, selectors.EVENT_READ, self)

    def close(self, selector):
        selector.unregister(self.socket)
        self.socket.close()
        self.socket = None

    def begin(self, job, selector):
        if self.socket is None:
            self.connect(selector)
        self.job, self.seen = job, b""
        self.socket.sendall(job.request[:job.cut])

    def go_on(self):
        self.socket.sendall(self.job.request[self.job.cut:])


class Job:
    def __init__(self, name, request, cut):
        self.name, self.request, self.cut = name, request, cut
        self.is_head = request.startswith(b"HEAD ")


class Storm(probe.TestCase):
    def setUp(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limit)
        wanted = CONNECTIONS + 200
        if limit[0] < wanted <= limit[1]:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, limit[1]))
        self.connections = CONNECTIONS if wanted <= limit[1] else 200

    def take_answer(self, client, selector):
        """True when it is whole."""
        data = client.socket.recv(1 << 20)
        client.seen += data
        length = answer_length(client.seen)
        if client.job.is_head and length is not None:
            length = client.seen.index(b"\r\n\r\n") + 4
        if data and (length is None or len(client.seen) < length):
            return False
        self.assertTrue(data, f"{client.job.name} cut at {client.job.cut}: the connection ended")
        if b"\r\nConnection: close\r\n" in client.seen:
            client.close(selector)
        return True

    def run_jobs(self, port, jobs, expected):
        jobs = list(jobs)
        random.Random(len(jobs)).shuffle(jobs)
        total = len(jobs)
        clients = [Client(port) for _ in range(self.connections)]
        with selectors.DefaultSelector() as selector:
            busy = set()
            while jobs or busy:
                started = [client for client in clients if client not in busy and jobs]
                for client in started:
                    if jobs:
                        client.begin(jobs.pop(), selector)
                        busy.add(client)
                for client in started:
                    if client in busy:
                        client.go_on()
                ready = selector.select(20)
                self.assertTrue(ready, f"{len(busy)} answers did not come")
                for key, _ in ready:
                    client = key.data
                    self.assertIn(client, busy, "bytes that nobody asked for")
                    if self.take_answer(client, selector):
                        busy.remove(client)
                        job = client.job
                        self.assertEqual(without_date(client.seen), expected[job.request],
                                         f"{job.name} cut at {job.cut}")
            for client in clients:
                if client.socket:
                    client.close(selector)
        return total

    def storm(self, wanted, **options):
        requests = {}
        for name, meta, found in probe.captures():
            if name not in test_captures.SKIPPED and wanted(name, meta):
                requests.update({raw: name for raw in found if not raw.startswith(b"GET / ")})
        with self.probe_app(**options, policy={"limits": {"connections": self.connections + 100}}) as handler:
            expected = {}
            for raw, name in requests.items():
                client = Client(handler.port)
                with selectors.DefaultSelector() as selector:
                    client.begin(Job(name, raw, len(raw)), selector)
                    while not self.take_answer(client, selector):
                        pass
                    expected[raw] = without_date(client.seen)
                    if client.socket:
                        client.close(selector)
            choice = random.Random(1)
            jobs = []
            for raw, name in requests.items():
                places = range(1, len(raw))
                if len(raw) > LARGEST:
                    places = choice.sample(places, PLACES_OF_LARGE)
                jobs += [Job(name, raw, place) for place in places if choice.random() < SHARE]
            return self.run_jobs(handler.port, jobs, expected)

    def test_forwarded_requests(self):
        captures = test_captures.Captures
        count = self.storm(lambda name, meta: captures.is_forwarded(name, meta) and not captures.has_no_prefix(name))
        self.assertGreater(count, 30000 * SHARE)

    def test_envelopes(self):
        count = self.storm(lambda name, meta: not test_captures.Captures.is_forwarded(name, meta), forwarding=False)
        self.assertGreater(count, 100000 * SHARE)


if __name__ == "__main__":
    unittest.main(verbosity=2)
