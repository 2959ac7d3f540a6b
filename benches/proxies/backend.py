"""A web server to be killed: it takes its time, so that a kill finds it in the middle.

Usage: backend.py PORT SOCKET

GET  …/get     64 KB after 100 ms
POST …/post    2 bytes, 100 ms after the body
POST …/stream  1 MB, begun 50 ms after the body and sent over 50 ms
anything else  2 bytes at once
"""

import asyncio
import sys

PIECE = bytes(range(256)) * 256


async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            await read_body(head.lower(), reader)
            if path.endswith("/get"):
                await asyncio.sleep(0.1)
                await answer(writer, [PIECE], 0)
            elif path.endswith("/post"):
                await asyncio.sleep(0.1)
                await answer(writer, [b"OK"], 0)
            elif path.endswith("/stream"):
                await asyncio.sleep(0.05)
                await answer(writer, [PIECE] * 16, 0.05 / 16)
            elif path == "/health":
                await answer(writer, [b"OK: 0.100"], 0)
            else:
                await answer(writer, [b"OK"], 0)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def read_body(head, reader):
    for line in head.split("\r\n"):
        if line.startswith("content-length:"):
            await reader.readexactly(int(line.split(":")[1]))
        elif line.startswith("transfer-encoding:"):
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()


async def answer(writer, pieces, pause):
    length = sum(map(len, pieces))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        if pause:
            await asyncio.sleep(pause)


async def main():
    beside = await asyncio.start_unix_server(serve, sys.argv[2], limit=1 << 20)
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), limit=1 << 20)
    await asyncio.gather(server.serve_forever(), beside.serve_forever())


asyncio.run(main())
