"""Functions that block, hang or crash on their threads, and workers that are replaced while they serve."""

import json
import os
import signal
import socket
import threading
import time
import unittest

import probe
from azfn_local.wire import WireError, build_request, read_response
from probe import Roles, ask, children, wait_until

SHORT = {"functions": {"Block": {"timeoutMs": 600}, "BlockQueue": {"timeoutMs": 600}}}
# as the runtime's: threads of the pool, and how many have to be lost until the worker is replaced
THREADS, WORN_OUT = 4, 2
CLIENTS = 50


def block(words, **options):
    return ask(words, path="/api/Block", **options)


def event(words, invocation_id="event-1"):
    """A queue message, as the host in the cloud sends it: chunked."""
    body = json.dumps({"Data": {"message": json.dumps(words)}, "Metadata": {}}).encode()
    headers = [("Host", "127.0.0.1"), ("X-Azure-Functions-InvocationId", invocation_id),
               ("Transfer-Encoding", "chunked"), ("Content-Type", "application/json; charset=utf-8")]
    return build_request("POST", "/BlockQueue", headers, body, framing="chunked")


class Threads(probe.TestCase):
    def test_a_function_that_blocks_keeps_nobody_waiting(self):
        with self.probe_app() as handler:
            waiting = [self.connect(handler) for _ in range(THREADS + 1)]
            for number, connection in enumerate(waiting):
                connection.sendall(block(f"print=begun wait body={number} header=X-A:b reply"))
            wait_until(lambda: sum("begun" in line.text for line in handler.lines) == THREADS, what="work for all")
            self.assertEqual(handler.request(ask("body=loop reply")).body, b"loop")
            for _ in waiting:
                handler.request(ask("open reply"))
            for number, connection in enumerate(waiting):
                answer = read_response(connection)
                self.assertEqual((answer.status, answer.body, answer.header("X-A")), (200, str(number).encode(), "b"))

    def test_an_event_is_answered_with_its_logs(self):
        with self.probe_app() as handler:
            answer = handler.request(event("info=from~the~thread sleep=1 succeed"))
            self.assertEqual((answer.status, answer.json()["Logs"]), (200, ["from the thread"]))
            self.assertEqual(handler.request(event("log=again fail")).status, 500)
            self.assertEqual(handler.wait_for_line("again").level, "Warning")
            self.assertEqual(handler.wait_for_line("asked to fail").level, "Error")

    def test_one_that_hangs_loses_its_caller_and_not_the_worker(self):
        with self.probe_app(policy=SHORT) as handler:
            self.assertEqual(handler.request(block("wait reply")).status, 504)
            line = handler.wait_for_line("its thread is lost")
            self.assertEqual(line.level, "Warning")
            self.assertIn('"event":"excess_rate_limit_exceeded:timeout"', line.text)
            self.assertIn('"function":"Block"', line.text)
            self.assertEqual(handler.request(block("body=still reply")).body, b"still")
            handler.request(ask("open reply"))
            handler.wait_for_line("its thread is back")

    def test_a_disconnect_is_seen(self):
        with self.probe_app() as handler:
            connection = self.connect(handler)
            connection.sendall(block("print=begun await reply"))
            handler.wait_for_line("begun")
            connection.close()
            handler.wait_for_line("cancelled")

    def test_a_crash_names_all_that_ran(self):
        with self.probe_app() as handler:
            connection = self.connect(handler)
            connection.sendall(event("print=begun wait succeed", invocation_id="event-7"))
            handler.wait_for_line("begun")
            with self.assertRaises(WireError):
                probe.exchange(self.connect(handler), block("crash"))
            handler.wait_for_line("SIGSEGV")
            for name, number in (("Block", "ask-1"), ("BlockQueue", "event-7")):
                self.assertIn(f'"invocation_id":"{number}"', handler.wait_for_line(f'"function":"{name}"').text)
            self.assertEqual(probe.exchange(self.connect(handler), block("body=again reply")).body, b"again")

    def test_draining_waits_for_what_runs_and_not_for_what_hangs(self):
        policy = {"functions": {"BlockQueue": {"timeoutMs": 600}}}
        with self.probe_app(policy=policy) as handler:
            self.assertEqual(handler.request(event("hang")).status, 500)
            connection = self.connect(handler)
            connection.sendall(block("print=begun sleep=700 body=done reply"))
            handler.wait_for_line("begun")
            started = time.monotonic()
            handler._wanted_end = True
            handler.signal(signal.SIGTERM)
            answer = read_response(connection)
            self.assertEqual((answer.body, answer.header("connection")), (b"done", "close"))
            self.assertEqual(handler.wait_exit(), 0)
            self.assertLess(time.monotonic() - started, 10)


class Hammer:
    """Clients that ask again and again on warm connections, as the host does, and count what is not as it should be."""

    def __init__(self, handler, words):
        self.handler, self.words = handler, words
        self.good, self.failed = [], []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: len(self.good) > CLIENTS, what="load")
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _run(self, number):
        connection, count = None, 0
        while not self.stopped.is_set():
            count += 1
            expected = f"{number}.{count}"
            try:
                connection = connection or socket.create_connection(("127.0.0.1", self.handler.port), timeout=20)
                request = block if count % 3 == 0 else ask
                answer = probe.exchange(connection, request(f"{self.words} body={expected} reply"))
                if answer.body != expected.encode():
                    self.failed.append((expected, answer))
                self.good.append(expected)
                if not answer.keep_alive:
                    connection.close()
                    connection = None
            except (OSError, WireError) as error:
                self.failed.append((expected, error))
                connection = None
        if connection:
            connection.close()


class Replacement(probe.TestCase):
    def wear_out(self, handler):
        for _ in range(WORN_OUT):
            self.assertEqual(probe.exchange(self.connect(handler), event("hang")).status, 500)

    def workers(self, launcher):
        return {process.pid for process in children(launcher.pid) if process.is_alive()}

    def test_no_request_fails_while_a_worn_out_worker_is_replaced(self):
        policy = {"functions": {"BlockQueue": {"timeoutMs": 600}}}
        with self.probe_app(policy=policy) as handler:
            roles = Roles(handler.pid)
            with Hammer(handler, "") as hammer:
                for _ in range(2):
                    before = self.workers(roles.launcher)
                    restarts = self.count(handler, "replaces this one")
                    self.wear_out(handler)
                    wait_until(lambda: self.count(handler, "replaces this one") == restarts + 1, what="replacement")
                    wait_until(lambda: len(self.workers(roles.launcher)) == 1 and
                               not self.workers(roles.launcher) & before, what="the end of the old worker")
                    good = len(hammer.good)
                    wait_until(lambda: len(hammer.good) > good + CLIENTS, what="service")
            self.assertEqual(hammer.failed[:3], [])
            line = handler.wait_for_line("replaces this one")
            self.assertIn('"event":"sys_restart:worker"', line.text)
            handler.wait_for_line(f"{WORN_OUT} of its {THREADS} threads are lost to blocking functions")
            self.assertEqual(handler.starts, 1)
            self.assertEqual(handler.terminate(), 0)

    @staticmethod
    def count(handler, text):
        return sum(text in line.text for line in handler.lines)

    def test_what_is_in_flight_is_finished_by_the_old_worker(self):
        policy = {"functions": {"BlockQueue": {"timeoutMs": 600}}}
        with self.probe_app(policy=policy) as handler:
            slow = self.connect(handler)
            slow.sendall(ask("print=begun delay=2000 body=slow reply"))
            blocked = self.connect(handler)
            blocked.sendall(block("print=begun wait body=blocked reply"))
            wait_until(lambda: self.count(handler, "begun") == 2, what="both in flight")
            roles = Roles(handler.pid)
            self.wear_out(handler)
            wait_until(lambda: len(children(roles.launcher.pid)) == 2, what="a second worker")
            idle = self.connect(handler)
            handler.wait_for_line("replaces this one")
            self.assertEqual(probe.exchange(idle, ask("body=new reply")).body, b"new")
            self.assertEqual(read_response(slow).body, b"slow")
            # it has the gate of the old worker, so only time ends it: with the old worker still there
            self.assertEqual(len(self.workers(roles.launcher)), 2)
            blocked.close()

    def test_an_end_that_is_asked_for_in_the_midst_is_clean(self):
        policy = {"functions": {"BlockQueue": {"timeoutMs": 600}}}
        for wanted in ("replaces this one", None):
            with self.subTest(after=wanted), self.probe_app(policy=policy) as handler:
                roles = Roles(handler.pid)
                slow, opener = self.connect(handler), self.connect(handler)
                probe.exchange(opener, ask("reply"))
                slow.sendall(block("print=begun wait body=slow reply"))
                handler.wait_for_line("begun")
                self.wear_out(handler)
                if wanted:
                    handler.wait_for_line(wanted)
                else:
                    wait_until(lambda: len(children(roles.launcher.pid)) == 2, what="a second worker")
                handler._wanted_end = True
                handler.signal(signal.SIGTERM)
                handler.wait_for_line("asked to end")
                probe.exchange(opener, ask("open reply"))
                self.assertEqual(read_response(slow).body, b"slow")
                self.assertEqual(handler.wait_exit(), 0)
                wait_until(lambda: not any(process.is_alive() for process in roles.all()), 1, "the end of all")

    def test_a_worker_that_dies_while_it_is_replaced_does_no_harm(self):
        policy = {"functions": {"BlockQueue": {"timeoutMs": 600}}}
        with self.probe_app(policy=policy) as handler:
            roles = Roles(handler.pid)
            self.wear_out(handler)
            handler.wait_for_line("replaces this one")
            try:
                os.kill(roles.worker.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.assertEqual(probe.exchange(self.connect(handler), block("body=again reply")).body, b"again")
            wait_until(lambda: len(self.workers(roles.launcher)) == 1, what="one worker")
            self.assertEqual(handler.terminate(), 0)

    def test_a_successor_that_can_not_start_leaves_the_old_one_at_work(self):
        policy = {"functions": {"BlockQueue": {"timeoutMs": 600}}}
        with self.probe_app(policy=policy) as handler:
            roles = Roles(handler.pid)
            (handler.app.root / "handler").chmod(0o644)  # no further worker can be executed
            self.wear_out(handler)
            handler.wait_for_line("so the other one stays for now")
            # five times, and once more in the last line
            self.assertEqual(self.count(handler, "can't execute a worker: Permission denied"), 6)
            self.assertEqual(handler.request(block("body=still reply")).body, b"still")
            self.assertTrue(roles.worker.is_alive())
            self.assertEqual(handler.terminate(), 0)

    def test_a_worker_that_asks_all_the_time_causes_no_storm(self):
        with self.probe_app() as handler:
            roles = Roles(handler.pid)
            seen, most, slow = set(), 0, []
            started = time.monotonic()
            while time.monotonic() < started + (4 if len(seen) >= 4 else 60):
                try:
                    connection = self.connect(handler)
                    probe.exchange(connection, ask("demand reply"))
                    workers = self.workers(roles.launcher)
                except (OSError, WireError):
                    continue
                if workers - seen:  # so that the old ones can't finish
                    slow.append(self.connect(handler))
                    slow[-1].sendall(ask("delay=20000 reply"))
                seen |= workers
                most = max(most, len(workers))
            # at 0, 50, 250, 1050 and 3050 ms, and the first; a busy machine needs more time for as many
            self.assertGreaterEqual(len(seen), 4)
            self.assertLessEqual(len(seen), 3 + time.monotonic() - started)
            self.assertLessEqual(most, 7)
            line = handler.wait_for_line("I say")
            self.assertEqual(line.level, "Warning")
            self.assertIn("I say\\nso\\u001b WARN", line.text)
            self.assertEqual(probe.exchange(self.connect(handler), ask("body=served reply")).body, b"served")

    def connection_of(self, handler, pids):
        """A connection that one of these processes has accepted: an old one still takes what had come before."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            connection = self.connect(handler)
            if int(probe.exchange(connection, ask("pid reply")).body) in pids:
                return connection
            connection.close()
        raise AssertionError("no connection of the new worker")

    def test_of_too_many_that_do_not_end_the_oldest_is_killed(self):
        with self.probe_app() as handler:
            roles = Roles(handler.pid)
            slow, seen = [], set()
            for number in range(5):
                new = self.workers(roles.launcher) - seen
                seen |= new
                slow.append(self.connection_of(handler, new))
                demanding = self.connection_of(handler, new)
                slow[-1].sendall(ask(f"print=slow-{number} delay=20000 reply"))
                handler.wait_for_line(f"slow-{number}")
                probe.exchange(demanding, ask("demand reply"))
                wait_until(lambda: self.count(handler, "the new worker serves") == number + 1, what="replacement")
            handler.wait_for_line("too many workers were replaced")
            wait_until(lambda: len(self.workers(roles.launcher)) == 5, what="the end of the oldest")
            with self.assertRaises(WireError):
                read_response(slow[0])
            self.assertEqual(probe.exchange(self.connect(handler), ask("body=served reply")).body, b"served")


if __name__ == "__main__":
    unittest.main()
