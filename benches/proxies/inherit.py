"""Starts a program whose stdin and stdout are listening sockets, as `cumulet up` starts a balancer.

Usage: inherit.py PORT PROGRAM [ARGUMENT]... The first socket listens on PORT, the second one, for
the admin pages, on any free port.
"""

import os
import socket
import sys

for descriptor, port in [(0, int(sys.argv[1])), (1, 0)]:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(4096)
    os.dup2(listener.fileno(), descriptor)
os.execv(sys.argv[2], sys.argv[2:])
