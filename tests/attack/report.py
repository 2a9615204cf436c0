"""Replays the attack and tells people what came of it: prints the table and writes a page, from the same run.

    report.py [--output docs/attack.md]"""

import argparse
import collections
import concurrent.futures
import dataclasses
import pathlib
import textwrap

from attack_lab import Lab, Outcome, Step
from test_attack import BASE, EVENT_NAMES, EVENT_OF_SECCOMP, layers_to_show

LAYERS = {
    "seccomp": ("the filter of system calls", "The kernel ends the worker at the first call that is not on a list."),
    "landlock_files": ("the file rules", "Landlock: no file of the machine can be opened, made or run."),
    "landlock_network": ("the network rules", "Landlock: no TCP connection, no port."),
    "landlock_scope": ("the process rules", "Landlock: no signal to another process, no local socket of one."),
    "limits": ("the resource limits", "No process, no written file, an end to memory and open files."),
    "environment": ("the wiped environment", "The worker is started with none; the others' are overwritten."),
    "users": ("two users", "Started as root, broker and worker become two different users."),
    "unprivileged": ("no privileges", "No process of azfn stays root, and none can become it."),
    "undumpable": ("closed processes", "The kernel lets nobody of the same user look into them."),
    "keeping": ("what is not there", "The worker never has keys and tokens; what it had is wiped, and bounded."),
    "policy": ("the policy", "The broker grants what azfn.json says, and nothing else."),
    "channel": ("checked messages", "The broker takes well-formed messages of a worker only."),
    "log": ("the broker's log", "Only the broker writes to the host; each line says where it comes from."),
    "watch": ("the watch", "The broker ends a worker that does not come back."),
    "host_mode": ("the host's mode", "host.json has the mode in which the host follows no redirect."),
}

DRAWING = """```mermaid
flowchart LR
    caller([Callers]) --> host[Functions host]
    host -- "requests" --> worker
    host -- "starts it, gives it the environment, reads its log" --> broker
    subgraph azfn
        broker["<b>Broker</b><br/>identity, secrets, policy, log<br/>reads no request of the outside"]
        launcher["<b>Launcher</b><br/>starts workers, nothing else"]
        worker["<b>Worker</b><br/>your functions, and the attacker<br/>no file, no network, no program, no key"]
        broker -- "start one" --> launcher
        launcher -- "starts" --> worker
        worker <-- "asks, by name; answers, by policy" --> broker
    end
    broker -- "HTTPS" --> services[("Key Vault, managed identity,<br/>granted services")]
    worker -. "{stopped} of {tried} steps end here" .-x world[("Everything else")]
    style worker stroke:#c00,stroke-width:3px
```"""


@dataclasses.dataclass
class Row:
    step: Step
    plain: Outcome
    azfn: Outcome
    alone: list      # layers that stop it without the others of the sandbox
    together: list   # those that can't be switched off: all of them are there when none of the sandbox is

    @property
    def shown_alone(self):
        return self.alone + (self.together if len(self.together) == 1 else [])

    @property
    def is_stopped(self):
        return not self.step.is_possible and self.azfn.has_failed

    @property
    def event(self):
        if self.azfn.kind == "killed":
            return EVENT_OF_SECCOMP
        event = EVENT_NAMES.get(self.step.event, self.step.event)
        return event if event in self.azfn.events + self.azfn.life else "-"

    @property
    def stopped_by(self):
        if self.step.is_possible:
            return "by design"
        first = ["seccomp"] if self.azfn.kind == "killed" else self.shown_alone[:1]
        others = [layer for layer in self.alone + self.together if layer not in first]
        texts = (", ".join(LAYERS[layer][0] for layer in layers) for layers in (first, others))
        return "; also ".join(filter(None, texts))

    @property
    def in_azfn(self):
        return "possible" if self.step.is_possible else what_came(self.azfn)

    @property
    def in_plain(self):
        if self.step.needs_broker:
            return what_came(self.plain) + " (1)"
        return "(2)" if self.plain.kind == "not_here" else what_came(self.plain)


def run(lab):
    """[Row]: what came of each step in a plain handler, in azfn, with one layer alone, and with the base alone."""
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        plain = [threads.submit(lab.run_plain, step) for step in lab.steps]
        shipped = [threads.submit(lab.run_azfn, step) for step in lab.steps]
        alone = [{layer: threads.submit(lab.run_azfn, step, [layer]) for layer in layers_to_show(step)}
                 for step in lab.steps]
        base = [threads.submit(lab.run_azfn, step, []) if step.stopped_by & BASE else None for step in lab.steps]
        rows = []
        for i, step in enumerate(lab.steps):
            stopped = [layer for layer, future in alone[i].items() if future.result().has_failed]
            together = sorted(step.stopped_by & BASE) if base[i] and base[i].result().has_failed else []
            rows.append(Row(step, plain[i].result(), shipped[i].result(), stopped, together))
        return rows


def what_came(outcome):
    if outcome.kind == "killed":
        return "worker ended" if outcome.call == "unnamed" else f"worker ended at `{outcome.call}`"
    if outcome.kind == "refused":
        return f"refused: {outcome.error or outcome.detail}"
    if outcome.kind == "nothing":
        return "finds nothing" if outcome.detail.startswith(("no ", "not ")) else "has no effect"
    return {"succeeded": "succeeds", "stopped": "worker ended", "not_here": "not here"}[outcome.kind]


def wrap(text):
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def titles(rows):
    return list(dict.fromkeys(row.step.title for row in rows))


INTRODUCTION = """\
# The attack, replayed

What happens when an attacker runs code of his own inside a function? Studies of serverless platforms showed it: he
takes the keys from the environment, the app's identity, files, and a shell. Here all that is tried, step by step, in
two programs: a *plain handler*, as tutorials show it, with its key in the environment (tests/attack/plain_handler.py), and
an app of *azfn*. `make attack` does it again, started as root, and writes this page; nothing in it is written by hand.

- **azfn: {stopped} of {tried} steps fail**, each in an app of its own. {seen} of them leave an event in the log.
- **Plain handler: {plain} of {plain_tried} steps succeed.**
- {possible} more things are possible in azfn by design. They are listed as well.

## Who can reach what

{drawing}

## What stops an attacker

Most steps would have to get past several of these. The number says how many one stopped when it was there alone.

| | what it does | stopped alone |
|---|---|---|
{layers}

{unseen}
What Landlock's rules or a limit refuse the kernel tells nobody: with the filter off, such steps would be refused, and
not seen either.

## Step by step
"""

UNSEEN = ("{count} of the steps that fail are not seen, since nothing is done that the broker or the filter could "
          "notice: {names}.")

FOOTNOTES = """\
(1) A plain handler has no broker: it holds the secrets, and calls whom it wants. The step was tried against a broker
that checks nothing (tests/attack/trusting_broker.py).

{not_shown}

What is possible is so by design: all functions of one worker share its fate. docs/threat-model.md says more.
"""


def page(rows):
    tried = [row for row in rows if not row.step.is_possible]
    stopped = [row for row in tried if row.is_stopped]
    unseen = [row.step.name for row in stopped if row.event == "-"]
    plain = [row for row in tried if not row.step.needs_broker and row.plain.kind != "not_here"]
    not_shown = [row for row in rows if row.plain.kind == "not_here"]
    counts = collections.Counter(layer for row in stopped for layer in row.shown_alone)
    lines = [INTRODUCTION.format(
        stopped=len(stopped), tried=len(tried), seen=len(stopped) - len(unseen), possible=len(rows) - len(tried),
        plain=sum(row.plain.kind == "succeeded" for row in plain), plain_tried=len(plain),
        drawing=DRAWING.format(stopped=len(stopped), tried=len(tried)),
        unseen=wrap(UNSEEN.format(count=len(unseen), names=", ".join(unseen))),
        layers="\n".join(f"| {name} | {what} | {counts[layer]} |" for layer, (name, what) in LAYERS.items()))]
    for title in titles(rows):
        lines += [f"### {title}\n", "| what the attacker wants | step | plain handler | azfn | stopped by | event |",
                  "|---|---|---|---|---|---|"]
        lines += [f"| {row.step.wants} | {row.step.name} | {row.in_plain} | "
                  f"{'**possible**' if row.step.is_possible else row.in_azfn} | {row.stopped_by} | {row.event} |"
                  for row in rows if row.step.title == title] + [""]
    names = "; ".join(f"{row.step.name} ({row.plain.detail})" for row in not_shown)
    return "\n".join([*lines, FOOTNOTES.format(
        not_shown=wrap(f"(2) Not shown to be real here, {len(not_shown)} steps: {names}."))])


def print_table(rows):
    for title in titles(rows):
        print(f"\n{title}\n  {'step':26} {'plain handler':20} {'azfn':36} {'stopped by':82} event")
        for row in rows:
            if row.step.title == title:
                print(f"  {row.step.name:26} {row.in_plain:20} {row.in_azfn:36} {row.stopped_by:82} {row.event}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    with Lab() as lab:
        rows = run(lab)
    print_table(rows)
    if arguments.output:
        arguments.output.write_text(page(rows), "utf-8")
    failed = [row.step.name for row in rows if not row.step.is_possible and not row.is_stopped]
    if failed:
        raise SystemExit("not stopped: " + ", ".join(failed))


if __name__ == "__main__":
    main()
