#!/usr/bin/env python3
"""What `cumulet top` costs: the time from its start to its first frame, and its share of one core
while a cluster works.

    python3 benches/screen_figures.py target/release/cumulet STATE [SECONDS]

STATE is the state folder of a cluster that runs, with whatever load it has. The screen runs in a
terminal of 160x45 of its own. A first frame has been drawn once the verdict's sign has arrived.
"""

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import termios
import time

STARTS = 20
SIGN = "▶".encode()


def start(program, state):
    """The screen in a terminal: its process and the terminal's other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 160, 0, 0))
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        os.execve(program, [program, "--state", state, "top"], environment)
    return pid, terminal


def read(terminal, seconds):
    """What arrives within so many seconds, at most one piece of it."""
    ready, _, _ = select.select([terminal], [], [], seconds)
    return os.read(terminal, 65536) if ready else b""


def leave(pid, terminal):
    os.write(terminal, b"q")
    end = time.monotonic() + 5
    while time.monotonic() < end and os.waitpid(pid, os.WNOHANG) == (0, 0):
        try:
            read(terminal, 0.05)
        except OSError:
            # The terminal closes when its program has ended.
            time.sleep(0.01)
    os.close(terminal)


def first_frame(program, state):
    """Milliseconds from the start to the first frame."""
    begin = time.monotonic()
    pid, terminal = start(program, state)
    seen = b""
    while SIGN not in seen:
        piece = read(terminal, 10)
        if not piece:
            os.kill(pid, signal.SIGKILL)
            sys.exit("no frame within 10 s")
        seen += piece
    took = 1000 * (time.monotonic() - begin)
    leave(pid, terminal)
    return took


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_share(program, state, seconds):
    """Per cent of one core, after a second in which it has read what there was."""
    pid, terminal = start(program, state)
    settled = time.monotonic() + 1
    while time.monotonic() < settled:
        read(terminal, 0.1)
    before, begin, drawn = cpu_seconds(pid), time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        drawn += len(read(terminal, 0.1))
    share = 100 * (cpu_seconds(pid) - before) / (time.monotonic() - begin)
    leave(pid, terminal)
    return share, drawn / seconds


def main():
    program, state = os.path.abspath(sys.argv[1]), sys.argv[2]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 30.0
    times = sorted(first_frame(program, state) for _ in range(STARTS))
    print(f"first frame of {STARTS}: median {statistics.median(times):.1f} ms, "
          f"slowest {times[-1]:.1f} ms")
    share, drawn = cpu_share(program, state, seconds)
    print(f"over {seconds:.0f} s: {share:.2f} % of one core, {drawn:.0f} bytes per second drawn")


if __name__ == "__main__":
    main()
