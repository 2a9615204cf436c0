"""A function that blocks the loop: named while it does, ended when its time is over, and the service goes on."""

import signal
import threading
import time
import unittest

import probe
from azfn_local.wire import WireError
from probe import Roles, ask, wait_until


class BlockedLoop(probe.TestCase):
    def test_it_is_named_and_its_worker_is_replaced_after_its_time(self):
        with self.probe_app(policy={"functions": {"Ask": {"timeoutMs": 500}}}) as handler:
            roles = Roles(handler.pid)
            blocked = self.connect(handler)
            started = time.monotonic()
            blocked.sendall(ask("hang"))
            line = handler.wait_for_line("blocks the loop")
            self.assertEqual(line.level, "Warning")
            self.assertIn('"function":"Ask"', line.text)
            self.assertIn('"invocation_id":"ask-1"', line.text)
            # one that comes meanwhile waits for the next worker
            answers = []
            waiting = threading.Thread(target=lambda: answers.append(self.ask_again(handler)))
            waiting.start()
            handler.wait_for_line("the worker is killed, since its loop is blocked")
            self.assertGreater(time.monotonic() - started, 2.4)
            handler.wait_for_line("sys_restart:worker")
            with self.assertRaises(WireError):
                probe.exchange(blocked, b"")
            waiting.join(20)
            self.assertEqual(answers, [b"again"])
            self.assertFalse(roles.worker.is_alive())
            self.assertEqual(handler.starts, 1)
            self.assertEqual(sum("blocks the loop" in other.text for other in handler.lines), 1)
            self.assertEqual(handler.terminate(), 0)

    def ask_again(self, handler):
        """What the blocked worker had accepted fails with it; the host would send it again."""
        for _ in range(5):
            try:
                return probe.exchange(self.connect(handler), ask("body=again reply")).body
            except (OSError, WireError):
                pass
        return None

    def test_one_that_comes_back_in_time_is_only_told(self):
        with self.probe_app() as handler:
            self.assertEqual(handler.request(ask("spin=2500 body=back reply")).body, b"back")
            handler.wait_for_line("blocks the loop")
            self.assertEqual(handler.request(ask("body=next reply")).body, b"next")
            self.assertFalse(any("killed" in line.text for line in handler.lines))

    def test_the_time_of_the_next_one_begins_when_it_is_called(self):
        with self.probe_app(policy={"functions": {"Ask": {"timeoutMs": 1000}}}) as handler:
            connection = self.connect(handler)
            connection.sendall(ask("spin=1200 body=first reply") +
                               ask("delay=10 delay=10 body=next reply", headers="Connection: close\r\n"))
            with connection.makefile("rb") as stream:
                answers = stream.read()
            self.assertEqual((answers.count(b"first"), answers[-4:]), (1, b"next"))

    def test_an_end_that_is_asked_for_meanwhile_comes(self):
        with self.probe_app(policy={"functions": {"Ask": {"timeoutMs": 500}}}) as handler:
            roles = Roles(handler.pid)
            self.connect(handler).sendall(ask("print=begun hang"))
            handler.wait_for_line("begun")
            handler._wanted_end = True
            handler.signal(signal.SIGTERM)
            self.assertEqual(handler.wait_exit(15), 1)  # what was in flight was lost
            wait_until(lambda: not any(process.is_alive() for process in roles.all()), 2, "the end of all three")


if __name__ == "__main__":
    unittest.main()
