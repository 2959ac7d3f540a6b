"""Turns the reports of run.sh into Markdown tables."""

import json
import statistics
import sys
from pathlib import Path

FOLDER = Path(sys.argv[1])
PROXIES = ["cumulet", "nginx", "haproxy"]
# Who was reached how: each as it comes, and all the same way.
WAYS = [
    ("cumulet by sockets, the others by ports", PROXIES),
    ("all by ports", ["cumulet-ports", "nginx", "haproxy"]),
    ("all by sockets", ["cumulet", "nginx-sockets", "haproxy-sockets"]),
]
TICKS_PER_SECOND = 100


def rounds(name, proxy):
    """The reports of a measurement, one for each round, with the ticks and kilobytes used."""
    found = []
    for path in sorted(FOLDER.glob(f"{name}.{proxy}.*.json")):
        used = path.with_suffix(".used")
        ticks, kilobytes = map(int, used.read_text().split()) if used.exists() else (0, 0)
        found.append((json.loads(path.read_text()), ticks, kilobytes))
    return found


def cpu(name, proxy):
    """Microseconds of CPU time per answered request, over all rounds."""
    all_rounds = rounds(name, proxy)
    ok = sum(report["ok"] for report, _, _ in all_rounds)
    ticks = sum(ticks for _, ticks, _ in all_rounds)
    return 1e6 * ticks / TICKS_PER_SECOND / ok if ok else None


def median(name, proxy, *keys):
    figures = []
    for report, _, _ in rounds(name, proxy):
        for key in keys:
            report = report[key]
        figures.append(report)
    return statistics.median(figures) if figures else None


def show(number, digits=1):
    return "–" if number is None else f"{number:,.{digits}f}"


def row(title, figures):
    print(f"| {title} | " + " | ".join(figures) + " |")


def head(title):
    print(f"\n| {title} | " + " | ".join(PROXIES) + " |")
    print("|---" + "|--:" * len(PROXIES) + "|")


def rows_of_cpu(title, name, proxies):
    figures = [cpu(name, proxy) for proxy in proxies]
    row(f"{title}, CPU µs a request", [show(figure) for figure in figures])
    base = figures[-1]
    ratios = [show(figure / base if figure and base else None, 2) for figure in figures]
    row(f"{title}, CPU over HAProxy's", ratios)
    row(f"{title}, requests/s", [show(median(name, p, "per_second"), 0) for p in proxies])
    row(f"{title}, failed or lost", [losses(name, p) for p in proxies])


def small():
    for way, proxies in WAYS:
        head(f"small answers, 64 connections, {way}")
        rows_of_cpu("GET", "small", proxies)
    head("the same, each as it comes")
    memory = {p: [kilobytes for _, _, kilobytes in rounds("small", p)] for p in PROXIES}
    row("resident, MB", [show(max(memory[p]) / 1024 if memory[p] else None) for p in PROXIES])
    for part in ["p50", "p99"]:
        direct = median("rate", "direct", "all", "latency", part)
        added = []
        for proxy in PROXIES:
            through = median("rate", proxy, "all", "latency", part)
            added.append(show(None if None in (through, direct) else through - direct, 3))
        row(f"added latency {part} at 500/s, ms", added)


def bodies():
    for way, proxies in WAYS:
        head(f"bodies of 512 KB, 16 connections, {way}")
        rows_of_cpu("answers", "out", proxies)
        rows_of_cpu("requests", "in", proxies)


def mixed():
    head("1 ms to 10 s of work, 16 at once, two VMs of one vCPU")
    for title, keys in [
        ("mean slowdown", ("all", "slowdown", "mean")),
        ("p99 slowdown", ("all", "slowdown", "p99")),
        ("mean latency, ms", ("all", "latency", "mean")),
        ("p99 latency, ms", ("all", "latency", "p99")),
        ("makespan, s", ("seconds",)),
        ("work, CPU s", ("all", "cpu_seconds")),
    ]:
        row(title, [show(median("mixed", proxy, *keys), 2) for proxy in PROXIES])
    row("failed or lost", [losses("mixed", proxy) for proxy in PROXIES])


def losses(name, proxy):
    reports = [report for report, _, _ in rounds(name, proxy)]
    bad = sum(report["failed"] + report["lost"] for report in reports)
    return f"{bad} of {sum(report['sent'] for report in reports)}"


def lost():
    head("failed or lost while a backend is killed every 0.7 s")
    for title, name in [
        ("GET, 64 KB after 100 ms", "lost-get"),
        ("POST of 512 KB", "lost-post"),
        ("POST of 512 KB, answer of 1 MB over 50 ms", "lost-stream"),
    ]:
        row(title, [losses(name, proxy) for proxy in PROXIES])


for name, table in [("small", small), ("out", bodies), ("mixed", mixed), ("lost-get", lost)]:
    if any(FOLDER.glob(f"{name}.*.json")):
        table()
