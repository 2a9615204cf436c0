"""Where secrets are, and where they are not: canaries go through the real handler in every way, and are looked for in
all that its processes leave behind."""

import ctypes
import glob
import os
import pathlib
import platform
import resource
import secrets
import signal
import socket
import stat
import subprocess
import threading
import time
import unittest

import probe
from azfn_local.handler_process import free_port
from azfn_local.http_head import HttpAnswer
from secret_search import Search

MESSAGE = "<QueueMessage><MessageText>aGVsbG8=</MessageText></QueueMessage>"
# others than the app's folder where a process could leave something behind
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/crash", "/var/lib/systemd/coredump",
             "/var/lib/apport/coredump")
LARGEST_FILE = 64 << 20
READABLE = probe.IS_ROOT and not probe.IS_SANITIZED
WHY_UNREADABLE = "needs root, to read the processes' memory, and memory without a sanitizer's copies"


def canary():
    return f"canary-{secrets.token_urlsafe(40)}"


def policy(**limits):
    names = ("key", "large", "api-key")
    return {
        "secrets": {name: {"reference": f"@Microsoft.KeyVault(VaultName=dev;SecretName={name})"} for name in names},
        "destinations": {
            "partner": {"url": "https://api.partner.example/v1/", "methods": ["GET", "POST", "PUT"],
                        "authenticate": {"header": "x-api-key", "secret": "api-key"}},
            "queue": {"url": "https://%STORAGE_ACCOUNT%.queue.core.windows.net/orders/", "methods": ["POST"],
                      "headers": {"x-ms-version": "2021-12-02"},
                      "authenticate": {"managedIdentity": "https://storage.azure.com"}}},
        "functions": {"Ask": {"secrets": ["key", "large"], "destinations": ["partner", "queue"]}},
        "limits": limits}


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("if_true", ctypes.c_ubyte), ("if_false", ctypes.c_ubyte),
                ("value", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction))]


def keep_cores_unlimited():
    """In a process that is about to be started: prlimit64(RLIMIT_CORE) says yes and does nothing, by a filter of system
    calls, in it and in its children."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    number = {"x86_64": 302, "aarch64": 261}[platform.machine()]
    load, equals, end = 0x20, 0x15, 0x06
    instructions = (Instruction * 6)(
        Instruction(load, 0, 0, 0), Instruction(equals, 0, 3, number),    # the call's number
        Instruction(load, 0, 0, 24), Instruction(equals, 0, 1, resource.RLIMIT_CORE),  # its second argument
        Instruction(end, 0, 0, 0x00050000), Instruction(end, 0, 0, 0x7fff0000))  # error 0, or allow
    program = Program(len(instructions), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((38, 1, 0, 0, 0), (22, 2, ctypes.byref(program), 0, 0)):  # no new privileges; seccomp
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def new_files(since):
    """Those in places for everybody that were changed since then. What others have mounted there is none of ours."""
    for top in TEMPORARY:
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if not os.path.ismount(os.path.join(folder, name))]
            for name in names:
                path = pathlib.Path(folder, name)
                try:
                    status = path.lstat()
                    is_new = max(status.st_mtime, status.st_ctime) >= since
                    if stat.S_ISREG(status.st_mode) and is_new and status.st_size < LARGEST_FILE:
                        yield path, path.read_bytes()
                except OSError:
                    continue


class Case(probe.TestCase):
    def start(self, document=None, **options):
        self.since = time.time()
        self.values = {"key": canary(), "api-key": canary(), "large": "".join(canary() for _ in range(400))}
        document = document or policy()
        self.services = self.stand_ins(document, secrets=self.values)
        self.tokens = []
        issue = self.services.identity.issuer.issue

        def issue_and_tell(*arguments, **named):
            self.tokens.append(issue(*arguments, **named))
            return self.tokens[-1]

        self.services.identity.issuer.issue = issue_and_tell
        handler = self.probe_app(policy=document, env=self.services.env, **options)
        self.addCleanup(handler.kill)
        handler.start()
        self.roles = probe.Roles(handler.pid)
        return handler

    def search(self, **more):
        values = {**self.values, "IDENTITY_HEADER": self.services.identity.header_value, **more}
        for number, token in enumerate(self.tokens):
            values[f"token {number}"] = token
            values[f"payload of token {number}"] = token.split(".")[1]
        return Search(values)

    def ask(self, handler, words, status=200, **options):
        response = handler.request(probe.ask(f"{words} reply", **options))
        self.assertEqual(response.status, status, words)
        return response.body.decode()

    def use_everything(self, handler):
        for name in ("key", "large"):
            self.assertTrue(self.ask(handler, f"secret={name}").startswith("AZFN_OK"))
        self.assertTrue(self.ask(handler, "request=partner,POST,orders,{}").startswith("AZFN_OK 201"))
        self.assertTrue(self.ask(handler, f"request=queue,POST,messages,{MESSAGE}").startswith("AZFN_OK 201"))
        # for Key Vault and for the queue
        self.assertEqual(len(self.tokens), 2)

    def assert_hidden(self, search=None):
        """In no memory but the broker's own for secrets."""
        search = search or self.search()
        in_broker = search.in_process(self.roles.broker)
        exposed = [found for found in in_broker if not found.is_protected()]
        for _ in range(5):
            if not exposed:
                break
            # what is left behind lies where it lay; a request under way, as a refresh is, comes and goes
            again = {str(found) for found in search.in_process(self.roles.broker)}
            exposed = [found for found in exposed if str(found) in again]
        self.assertEqual(exposed, [], "in the broker")
        self.assertEqual(search.in_process(self.roles.launcher), [], "in the launcher")
        self.assertEqual(search.in_process(self.roles.worker), [], "in the worker")
        return in_broker


@unittest.skipUnless(READABLE, WHY_UNREADABLE)
class MemoryTests(Case):
    def test_the_broker_keeps_them_in_its_own_memory_for_them_and_nobody_else_has_them(self):
        handler = self.start()
        self.assert_hidden()
        self.use_everything(handler)
        found = {finding.what for finding in self.assert_hidden()}
        # that the search finds what is there
        for name in ("key", "large", "api-key", "token 0", "token 1", "payload of token 1", "IDENTITY_HEADER"):
            self.assertIn(f"{name} as it is", found)

    def test_the_worker_has_one_as_long_as_the_invocation_and_in_its_own_memory_for_it(self):
        handler = self.start()
        self.ask(handler, "request=partner,GET,x")
        for name in ("key", "large"):
            with self.connect(handler) as connection:
                connection.sendall(probe.ask(f"secret={name} print=has-{name} watch never"))
                handler.wait_for_line(f"has-{name}")
                found = self.search().in_process(self.roles.worker)
                self.assertIn(f"{name} as it is", {finding.what for finding in found})
                self.assertEqual([finding for finding in found if not finding.is_protected()], [])
                self.assertEqual(self.search().in_process(self.roles.launcher), [])
            handler.request(probe.ask("reply"))
            probe.wait_until(lambda: self.search().in_process(self.roles.worker) == [], what="the invocation's end")
        self.assert_hidden()

    def test_however_an_invocation_ends_it_leaves_none(self):
        handler = self.start()
        ends = {"reply": 200, "fail": 500, "delay=50 reply": 200, "take=key reply": 200, "take=large reply": 200,
                "take=large fail": 500, "secrets=40:large reply": 200, "secrets=300:key reply": 200,
                "take=key carry=partner,PUT,x reply": 200, "take=large carry=partner,PUT,x reply": 200}
        self.services.partners["partner"].answer_with = lambda request: HttpAnswer(200, "OK", [], request.body)
        for end, status in ends.items():
            with self.subTest(end):
                self.assertEqual(handler.request(probe.ask(f"secret=key {end}")).status, status)
                handler.request(probe.ask("reply"))
                self.assert_hidden()

    def test_one_that_times_out_leaves_none(self):
        document = policy()
        document["functions"]["Ask"]["timeoutMs"] = 500
        handler = self.start(document)
        for words in ("secret=key never", "take=key never", "take=key carry=partner,PUT,x never"):
            with self.subTest(words):
                self.assertEqual(handler.request(probe.ask(words)).status, 504)
                self.assert_hidden()

    def test_one_that_is_cancelled_leaves_none(self):
        handler = self.start()
        for number, words in enumerate(("secret=key", "take=large", "take=key carry=partner,PUT,x")):
            with self.subTest(words):
                with self.connect(handler) as connection:
                    connection.sendall(probe.ask(f"{words} print=here-{number} watch never"))
                    handler.wait_for_line(f"here-{number}")
                probe.wait_until(lambda number=number: sum("cancelled ask-1" in line.text for line in handler.lines) >
                                 number, what="the end")
                self.ask(handler, "body=next")
                self.assert_hidden()

    def test_one_whose_answer_came_too_late_leaves_none(self):
        handler = self.start()
        self.services.vault.fail("hold:1")
        with self.connect(handler) as connection:
            connection.sendall(probe.ask("secret=key reply"))
            self.services.vault.wait_for_requests(1)
        handler.request(probe.ask("reply"))
        self.services.vault.release()
        handler.wait_for_line("sensitive_read:key_vault")
        self.ask(handler, "secret=large")
        self.assert_hidden()

    def test_what_a_caller_sends_to_be_compared_is_not_kept_either(self):
        handler = self.start()
        self.ask(handler, "secret=key")
        for words in ("secret=key", "secret=key delay=20", "relay=partner,PUT,x"):
            with self.subTest(words):
                self.services.partners["partner"].answer_with = lambda request: HttpAnswer(200, "OK", [], request.body)
                response = handler.request(probe.ask(f"{words} reply", method="POST", body=self.values["key"].encode(),
                                                     headers=f"x-candidate: {self.values['key']}\r\n"))
                self.assertEqual(response.status, 200)
                handler.request(probe.ask("reply"))
                self.assert_hidden()

    def test_many_at_a_time_leave_none(self):
        handler = self.start(policy(secretRefreshMs=1000))
        stop = threading.Event()
        statuses = set()

        def load(words):
            with socket.create_connection(("127.0.0.1", handler.port)) as connection:
                while not stop.is_set():
                    connection.sendall(probe.ask(f"{words} reply"))
                    statuses.add(probe.read_response(connection, "GET").status)

        kinds = ("secret=key", "secrets=5:large", "request=partner,POST,x,{}", f"request=queue,POST,messages,{MESSAGE}")
        threads = [threading.Thread(target=load, args=(words,)) for words in kinds for _ in range(4)]
        for thread in threads:
            thread.start()
        probe.wait_until(lambda: self.services.vault.request_count > 6, timeout=30, what="two rounds of refreshes")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, {200})
        self.assert_hidden()

    def test_answers_that_wait_to_be_sent_leave_none(self):
        handler = self.start()
        count = 300  # more than sockets take
        callers = [self.connect(handler) for _ in range(8)]
        for caller in callers:
            caller.sendall(probe.ask("take=large reply") * count +
                           probe.ask("print=all-were-read reply", headers="Connection: close\r\n"))
        handler.wait_for_line("reply AZFN_OK")
        time.sleep(1)  # for as many as there is room for
        self.assertFalse(any("all-were-read" in line.text for line in handler.lines))
        for caller in callers:
            data = b"".join(iter(lambda: caller.recv(1 << 20), b""))
            self.assertEqual(data.count(self.values["large"].encode()), count)
        self.ask(handler, "body=next")
        self.assert_hidden()

    def test_failures_of_vault_identity_and_partner_leave_none(self):
        document = policy(secretRefreshMs=1000)
        document["destinations"]["partner"]["timeoutMs"] = 1000
        handler = self.start(document)
        partner = self.services.partners["partner"]
        for failure in ("401:1", "503:1", "truncated:1", "broken:1", "garbage:1", "wrong-audience:1", "slow=0.2:1",
                        "expired:1", "wrong-id:1"):
            with self.subTest(failure):
                self.services.vault.fail(failure)
                self.ask(handler, "secret=key")
                self.services.vault.recover()
                self.assert_hidden()
        for failure in ("500:1", "truncated:1", "broken:1", "401:1", "endless:1", "stall:1"):
            with self.subTest(failure):
                partner.fail(failure)
                self.ask(handler, "request=partner,POST,x,{}")
                partner.recover()
                self.assert_hidden()

    def test_one_that_was_replaced_is_gone(self):
        handler = self.start(policy(secretRefreshMs=1000))
        self.use_everything(handler)
        old = dict(self.values)
        for name in ("key", "api-key", "large"):
            self.values[name] = canary()
            self.services.set_secret(name, self.values[name])
        search = Search(old)
        probe.wait_until(lambda: search.in_process(self.roles.broker) == [], timeout=30, what="the refresh")
        self.assert_hidden()


class TraceTests(Case):
    """What others than the processes themselves can see."""

    @unittest.skipUnless(probe.IS_ROOT, "needs root, to see the processes' files")
    def test_nothing_is_in_environment_command_line_files_and_log(self):
        handler = self.start()
        self.use_everything(handler)
        self.ask(handler, "secret=not-there")
        self.services.partners["partner"].answer_with = lambda request: HttpAnswer(
            200, "OK", [("X-Echo", self.values["api-key"])], b"key: " + self.values["api-key"].encode())
        self.ask(handler, "request=partner,GET,x")
        search = self.search()
        for process in self.roles.all():
            for name in ("environ", "cmdline", "comm", "maps", "status"):
                self.assertEqual(search.in_bytes((process.folder / name).read_bytes()), [], name)
            for number, target in process.descriptors().items():
                path = process.folder / "fd" / str(number)
                if path.is_file():
                    self.assertEqual(search.in_bytes(path.read_bytes()), [], f"{process.name()}: {target}")
        # IDENTITY_HEADER is in what this test has given to the handler, and the kernel has not kept it anywhere else
        for process in probe.children(os.getpid()):
            for name in ("environ", "cmdline"):
                self.assertEqual(search.in_bytes((process.folder / name).read_bytes()), [], process.pid)
        self.assertEqual(search.in_files(handler.app.root), [])
        self.assertEqual(search.in_files(self.services.folder), [])
        found = [(str(path), what) for path, data in new_files(self.since) for what in search.in_bytes(data)]
        self.assertEqual(found, [])
        self.assertEqual(handler.terminate(), 0)
        self.assertEqual([what for line in handler.lines for what in search.in_bytes(line.text)], [])

    def test_the_log_has_none_whatever_fails(self):
        handler = self.start(policy(secretRefreshMs=1000))
        for failure in ("403", "401:1", "redirect:1", "garbage:1", "endless:1", "wrong-type:1", "empty:1"):
            self.services.vault.fail(failure)
            handler.request(probe.ask("secret=key reply"))
            handler.request(probe.ask("request=partner,GET,x reply"))
            self.services.vault.recover()
        for failure in ("500:1", "garbage:1", "no-token:1", "expired:1", "wrong-type:1"):
            self.services.identity.fail(failure)
            handler.request(probe.ask(f"request=queue,POST,messages,{MESSAGE} reply"))
            self.services.identity.recover()
        handler.request(probe.ask("reqheader=Authorization:x request=partner,GET,x reply"))
        handler.terminate()
        search = self.search()
        self.assertEqual([what for line in handler.lines for what in search.in_bytes(line.text)], [])


class CoreTests(Case):
    """With limits that let cores of any size be written, whatever the processes say: another administrator may have
    raised them, or the system hands cores to a program, for which they do not count."""

    USERS = ({}, {"user": 61803, "group": 61803, "extra_groups": []}) if probe.IS_ROOT else ({},)

    def cores(self, folder):
        """Files where the system puts cores by its pattern, and around."""
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
        found = [str(path) for path in folder.rglob("*core*")]
        return found + (glob.glob(str(pathlib.Path(pattern).parent / "*")) if pattern.startswith("/") else [])

    def popen(self, command, folder, user, **options):
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=keep_cores_unlimited, **user, **options)
        self.addCleanup(lambda: process.returncode is None and (process.kill(), process.wait()))
        return process

    def abort_and_wait(self, process):
        """Whether the kernel says that it has written a core."""
        os.kill(process.pid, signal.SIGABRT)
        os.kill(process.pid, signal.SIGCONT)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -os.WTERMSIG(status)
        self.assertEqual(process.returncode, -signal.SIGABRT)
        return os.WCOREDUMP(status)

    def test_an_ordinary_process_would_leave_one(self):
        for user in self.USERS:
            folder = self.temporary_folder()
            folder.chmod(0o777)
            process = self.popen(["sleep", "100"], folder, user)
            if not self.abort_and_wait(process):
                self.skipTest("this system writes no cores at all")

    def test_none_of_the_processes_leaves_one(self):
        document = policy()
        services = self.stand_ins(document, secrets={"key": canary(), "api-key": canary(), "large": canary()})
        for user in self.USERS:
            with self.subTest(user):
                app = probe.write_app(self.temporary_folder() / "app", probe.PROBE_APP / "probe_handler",
                                      probe.probe_functions(), policy=document)
                app.chmod(0o777)
                self.check_cores(app, services, user)

    def check_cores(self, app, services, user):
        before = self.cores(app)
        port = free_port()
        process = self.popen([str(app / "handler")], app, user,
                             env={**services.env, "FUNCTIONS_CUSTOMHANDLER_PORT": str(port)})
        probe.wait_until(lambda: self.is_listening(port), what="the start")
        roles = probe.Roles(process.pid)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            self.assertEqual(probe.exchange(connection, probe.ask("secret=key reply")).status, 200)
            connection.sendall(probe.ask("secret=key never"))
            for role in roles.all():
                if int(role.status()["Uid"][0]) != 0:
                    # the kernel gives this to the process's user only if that may have it dumped
                    self.assertEqual((role.folder / "environ").stat().st_uid, 0, role.name())
            os.kill(process.pid, signal.SIGSTOP)  # it would end by itself when the others do
            for role in (roles.worker, roles.launcher):
                name = role.name()
                os.kill(role.pid, signal.SIGABRT)
                probe.wait_until(lambda role=role: not role.is_alive(), what=f"the end of {name}")
                self.assertEqual(self.cores(app), before, name)
            self.assertFalse(self.abort_and_wait(process))
            self.assertEqual(self.cores(app), before, "broker")

    @staticmethod
    def is_listening(port):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        except ConnectionRefusedError:
            return False


if __name__ == "__main__":
    unittest.main()
