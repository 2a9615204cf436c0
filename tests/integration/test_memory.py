"""What secrets cost in memory, and that it stays so. AZFN_STORM=all makes ten thousand fetches, otherwise there are some
hundred."""

import os
import time
import unittest

import probe

FETCHES = 10000 if os.environ.get("AZFN_STORM") == "all" else 600
SECRETS = 150
CONNECTIONS = 64  # that the broker has at a time, see engine.c
# Private dirty memory after one fetch from Key Vault. What is shared with other processes costs only once.
LIMITS_KIB = {"azfn-worker": 1024, "azfn-launcher": 300, "azfn-broker": 4096}
# what a few threads of the resolver and their stacks take, sooner or later
NOISE_KIB = 256


def own_kib(process):
    """Private dirty memory."""
    [line] = [line for line in (process.folder / "smaps_rollup").read_text().splitlines() if "Private_Dirty:" in line]
    return int(line.split()[1])


def resident_kib(process):
    return int(process.status()["VmRSS"][0])


def policy(names, **limits):
    return {"secrets": {name: {"reference": f"@Microsoft.KeyVault(VaultName=dev;SecretName={name})"} for name in names},
            "functions": {"Ask": {"secrets": names}}, "limits": limits}


@unittest.skipUnless(probe.IS_ROOT and not probe.IS_SANITIZED, "needs root, and memory as it is without a sanitizer")
class MemoryTests(probe.TestCase):
    def start(self, names, **limits):
        document = policy(names, **limits)
        self.services = self.stand_ins(document)
        handler = self.probe_app(policy=document, env=self.services.env)
        self.addCleanup(handler.kill)
        handler.start()
        self.roles = probe.Roles(handler.pid)
        return handler

    def ask(self, handler, name):
        response = handler.request(probe.ask(f"secret={name} reply"))
        self.assertTrue(response.body.startswith(b"AZFN_OK"), response.body)

    def test_one_fetch_stays_below_its_limits(self):
        handler = self.start(["key"])
        self.ask(handler, "key")
        used = {process.name(): own_kib(process) for process in self.roles.all()}
        for name, limit in LIMITS_KIB.items():
            self.assertLessEqual(used[name], limit, name)

    def use_all_connections(self, handler, names):
        """As many at a time as the broker opens: what they take is taken once."""
        self.services.vault.fail(f"hold:{CONNECTIONS}")
        callers = [self.connect(handler) for _ in range(CONNECTIONS)]
        for caller, name in zip(callers, names):
            caller.sendall(probe.ask(f"secret={name} reply"))
        self.services.vault.wait_for_requests(CONNECTIONS)
        self.services.vault.release()
        for caller in callers:
            self.assertEqual(probe.read_response(caller, "GET").status, 200)
            caller.close()

    def test_fetches_do_not_add_up(self):
        names = [f"s-{number}" for number in range(SECRETS)]
        handler = self.start(names, secretRefreshMs=1000)
        self.use_all_connections(handler, names)
        points = []
        warm = 0  # where what is kept for good has been taken: after two rounds more
        while not points or points[-1][0] < 3 * SECRETS + FETCHES:
            for name in names:  # what nobody asks for is forgotten after a while
                self.ask(handler, name)
            broker, worker = self.roles.broker, self.roles.worker
            points.append((self.services.vault.request_count, own_kib(broker), resident_kib(broker), own_kib(worker)))
            warm += points[-1][0] < 3 * SECRETS
            time.sleep(0.5)  # the refreshes go by the clock
        print("fetches, the broker's own and resident KiB, the worker's own:", points[warm], points[-1])
        for column in (1, 2, 3):
            self.assertLessEqual(points[-1][column] - points[warm][column], NOISE_KIB, points)


if __name__ == "__main__":
    unittest.main()
