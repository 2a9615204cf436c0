"""Runs the steps of the attack, each in a fresh app: in azfn, with all layers or with some; in a plain handler; and
against a broker that checks nothing.

    with Lab() as lab:
        outcome = lab.run_azfn(lab.step("fork"))        # Outcome(kind="killed", call="clone", events=[...])
        outcome = lab.run_plain(lab.step("fork"))
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import probe  # noqa: E402
from azfn_local.host import Host  # noqa: E402
from azfn_local.client_request import ClientRequest  # noqa: E402
from azfn_local.wire import WireError, read_response  # noqa: E402
from trusting_broker import TrustingBroker  # noqa: E402

APP = pathlib.Path(os.environ.get("AZFN_ATTACK_APP", probe.DEFAULT_APP.parent / "attack_app"))
BARE = (APP / "attack_bare").resolve()  # the plain handler runs it from another folder
EXECUTED = "attack-executed"
MASK = 0x5A
# where the C library blocks all signals before it makes the call: then the kernel ends the worker without its handler
UNNAMED = "unnamed"
ENVIRONMENT = {"PAYMENT_API_KEY": "canary-payment-key-of-the-environment"}
SECRETS = {"own-key": "canary-own-key-in-the-vault", "victim-key": "canary-victims-key-in-the-vault",
           "nobodys-key": "canary-nobodys-key-in-the-vault", "partner-key": "canary-key-of-the-partner"}
SWITCHABLE = ("seccomp", "landlock_files", "landlock_network", "landlock_scope", "limits")
# of a worker's life, which each worker that ends leaves beside the event that says why
LIFECYCLE = {"sys_crash:worker", "sys_crash:worker_blocked", "sys_restart:worker", "sys_startup", "sys_startup:worker",
             "sys_shutdown"}
DAMAGES_LISTENER = {"connect-listener", "stop-listener", "filter-listener", "delay-listener", "shorten-queue",
                    "signal-by-socket", "arm-signal-by-socket"}


def policy(timeout_ms=30000):
    reference = "@Microsoft.KeyVault(VaultName=dev;SecretName={})"
    return {"secrets": {name: {"reference": reference.format(name)} for name in SECRETS},
            "destinations": {
                "partner": {"url": "https://api.partner.example/v1/", "methods": ["GET", "POST"],
                            "authenticate": {"header": "x-api-key", "secret": "partner-key"}},
                "nobodys": {"url": "https://other.example/", "methods": ["GET"], "authenticate": "none"}},
            "functions": {"Attack": {"secrets": ["own-key"], "destinations": ["partner"], "timeoutMs": timeout_ms},
                          "Victim": {"secrets": ["victim-key"], "destinations": ["partner"], "maxConcurrent": 5000}}}


def functions(names=("Attack", "Victim")):
    bindings = [probe.HTTP_IN, {"type": "http", "direction": "out", "name": "res"}]
    return {name: {"bindings": bindings} for name in names}


def masked(data):
    return bytes(byte ^ MASK for byte in (data if isinstance(data, bytes) else data.encode())).hex()


@dataclasses.dataclass(frozen=True)
class Step:
    group: str
    title: str
    name: str
    wants: str
    calls: tuple        # at one of which seccomp ends it
    event: str
    stopped_by: frozenset
    flags: frozenset

    @classmethod
    def from_line(cls, line):
        entry = json.loads(line)
        return cls(entry["group"], entry["title"], entry["name"], entry["wants"],
                   tuple(filter(None, entry["call"].split("|"))), entry["event"], frozenset(entry["stopped_by"]),
                   frozenset(entry["flags"]))

    def __getattr__(self, name):  # is_possible, needs_root, ...
        return name in self.flags


@dataclasses.dataclass
class Outcome:
    kind: str           # succeeded, refused, nothing, killed (by seccomp), stopped (the worker, by others), not_here
    call: str = ""
    error: str = ""
    detail: str = ""
    events: list = dataclasses.field(default_factory=list)   # names, of the broker, without those of a worker's life
    life: list = dataclasses.field(default_factory=list)     # those
    lines: list = dataclasses.field(default_factory=list)    # of the log
    is_taken_as_hosts: bool = False                          # the host takes one of these for its own

    @property
    def has_failed(self):
        return self.kind in ("refused", "nothing", "killed", "stopped")


class Lab:
    def __init__(self):
        self.steps = [Step.from_line(line) for line in
                      subprocess.run([BARE, "list"], check=True, capture_output=True, text=True).stdout.splitlines()]
        self._stack = contextlib.ExitStack()
        self._open = self._stack.enter_context

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.push(self._stack)
            self.services = self._open(probe.StandIns(policy(), settings={}, secrets=SECRETS))
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="azfn-attack-"))
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.folder.chmod(0o755)
            self._listen()
            self._templates = {}
            for program in ("attack_handler", "attack_pool_handler", "attack_layers_handler"):
                if (APP / program).exists():
                    self._templates[program] = probe.write_app(self.folder / program, APP / program, {},
                                                                policy=policy())
            # all tokens of an issuer begin with the same header
            self._token_beginning = self.services.identity.issuer.issue(
                "https://vault.azure.net", client_id="a", principal_id="b")[:20]
            self._plain_app = self._make_plain_app()
            self._plain = self._open(self._plain_handler())
            stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def step(self, name):
        return next(step for step in self.steps if step.name == name)

    def _listen(self):
        """What the attacker has outside."""
        def listener(family, address, kind=socket.SOCK_STREAM):
            opened = self._open(socket.socket(family, kind))
            opened.bind(address)
            if kind == socket.SOCK_STREAM:
                opened.listen(1024)
            return opened

        name = f"azfn-attack-{uuid.uuid4().hex[:12]}"
        path = str(self.folder / "socket")
        self.listening = {"tcp": listener(socket.AF_INET, ("127.0.0.1", 0)).getsockname()[1],
                          "host": listener(socket.AF_INET, ("127.0.0.1", 0)).getsockname()[1],
                          "udp": listener(socket.AF_INET, ("127.0.0.1", 0), socket.SOCK_DGRAM).getsockname()[1],
                          "unix": path, "abstract": name}
        with contextlib.suppress(OSError):
            self.listening["tcp6"] = listener(socket.AF_INET6, ("::1", 0)).getsockname()[1]
        listener(socket.AF_UNIX, path)
        os.chmod(path, 0o777)
        listener(socket.AF_UNIX, "\0" + name)

    @contextlib.contextmanager
    def _decoy(self):
        """A process with something to steal. (pid, address of it)"""
        with subprocess.Popen([BARE, "decoy"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env=ENVIRONMENT) as process:
            try:
                yield process.pid, process.stdout.readline().strip()
            finally:
                process.kill()

    def _target(self, root, **more):
        return ";".join(f"{name}={value}" for name, value in {
            **self.listening, "app": root / "app", "scratch": root / "scratch",
            "identity": self.services.identity.port, "vault": self.services.vault.port, "spin": 2,
            "token": masked(self._token_beginning), **more}.items())

    @contextlib.contextmanager
    def _folder(self):
        root = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        root.chmod(0o755)
        scratch = root / "scratch"
        scratch.mkdir()
        scratch.chmod(0o777)
        (scratch / "token").write_text("canary-token-in-a-file")
        (scratch / "token").chmod(0o644)
        try:
            yield root
        finally:
            shutil.rmtree(root, ignore_errors=True)

    # azfn

    def run_azfn(self, step, layers=None, function="Attack", program="attack_handler"):
        """layers: names of those that are on, None: as it is shipped."""
        with self._folder() as root, self._decoy() as (other, _):
            if layers is not None:
                program = "attack_layers_handler"
            names = ("Attack", "Victim", "AttackPool") if program == "attack_pool_handler" else ("Attack", "Victim")
            document = policy(200 if step.name == "exhaust-time" else 30000)
            if "AttackPool" in names:
                document["functions"]["AttackPool"] = dict(document["functions"]["Attack"])
            self._make_app(root / "app", program, names, document)
            if layers is not None:
                (root / "app" / "sandbox-layers").write_text(" ".join(layers) or "none")
                (root / "app" / "sandbox-layers").chmod(0o644)
            app = probe.App.load(root / "app")
            # no secret of the machine that runs the tests, and the one that is to be stolen
            with probe.Handler(app, inherit={"PATH": os.environ["PATH"]},
                               env={**self.services.env, **ENVIRONMENT}) as handler:
                keeps = layers is not None and "seccomp" not in layers
                run = AzfnRun(self, step, handler, root, other, function, keep=int(keeps))
                return run.run()

    def _make_app(self, folder, program, names, document):
        """With links to the executables: one that is being written could not be started, and a fork holds it open."""
        folder.mkdir()
        for name, function in functions(names).items():
            (folder / name).mkdir()
            (folder / name / "function.json").write_text(json.dumps(function))
        for name in ("handler", "azfn-https.so"):
            os.link(self._templates[program] / name, folder / name)
        shutil.copyfile(self._templates[program] / "host.json", folder / "host.json")
        (folder / "azfn.json").write_text(json.dumps(document))

    # a plain handler

    def run_plain(self, step):
        with self._folder() as root, self._decoy() as (decoy, address):
            if step.needs_broker:
                return self._run_against_trusting_broker(step, root, decoy)
            (root / "app").mkdir()
            shutil.copytree(self._plain_app, root / "app", dirs_exist_ok=True)
            damages = step.name in DAMAGES_LISTENER or step.name == "redirect-host"
            with self._plain_handler() if damages else contextlib.nullcontext(self._plain) as plain:
                if step.name == "redirect-host":
                    return self._redirect(plain)
                target = self._target(root, broker=decoy, launcher=decoy, other=decoy, address=address,
                                      past=masked(ENVIRONMENT["PAYMENT_API_KEY"]),
                                      present=masked(ENVIRONMENT["PAYMENT_API_KEY"]),
                                      key=masked(ENVIRONMENT["PAYMENT_API_KEY"]),
                                      header=masked(self.services.identity.header_value))
                answer = plain.request(request(f"/api/Attack?step={step.name}", {"x-target": target}))
                reply = json.loads(answer.body)
                return judge_plain(step, reply["code"], reply["output"])

    def _make_plain_app(self):
        app = self.folder / "plain"
        app.mkdir()
        (app / "host.json").write_text(json.dumps({"version": "2.0", "customHandler": {
            "description": {"defaultExecutablePath": "handler"}}}))
        (app / "azfn.json").write_text("{}")
        for name, document in functions(("Attack",)).items():
            (app / name).mkdir()
            (app / name / "function.json").write_text(json.dumps(document))
        shutil.copyfile(HERE / "plain_handler.py", app / "handler")
        (app / "handler").chmod(0o755)
        return app

    def _plain_handler(self):
        return probe.Handler(probe.App.load(self._plain_app), inherit={"PATH": os.environ["PATH"]},
                             env={**ENVIRONMENT, **self.services.identity.env, "ATTACK_BARE": str(BARE)})

    def _redirect(self, handler):
        location = f"http://127.0.0.1:{self.listening['tcp']}/"
        outcome = Host(handler.app, handler, framing="length").invoke_http(ClientRequest.make(
            "GET", "/api/Attack?step=redirect-host", headers=[("x-location", location)]))
        is_followed = "the host would follow it" in (outcome.error or "")
        return Outcome("succeeded" if is_followed else "nothing",
                       detail="the host calls it" if is_followed else "the host hands it to the caller")

    def _run_against_trusting_broker(self, step, root, decoy):
        with TrustingBroker() as broker:
            channel = broker.theirs.fileno()
            target = self._target(root, broker=decoy, launcher=decoy, other=decoy, channel=channel, listener=channel)
            result = subprocess.run([BARE, "step", step.name, target], pass_fds=[channel], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                                    check=False)
            broker.finish()
            outcome = judge_plain(step, result.returncode, result.stdout)
            if step.name == "destination-scheme" or step.name.startswith("destination-"):
                outcome.detail = "sent"
            if step.event.startswith("malicious_frame") and not broker.faults and step.name != "frame-of-broker":
                outcome.kind = "nothing"
            return outcome


def child_of(pid):
    """probe.Roles looks through all processes, which takes its time, once for each step."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    except (OSError, IndexError):
        return probe.Roles(pid).launcher.pid


class AzfnRun:
    """One step in one app."""

    def __init__(self, lab, step, handler, root, other, function, **more):
        self.lab, self.step, self.handler, self.function = lab, step, handler, function
        self.broker = handler.pid
        self.launcher = child_of(self.broker)
        self.invocation_id = str(uuid.uuid4())
        flight = struct.pack("<III", len(function), len(self.invocation_id), 0) + function.encode()
        services = lab.services
        self.target = lab._target(
            root, broker=self.broker, launcher=self.launcher, other=other, listener=3,
            address=self.broker, spin=30, past=masked(SECRETS["victim-key"]),
            present=masked(SECRETS["victim-key"]), key=masked(SECRETS["partner-key"]),
            header=masked(services.identity.header_value), flight=masked(flight), **more)

    def run(self):
        held = self._prepare()
        outcome = self._try()
        if self.handler.state == "ready" and probe.Process(self.broker).is_alive():
            self._mark()
        if held:
            held.close()
        return self._read_log(outcome)

    def _prepare(self):
        name = self.step.name
        if name in ("secret-of-the-past", "identity-token", "identity-header"):
            self._victim("secret")
        elif name == "key-of-destination":
            self._victim("call")
        elif name == "secret-in-use":
            held = socket.create_connection(("127.0.0.1", self.handler.port), timeout=20)
            held.sendall(request("/api/Victim?do=hold"))
            self.handler.wait_for_line("holding")
            return held
        return None

    def _victim(self, what, headers=None):
        response = self.handler.request(request(f"/api/Victim?do={what}", headers or {}))
        assert response.status == 200, (self.step.name, what, response.status, response.body)
        return response.body.decode()

    def _try(self):
        name = self.step.name
        if name == "redirect-host":
            return self.lab._redirect(self.handler)
        try:
            with socket.create_connection(("127.0.0.1", self.handler.port), timeout=30) as connection:
                connection.sendall(request(f"/api/{self.function}?step={name}", {
                    "x-target": self.target, "X-Azure-Functions-InvocationId": self.invocation_id}))
                response = read_response(connection, "GET")
        except (OSError, WireError):
            return self._judge_death()
        if name == "data-out-in-answers":
            return Outcome("succeeded" if response.body.decode() == SECRETS["own-key"] else "nothing",
                           detail="the secret is in the answer")
        result = json.loads(response.body)
        outcome = Outcome(result["outcome"], result["call"], result["errno"], result["detail"])
        return self._judge_later(outcome)

    def _judge_later(self, outcome):
        """What an answer alone does not tell."""
        name = self.step.name
        if name in ("read-later-requests", "lie-in-answers") and outcome.kind == "succeeded":
            lie = self._victim("nothing", {"x-private": "what others ask"})
            stolen = self.handler.request(request("/api/Attack?show=1")).body.decode()
            is_done = lie == "a lie" if name == "lie-in-answers" else stolen == "what others ask"
            outcome.kind = "succeeded" if is_done else "nothing"
        elif name == "exhaust-slab":
            self._victim("secret")
        elif self.step.kills_target and outcome.kind == "succeeded":
            outcome.detail = "gone"
        elif self.step.ends_worker and self.step.event.startswith("malicious_frame"):
            # the answer was on its way before the broker had read the frame
            self.handler.wait_for_line(self.step.event)
            outcome = self._judge_death()
        return outcome

    def _judge_death(self):
        """The worker is gone, or another program by now."""
        def has_said():
            lines = [line.text for line in self.handler.lines]
            return (any(EXECUTED in line for line in lines) or any('"sys_crash:worker' in line or '"malicious_' in line
                    for line in lines) or self.handler.starts > 1 or self.handler.state != "ready")
        probe.wait_until(has_said, timeout=20, what=f"a word about the end of {self.step.name}")
        if self.handler.state == "ready":
            self._mark()  # the two streams of the log are read side by side
        texts = [line.text for line in self.handler.lines]
        if any(EXECUTED in line for line in texts):
            return Outcome("succeeded", detail="a program of the attacker's ran")
        if self.handler.starts > 1 or self.handler.state != "ready":
            return Outcome("succeeded", detail="gone")
        for event in self._entries():
            if event.get("event", "").startswith("malicious_syscall"):
                call = re.search(r"the call was (\w+)", event["description"])
                return Outcome("killed", call.group(1) if call else UNNAMED)
        return Outcome("succeeded" if self.step.is_possible else "stopped", detail="the worker is replaced")

    def _mark(self):
        """A request that is served after all that came before, and says so on both streams: also, the app goes on."""
        if self.step.name in ("read-later-requests", "lie-in-answers") or self.step.name in DAMAGES_LISTENER:
            return
        deadline = time.monotonic() + 20
        while True:
            try:
                self._victim("mark")
                break
            except (OSError, WireError, AssertionError):
                if time.monotonic() > deadline or self.handler.state != "ready":
                    return
        with contextlib.suppress(TimeoutError):
            for level in ("Information", "Warning"):
                self.handler.wait_for_line(lambda line, level=level: "end-mark" in line.text and line.level == level)

    def _entries(self):
        for line in list(self.handler.lines):
            with contextlib.suppress(ValueError):
                yield json.loads(line.text)

    def _read_log(self, outcome):
        if self.step.name == "flood-of-lines":
            with contextlib.suppress(TimeoutError):
                self.handler.wait_for_line("excess_rate_limit_exceeded:log", 5)
        for entry in self._entries():
            event = entry.get("event", "")
            if not event or entry.get("origin") != "broker" or event.startswith("sys_monitor_disabled"):
                continue
            (outcome.life if event in LIFECYCLE else outcome.events).append(event)
        outcome.lines = [line.text for line in self.handler.lines]
        outcome.is_taken_as_hosts = any(line.category != "Console" for line in self.handler.lines)
        if self.step.seen_outside:
            judge_log(self.step, outcome)
        return outcome


def judge_log(step, outcome):
    """Steps whose effect would be in the log."""
    forged = {"forged-line": lambda line: line.lstrip().startswith('{"level":"INFO","origin":"broker"'),
              "flight-record-of-lies": lambda line: line.startswith('{"origin":"broker"}')}
    if step.name in forged or step.name.endswith("prefix-of-host"):
        begins = forged.get(step.name, lambda line: False)
        is_there = outcome.is_taken_as_hosts or any(begins(line) for line in outcome.lines)
        is_dead = outcome.kind == "stopped"
        outcome.kind = "succeeded" if is_there else "stopped" if is_dead else "nothing"
        outcome.detail = "as if the broker had written it" if is_there else "the line is marked as the worker's"
    elif step.name in ("forged-event", "forged-fault"):
        entries = [json.loads(line) for line in outcome.lines if "forged-" in line and line.startswith("{")]
        is_forged = any(entry["origin"] == "broker" for entry in entries)
        outcome.kind = "succeeded" if is_forged else "nothing"
        outcome.detail = "the line is marked as the worker's" if entries else "the broker does not tell it"
    elif step.name == "flood-of-lines":
        written = sum('"malicious_request:function"' in line for line in outcome.lines)
        outcome.kind = "succeeded" if written > 5000 else "nothing"
        outcome.detail = "all were written" if written > 5000 else "what is too much is dropped, and counted"


def judge_plain(step, code, output):
    lines = output.replace("\r", "\n").split("\n")
    if EXECUTED in output:
        return Outcome("succeeded", detail="a program of the attacker's ran")
    if step.seen_outside and step.name.endswith("prefix-of-host"):
        is_there = any(line.startswith(("azfuncjsonlog:", "LanguageWorkerConsoleLog")) for line in lines)
        return Outcome("succeeded" if is_there else "nothing", detail="as if the host had written it")
    if code < 0:
        if step.name == "crash-worker":
            return Outcome("succeeded", detail="it is dead")
        if step.needs_32_bit:
            return Outcome("not_here", detail="this kernel has no 32-bit calls")
        return Outcome("stopped", detail=f"signal {-code}")
    results = [line for line in lines if line.startswith('{"outcome"')]
    if not results:
        return Outcome("stopped", detail=output[:80])
    result = json.loads(results[-1])
    outcome = Outcome(result["outcome"], result["call"], result["errno"], result["detail"])
    if step.needs_root and not probe.IS_ROOT and outcome.kind == "refused":
        return Outcome("not_here", detail="the kernel asks for root")
    return outcome


def request(path, headers=None):
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode()
