"""docs/performance.md, with the numbers of one run."""

import datetime
import pathlib
import platform
import re
import statistics
import subprocess

PAGE = """\
# Performance

Measured by `make bench`, which writes this page. {date}, {machine}. {load}

## What it means

Under the real Functions host a request costs the host itself about 400 us of CPU (measured with 4.1037, on another
machine than this one), and a minimal C handler 13, a Node one 44, a Python one 120. So what is won here is small
beside what the host takes: a user of azfn gains start-up time, memory, the tail, and 10 to 25 % throughput, not a
factor. The numbers below leave the host out, and ask another question: what does azfn add to the least that a
handler can do?

That least is `tests/bench/minimal_server.c`: one epoll loop, which reads what comes, looks for nothing but its end,
and writes the same bytes that the handler answers: three system calls a request. Both run on one core, `wrk` on
another, in turns within one run. The ratio of their CPU time, the median of {rounds} turns, holds from machine to
machine better than seconds do; still it moves by some percent from run to run, and more where other programs want
the same two cores. Instructions (callgrind, user space only) and system calls (strace) do not depend on that. They
are the difference of two runs, so that what the start costs falls out. callgrind counts every byte that one
instruction copies or wipes (`rep movsb`), so for large bodies it says too much.

## CPU per request

{goals}

{missed}

The same runs, counted:

{counts}

The answer has to be read with the question: the minimal server does not check a byte. The handler checks the head
twice (llhttp, and guards of our own for what llhttp lets through), checks all of the JSON and its UTF-8, decodes text
that the host has put into text, finds the function, measures its time, and wipes what it held. What a queue message
costs comes from its three layers of escapes: the host writes a quote of the message as four bytes.

## System calls per request

{calls}

One wait, one read, one write where a request comes alone; fewer waits where several are there at once.

{secret}
## Start and memory

{start}

Resident pages are mostly those of the executable and the C library, shared by the three processes and with
others; "own" is private dirty memory. A connection that was used once and is idle takes {connection_bytes:.0f} bytes of
the handler's own (not the kernel's part of a socket, which is several times that). After large requests the worker
keeps up to 16 MiB of freed, wiped memory, instead of having the kernel make each page anew for the next one: that
alone was more than half of the CPU time of a body of 1 MiB.

## What cost per request depends on

Not on the number of connections, beyond what the kernel needs to find more of them, which the minimal server pays
as well; on each header line and each byte alike, however many there are; not on the number of functions; not on
how many requests there were before.

{scaling}

{uptime}

## Other languages

The same GET, a plain handler in what is installed on this machine, sources in `tests/bench/plain`. None of them has
what the handler does besides: a process of its own for what is secret, a limit for everything, a log that can't be
forged. The Rust one is not a web framework but the standard library's sockets.

{languages}
"""


SECRET = """\
## A secret that the broker has

{date}. {load}

The same answer in three ways, 64 connections: by a function that asks the broker for a secret first, which the broker
has already; by the same function without; and by the minimal server. CPU of all processes of the handler. What the
secret adds is {added:.1f} times what the minimal server needs for a request (goal: at most 2; turns from {low:.1f} to
{high:.1f}).

{costs}

{calls}

Where many ask at the same time, their questions go to the broker with one write, and the answers come back with one.

Private dirty memory after these requests, KiB: {memory}.
In the broker that is libcurl and OpenSSL for the larger part; each connection to a vault or a destination that is open
at the same time takes another 110 KiB or so.

"""


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return (done.stdout or done.stderr).partition("\n")[0]


def _version(*command):
    found = re.search(r"\d+(\.\d+)+", _first_line(*command) or "")
    return found[0] if found else "unknown"


def _machine():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    kernel = re.match(r"\d+\.\d+", platform.release())[0]
    return (f"{model[1] if model else platform.machine()}, {info.count('processor')} cores"
            f"{', a virtual machine' if 'hypervisor' in info else ''}, Linux {kernel}, "
            f"{' '.join(platform.libc_ver())}, gcc {_version('gcc', '--version')}, "
            f"libuv {_version('pkg-config', '--modversion', 'libuv')}, wrk {_version('wrk', '--version')}")


def _goals(rows):
    lines = []
    for row in rows:
        spread = f"{row['ratios'][0]:.2f} to {row['ratios'][-1]:.2f}"
        lines.append([row["name"], f"{row['handler_us']:.1f}", f"{row['minimal_us']:.1f}", f"**{row['ratio']:.2f}**",
                      spread, row["goal"] or "", f"{row['handler_rate']:,.0f}", f"{row['minimal_rate']:,.0f}"])
    return _table(["request", "handler, us", "minimal, us", "ratio", "turns", "goal", "handler, requests/s",
                   "minimal, requests/s"], lines)


def _missed(rows):
    missed = [row["name"] for row in rows if row["goal"] and row["ratio"] > row["goal"]]
    return f"Above its goal in this run: {'; '.join(missed)}." if missed else "Every goal was met in this run."


def _load(average):
    if average < 0.5:
        return "Nothing else was running."
    return (f"The load average was {average:.1f} before the run: other programs wanted the same cores, so rates and "
            "start times are worse than they would be alone.")


def _counts(rows):
    return _table(["request", "handler, user instructions", "minimal server"],
                  [[row["name"], f"{row['handler_instructions']:,.0f}", f"{row['minimal_instructions']:,.0f}"]
                   for row in rows])


def _calls(calls):
    names = sorted({name for each in calls.values() for name in each})
    return _table(["", *names], [[who, *(f"{each.get(name, 0):.2f}" for name in names)] for who, each in calls.items()])


def secret_section(run):
    turns = run["turns"]
    added = sorted((turn["with"] - turn["without"]) / turn["minimal"] for turn in turns)
    costs = [[name, f"{statistics.median(turn[key] for turn in turns):.1f}", f"{run['instructions'][key]:,.0f}"]
             for name, key in (("with a secret", "with"), ("without", "without"), ("minimal server", "minimal"))]
    names = sorted({name for each in run["calls"].values() for name in each})
    calls = [[f"{who} a secret, {'one connection' if count == 1 else f'{count} connections at once'}",
              *(f"{each.get(name, 0):.2f}" for name in names)] for (who, count), each in run["calls"].items()]
    memory = ", ".join(f"{process} {own}" for process, _, own in run["memory"])
    return SECRET.format(date=datetime.date.today().isoformat(), load=_load(run["load"]), memory=memory,
                         added=statistics.median(added), low=added[0], high=added[-1],
                         costs=_table(["", "us of CPU per request", "user instructions, one connection"], costs),
                         calls=_table(["system calls per request", *names], calls))


def with_secret_section(page, run):
    """A page that was written before, with this section anew."""
    before, _, rest = page.partition("## A secret that the broker has\n")
    begin, _, end = (rest or before).partition("## Start and memory\n")
    return (before if rest else begin) + secret_section(run) + "## Start and memory\n" + end


def _start(start):
    lines = []
    for name, (ms, memory) in start.items():
        each = ", ".join(f"{process} {resident}/{own}" for process, resident, own in memory)
        lines.append([name, f"{ms:.1f}", f"{sum(own for _, _, own in memory)}", each])
    return _table(["", "exec to first answer, ms", "own memory, KiB", "each process: resident/own KiB"], lines)


def _header_lines(headers):
    lines = []
    for i, (count, instructions) in enumerate(headers):
        more = (instructions - headers[i - 1][1]) / (count - headers[i - 1][0]) if i else None
        lines.append([count, f"{instructions:,.0f}", f"{more:,.0f}" if more else ""])
    return lines


def _scaling(scaling):
    parts = [
        _table(["connections", "handler, us of CPU per GET", "minimal server"],
               [[f"{n:,}", f"{ours:.1f}", f"{theirs:.1f}"] for n, ours, theirs in scaling["connections"]]),
        _table(["header lines", "user instructions per GET", "each line more"], _header_lines(scaling["headers"])),
        _table(["body, forwarded", "us of CPU", "ns per byte"],
               [[f"{size:,}", f"{us:.1f}", f"{us * 1000 / size:.2f}"] for size, us in scaling["body"]]),
        _table(["functions", "user instructions per GET"],
               [[f"{n:,}", f"{count:,.0f}"] for n, count in scaling["functions"]]),
    ]
    return "\n\n".join(parts)


def _uptime(points):
    return _table(["requests served", "us of CPU per GET", "own memory, KiB"],
                  [[f"{sent:,}", f"{us:.1f}", own] for sent, us, own in points])


def _languages(costs, start):
    return _table(["", "us of CPU per GET", "exec to first answer, ms", "own memory, KiB"],
                  [[name, f"{us:.1f}", f"{start[name][0]:.1f}", sum(own for _, _, own in start[name][1])]
                   for name, us in costs.items()])


def page(run):
    return PAGE.format(
        date=datetime.date.today().isoformat(),
        machine=_machine(),
        load=_load(run["load"]),
        missed=_missed(run["goals"]),
        rounds=len(run["goals"][0]["ratios"]),
        goals=_goals(run["goals"]),
        counts=_counts(run["goals"]),
        calls=_calls(run["calls"]),
        secret=secret_section(run["secret"]),
        start=_start({name: run["start"][name] for name in ("handler", "minimal server")}),
        connection_bytes=run["connection_bytes"],
        scaling=_scaling(run["scaling"]),
        uptime=_uptime(run["uptime"]),
        languages=_languages(run["languages"], run["start"]),
    )
