"""More lines than anybody reads, or should: the handler goes on as if nothing were, and each line that is missing is
counted on the log, by the event that it was."""

import collections
import json
import os
import select
import signal
import socket
import threading
import time
import unittest

import probe
from azfn_local.wire import read_response
from probe import ask

REPORT = "excess_rate_limit_exceeded:log"
SECRET = {"reference": "@Microsoft.KeyVault(VaultName=dev;SecretName=key)"}
POLICY = {"secrets": {"key": SECRET, "other": SECRET}, "functions": {"Ask": {"secrets": ["key"]}}}
BATCH = 20
SLOWEST_S = 2.0


class Output:
    """stdout or stderr of the handler, in place of the one that Handler reads: read only while it should be."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        self.data = b""
        self._state = "reads"
        self._wake = os.pipe()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        os.close(self.writer)  # the handler's alone
        self._thread.start()

    def stop(self):
        self._set("waits")

    def go_on(self):
        self._set("reads")

    def close(self):
        self._set("closed")
        self._thread.join()

    def _set(self, state):
        self._state = state
        os.write(self._wake[1], b"x")

    def _run(self):
        while self._state != "closed":
            wanted = [self.reader, self._wake[0]] if self._state == "reads" else [self._wake[0]]
            ready = select.select(wanted, [], [])[0]
            if self._wake[0] in ready:
                os.read(self._wake[0], 1)
            elif data := os.read(self.reader, 65536):
                with self._changed:
                    self.data += data
                    self._changed.notify_all()
            else:
                break
        os.close(self.reader)

    def clean_up(self):
        self.close()
        for fd in self._wake:
            os.close(fd)

    def wait_end(self, timeout=20):
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def lines(self):
        """The whole ones: each is JSON, or the test fails."""
        with self._changed:
            data = self.data
        return [json.loads(line) for line in data.split(b"\n")[:-1]]

    def wait_for(self, predicate, timeout=15):
        seen = 0

        def find():
            nonlocal seen
            while (end := self.data.find(b"\n", seen)) >= 0:
                line = json.loads(self.data[seen:end])
                seen = end + 1
                if predicate(line):
                    return line
            return None

        with self._changed:
            line = self._changed.wait_for(find, timeout)
        if line is None:
            raise AssertionError(f"no such line within {timeout} s; the last ones: {self.lines()[-5:]}")
        return line


def suppressed(lines):
    """How many lines of which event the broker tells as dropped."""
    counts = collections.Counter()
    for line in lines:
        if line.get("event") == REPORT and line["origin"] == "broker":
            counts[line["suppressed"]] += line["count"]
    return counts


def of_lines(counts):
    """Of these, how many were no events."""
    return sum(count for name, count in counts.items() if name.split(":")[0] == "lines")


class Case(probe.TestCase):
    def start(self):
        self.outputs = self.out, self.err = Output(), Output()
        writers = [output.writer for output in self.outputs]

        def connect_outputs():
            for number, writer in enumerate(writers):
                os.dup2(writer, number + 1)

        services = self.stand_ins(POLICY, secrets={"key": "a value"})
        handler = self.probe_app(policy=POLICY, env=services.env, handler_options={"preexec_fn": connect_outputs})
        self.addCleanup(handler.kill)
        handler.start()
        for output in self.outputs:
            output.start()
            self.addCleanup(output.clean_up)
        return handler

    def words(self, handler, words):
        return probe.exchange(self.connect(handler), ask(words))

    def miss(self, handler):
        """A request to a path that is no function's: a Warning, and the end of the connection."""
        with socket.create_connection(("127.0.0.1", handler.port), timeout=20) as connection:
            self.assertEqual(probe.exchange(connection, ask("reply", path="/api/nowhere")).status, 404)

    def send_many(self, connection, requests):
        """Batches of them, each answered before the next is sent. Each prints "reply AZFN_OK"."""
        for start in range(0, len(requests), BATCH):
            batch = requests[start:start + BATCH]
            connection.sendall(b"".join(batch))
            left, tail = len(batch), b""
            while left > 0:
                data = connection.recv(65536)
                self.assertTrue(data, "the connection was closed")
                tail += data
                left -= tail.count(b"HTTP/1.1 ")
                tail = tail[-8:]

    def end(self, handler):
        """Ends the handler and returns all lines, of which each missing one was counted."""
        self.assertEqual(handler.terminate(), 0)
        for output in self.outputs:
            self.assertTrue(output.wait_end(), "the output has no end")
        lines = self.out.lines() + self.err.lines()
        numbers = {line["sequence"] for line in lines}
        self.assertEqual(len(numbers), len(lines), "a number was given twice")
        self.assertEqual(max(numbers) - len(numbers), sum(suppressed(lines).values()))
        return lines


class Prober(threading.Thread):
    """Asks for what needs the worker alone, and for what needs the broker, until it is stopped."""

    def __init__(self, case, handler):
        super().__init__(daemon=True)
        self.connections = [case.connect(handler), case.connect(handler)]
        self.requests = [ask("body=here reply"), ask("secret=key reply")]
        self.is_over = threading.Event()
        self.slowest_s = [0.0, 0.0]
        self.count = 0
        self.error = None

    def run(self):
        try:
            while not self.is_over.wait(0.01):
                for i, (connection, request) in enumerate(zip(self.connections, self.requests)):
                    started = time.monotonic()
                    connection.sendall(request)
                    response = read_response(connection, "GET", 20)
                    self.slowest_s[i] = max(self.slowest_s[i], time.monotonic() - started)
                    if response.status != 200 or not response.body.startswith((b"here", b"AZFN_OK")):
                        raise AssertionError(f"{response.status} {response.body}")
                    self.count += 1
        except (OSError, AssertionError, probe.WireError) as error:
            self.error = error

    def stop(self):
        self.is_over.set()
        self.join(30)


class StoppedReader(Case):
    def load(self, handler, words, seconds):
        """Requests that each write, and some to a path that is no function's. Returns how many of each kind."""
        connection = self.connect(handler)
        batch = [ask(f"{words} reply")] * BATCH
        deadline = time.monotonic() + seconds
        batches = 0
        pause = threading.Event()
        while time.monotonic() < deadline:
            self.send_many(connection, batch)
            self.miss(handler)
            batches += 1
            pause.wait(0.02)  # thousands of lines, not as many as the machine can do
        return batches * BATCH, batches

    def go_on_while_stopped(self, stopped, words, lines_per_request, seconds):
        handler = self.start()
        output = self.outputs[stopped]
        self.assertEqual(self.words(handler, "secret=key reply").status, 200)
        prober = Prober(self, handler)
        prober.start()
        output.stop()
        requests, wrong = self.load(handler, words, seconds)
        # worth more than all that waits: it has room
        self.words(handler, "secret=other reply")
        prober.stop()
        self.assertIsNone(prober.error)
        self.assertGreater(prober.count, 5 * seconds)
        self.assertLess(max(prober.slowest_s), SLOWEST_S)
        self.assertGreater(requests * lines_per_request, 2000)
        output.go_on()
        self.err.wait_for(lambda line: line.get("suppressed", "").startswith("lines:"))
        lines = self.end(handler)
        told = suppressed(lines)
        reports = [line for line in lines if line.get("event") == REPORT]
        self.assertEqual({line["level"] for line in reports}, {"WARN"})
        self.assertTrue(any(not line["description"].endswith(" 0 that were not read in time") for line in reports))
        # "reply AZFN_OK" comes with each request, also with those of the prober and the two beside it
        sent = requests * (lines_per_request + 1) + prober.count + 2 + wrong
        written = [line for line in lines if line["origin"] != "broker" and line.get("event") != REPORT]
        lost_in_worker = sum(line["count"] for line in reports if line["origin"] == "worker")
        self.assertEqual(len(written) + of_lines(told) + told["input_validation_fail:route"] + lost_in_worker, sent)
        refused = [line for line in lines if line.get("event") == "authz_fail:secret"]
        self.assertEqual([line["level"] for line in refused], ["ERROR"])

    def test_nobody_reads_stderr_for_ten_seconds(self):
        text = "lorem~ipsum" * 20
        self.go_on_while_stopped(1, f"log={text} log={text} complain={text}", 3, 10)

    def test_nobody_reads_stdout(self):
        text = "lorem~ipsum" * 20
        self.go_on_while_stopped(0, f"print={text} print={text} print={text}", 3, 4)


class ClosedOutput(Case):
    def close(self, handler, *streams):
        """With nothing on the way: events come by another way than what the worker prints."""
        self.words(handler, "log=last reply")
        self.err.wait_for(lambda line: line["description"] == "last")
        self.words(handler, "reply")
        probe.wait_until(lambda: sum(line["description"] == "reply AZFN_OK" for line in self.out.lines()) == 2)
        for stream in streams:
            self.outputs[stream].close()

    def test_warnings_and_errors_come_on_stdout_when_stderr_is_closed(self):
        handler = self.start()
        self.close(handler, 1)
        self.words(handler, "log=from~a~function complain=printed reply")
        self.miss(handler)
        self.words(handler, "secret=other reply")
        for description, level in (("from a function", "WARN"), ("printed", "ERROR")):
            line = self.out.wait_for(lambda line, text=description: line["description"] == text)
            self.assertEqual(line["level"], level)
        for event, level in (("input_validation_fail:route", "WARN"), ("authz_fail:secret", "ERROR")):
            line = self.out.wait_for(lambda line, event=event: line.get("event") == event)
            self.assertEqual(line["level"], level)
        self.end(handler)

    def test_information_comes_on_stderr_when_stdout_is_closed(self):
        handler = self.start()
        self.close(handler, 0)
        self.words(handler, "print=from~a~function reply")
        line = self.err.wait_for(lambda line: line["description"] == "from a function")
        self.assertEqual(line["level"], "INFO")
        self.end(handler)

    def test_with_both_closed_requests_are_answered_and_the_end_is_orderly(self):
        handler = self.start()
        self.close(handler, 0, 1)
        for _ in range(3):
            response = self.words(handler, "log=x print=x complain=x secret=key body=still~here reply")
            self.assertEqual(response.status, 200)
        handler.signal(signal.SIGTERM)
        self.assertEqual(handler.wait_exit(), 0)


class Flood(Case):
    def test_of_one_event_hides_no_other_and_does_not_fill_the_log(self):
        handler = self.start()
        started = time.monotonic()
        for _ in range(600):
            self.miss(handler)
        self.words(handler, "log=from~a~function complain=printed secret=other reply")
        bad = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
        self.assertEqual(probe.exchange(self.connect(handler), bad).status, 400)
        for event in ("authz_fail:secret", "input_validation_fail:http"):
            self.err.wait_for(lambda line, event=event: line.get("event") == event)
        self.err.wait_for(lambda line: line["description"] == "from a function")
        self.err.wait_for(lambda line: line["description"] == "printed")
        self.err.wait_for(lambda line: line.get("suppressed") == "input_validation_fail:route")
        took_s = time.monotonic() - started
        lines = self.end(handler)
        routes = [line for line in lines if line.get("event") == "input_validation_fail:route"]
        self.assertLessEqual(len(routes), 100 + 10 * (took_s + 1))
        self.assertEqual(suppressed(lines)["input_validation_fail:route"], 600 - len(routes))
        reports = [line for line in lines if line.get("event") == REPORT]
        self.assertLessEqual(len(reports), took_s + 2)

    def test_of_printed_lines_hides_no_line_of_a_function_or_of_the_other_stream(self):
        handler = self.start()
        connection = self.connect(handler)
        self.send_many(connection, [ask(" ".join(["complain=flood"] * 50) + " reply")] * 100)
        self.words(handler, "log=from~a~function print=on~stdout reply")
        self.err.wait_for(lambda line: line["description"] == "from a function")
        self.out.wait_for(lambda line: line["description"] == "on stdout")
        lines = self.end(handler)
        printed = [line for line in lines if line["origin"] == "worker-stderr"]
        self.assertEqual(len(printed) + suppressed(lines)["lines:stderr"], 5000)
        self.assertGreater(suppressed(lines)["lines:stderr"], 1000)
        self.assertEqual(of_lines(suppressed(lines)), suppressed(lines)["lines:stderr"])


if __name__ == "__main__":
    del Case  # a base without tests
    unittest.main()
