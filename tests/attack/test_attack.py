"""The attack, replayed step by step, each in a fresh app: what should fail fails, and is seen; without the layers
that stop it, it succeeds.

The runs go on side by side, and each test waits for its own."""

import concurrent.futures
import unittest

from attack_lab import APP, SWITCHABLE, Lab, probe

EVENT_OF_SECCOMP = "malicious_syscall:worker"
# what the broker writes when it works for a function
ORDINARY = {"authn_token_created:managed_identity", "sensitive_read:key_vault", "sensitive_read:secret",
            "sensitive_read:destination", "sensitive_read:environment", "sensitive_read:platform_environment",
            "excess_rate_limit_exceeded:secrets"}
# what some machines refuse to everybody, or do not have
MACHINE_MAY_REFUSE = {"connect-metadata", "connect-attacker-ipv6", "use-dev-shm", "io-uring", "fork-into-namespaces",
                      "leave-namespaces", "kernel-keyring", "load-module", "load-bpf", "watch-by-perf",
                      "handle-page-faults",
                      "make-all-executable", "use-32-bit-calls", "mount", "change-root",
                      "raise-priority", "trace-broker",
                      "trace-launcher", "copy-memory-of-broker", "change-memory-of-launcher",
                      "take-descriptor-of-broker",
                      "packet-socket", "raw-socket", "install-filter", "filter-listener"}
EVENT_NAMES = {"blocks_loop": "excess_rate_limit_exceeded:loop"}
BASE = {"environment", "undumpable", "unprivileged", "keeping", "policy", "channel", "log", "watch", "host_mode"} | (
    {"users"} if probe.IS_ROOT else set())
HAS_LAYERS = (APP / "attack_layers_handler").exists()
SHIPPED = BASE | set(SWITCHABLE)


def layers_to_show(step):
    """Those that can be seen to stop it alone: where what can't be switched off stops it as well, only seccomp, which
    is there before."""
    return [layer for layer in SWITCHABLE
            if layer in step.stopped_by and (layer == "seccomp" or not step.stopped_by & BASE)]


class Runs:
    """All runs, started at once."""

    def __init__(self):
        self.lab = Lab()
        self._threads = concurrent.futures.ThreadPoolExecutor(4)
        self._futures = {}

    def start(self):
        self.lab.__enter__()
        for step in self.lab.steps:
            self._start(("shipped", step.name), self.lab.run_azfn, step)
            self._start(("plain", step.name), self.lab.run_plain, step)
            if HAS_LAYERS:
                self._start_layers(step)
        return self

    def _start_layers(self, step):
        self._start(("none", step.name), self.lab.run_azfn, step, [])
        for layer in layers_to_show(step):
            self._start((layer, step.name), self.lab.run_azfn, step, [layer])

    def _start(self, key, function, *arguments):
        self._futures[key] = self._threads.submit(function, *arguments)

    def __getitem__(self, key):
        return self._futures[key].result(120)

    def close(self):
        self._threads.shutdown(cancel_futures=True)
        self.lab.__exit__(None, None, None)


RUNS = Runs()


def setUpModule():
    RUNS.start()


def tearDownModule():
    RUNS.close()


class Attack(unittest.TestCase):
    """One test for each step, see below."""

    def check(self, step, on, outcome):
        if step.is_possible:
            self.assertEqual(outcome.kind, "succeeded", outcome)
        elif step.stopped_by & on:
            self.assertTrue(outcome.has_failed or outcome.kind == "not_here", outcome)
        if "seccomp" in step.stopped_by & on:
            self.check_seccomp(step, outcome)
        elif not step.stopped_by & set(SWITCHABLE):
            self.check_events(step, outcome)

    def check_seccomp(self, step, outcome):
        self.assertEqual(outcome.kind, "killed", outcome)
        self.assertIn(outcome.call, step.calls)
        self.assertEqual(self.remarkable(outcome), [EVENT_OF_SECCOMP])

    def check_events(self, step, outcome):
        event = EVENT_NAMES.get(step.event, step.event)
        expected = [event] if event and event not in ORDINARY and event not in outcome.life else []
        # on a slow machine an attack blocks the worker's loop for long enough to be told
        found = [other for other in self.remarkable(outcome) if other == event or other != EVENT_NAMES["blocks_loop"]]
        self.assertEqual(found, [] if step.name == "forged-event" else expected, outcome.events)
        if event in ORDINARY:
            self.assertEqual(outcome.events.count(event), 1, outcome.events)
        if event == "sys_crash:worker":
            self.assertEqual(outcome.life.count(event), 1)

    @staticmethod
    def remarkable(outcome):
        return [event for event in outcome.events if event not in ORDINARY]


class Real(unittest.TestCase):
    """Where nothing protects it, each step succeeds."""

    def check(self, step, outcome):
        if outcome.kind == "not_here" and outcome.detail:
            self.assertTrue(step.needs_azfn or step.name in MACHINE_MAY_REFUSE or
                            (step.needs_root and not probe.IS_ROOT), outcome)
        elif not (outcome.kind == "refused" and step.name in MACHINE_MAY_REFUSE):
            self.assertEqual(outcome.kind, "succeeded", outcome)


@unittest.skipUnless(HAS_LAYERS, "the layers can't be switched")
class Layers(unittest.TestCase):
    """With one layer, the steps that it is there for fail; without the sandbox, those that only it stops succeed."""

    def check_none(self, step):
        outcome = RUNS["none", step.name]
        if step.stopped_by & BASE:
            self.assertTrue(outcome.has_failed or outcome.kind == "not_here", outcome)
        elif step.needs_root or step.name in MACHINE_MAY_REFUSE:
            self.assertNotEqual(outcome.kind, "killed", outcome)
        else:
            self.assertEqual(outcome.kind, "succeeded", outcome)

    def check_one(self, step, layer):
        outcome = RUNS[layer, step.name]
        self.assertTrue(outcome.has_failed, outcome)
        if layer == "seccomp":
            Attack.check_seccomp(self, step, outcome)
        elif not step.ends_worker:
            self.assertEqual([event for event in outcome.events if event not in ORDINARY], [], "Landlock is not seen")

    remarkable = staticmethod(Attack.remarkable)


class PoolThread(unittest.TestCase):
    """A thread of the pool for blocking functions is as confined as the loop's."""

    STEPS = ("connect-attacker", "read-passwd", "execute-shell", "fork", "turn-executable", "stop-listener",
             "kill-launcher",
             "io-uring", "start-thread", "make-memory-file")

    def test_what_the_loop_may_not_it_may_not_either(self):
        for name in self.STEPS:
            with self.subTest(name):
                step = RUNS.lab.step(name)
                outcome = RUNS.lab.run_azfn(step, function="AttackPool", program="attack_pool_handler")
                Attack.check_seccomp(self, step, outcome)

    remarkable = staticmethod(Attack.remarkable)


class Table(unittest.TestCase):
    def test_it_has_what_was_promised(self):
        steps = RUNS.lab.steps
        self.assertGreaterEqual(len(steps), 60)
        self.assertEqual(len({step.name for step in steps}), len(steps))
        for step in steps:
            self.assertNotEqual(step.is_possible, bool(step.stopped_by), step.name)


def add_tests():
    for step in RUNS.lab.steps:
        name = f"test_{step.group}_{step.name.replace('-', '_')}"
        setattr(Attack, name, lambda self, step=step: self.check(step, SHIPPED, RUNS["shipped", step.name]))
        setattr(Real, name, lambda self, step=step: self.check(step, RUNS["plain", step.name]))
        setattr(Layers, name + "_with_none", lambda self, step=step: self.check_none(step))
        for layer in layers_to_show(step):
            setattr(Layers, f"{name}_with_{layer}", lambda self, step=step, layer=layer: self.check_one(step, layer))


add_tests()

if __name__ == "__main__":
    unittest.main()
