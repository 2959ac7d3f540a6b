#!/usr/bin/env python3
"""Blur and enhance beside OpenCV and libvips: same pictures, same run, taking turns.

    pip install opencv-python-headless pyvips pyvips-binary
    python3 benches/compare_imaging.py [TURNS]

Every figure is the least CPU time of all threads, in milliseconds; all work on one thread. OpenCV
and libvips do not compute the same as Cumulet: OpenCV's Gaussian has 65 taps of the same standard
deviation and other borders, libvips' local equalisation the same window and other borders.
"""

import os
import subprocess
import sys
import time

os.environ["VIPS_CONCURRENCY"] = "1"
import cv2
import numpy
import pyvips

SIZES = [(512, 768), (1752, 1170), (4242, 2830)]
cv2.setNumThreads(1)


def cpu_time(work):
    """Milliseconds of CPU time, of all threads of this process."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


def opencv_request(file):
    """Decode, blur, encode; without base64."""
    picture = cv2.imdecode(file, cv2.IMREAD_COLOR)
    blurred = cv2.GaussianBlur(picture, (65, 65), 13)
    cv2.imencode(".jpg", blurred, [cv2.IMWRITE_JPEG_QUALITY, 75])


def main():
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    command = os.environ.get("CUMULET_IMAGING_BENCH", "cargo bench --bench imaging --").split()
    cumulet = subprocess.Popen(
        [*command, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(line):
        print(line, file=cumulet.stdin, flush=True)
        return cumulet.stdout.readline().strip()

    def ours(line, size):
        return float(ask(f"{line} {size[0]} {size[1]}").split()[0])

    print(f"OpenCV {cv2.__version__}, libvips {pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}")
    print(f"{'':<16} {'size':>10} {'theirs':>9} {'avx512':>9} {'avx2':>9}  avx512/theirs avx2/theirs")
    for size in SIZES:
        path = ask(f"picture {size[0]} {size[1]}")
        with open(path, "rb") as stream:
            file = numpy.frombuffer(stream.read(), "uint8")
        picture = cv2.imread(path)
        grey = pyvips.Image.new_from_array(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
        rows = {
            "blur filter": ("filter blur", lambda: cv2.GaussianBlur(picture, (65, 65), 13)),
            "blur request": ("request blur", lambda: opencv_request(file)),
            "enhance filter": (
                "filter enhance",
                lambda: grey.hist_local(101, 101).write_to_memory(),
            ),
        }
        for name, (line, theirs) in rows.items():
            best = [float("inf")] * 3
            count = max(2, turns // 4) if name == "enhance filter" else turns
            for _ in range(count):
                times = [cpu_time(theirs), ours(f"{line} avx512 1", size), ours(f"{line} avx2 1", size)]
                best = [min(pair) for pair in zip(best, times)]
            ratios = [best[1] / best[0], best[2] / best[0]]
            print(
                f"{name:<16} {size[0]:>5}x{size[1]:<4} {best[0]:>9.2f} {best[1]:>9.2f} {best[2]:>9.2f}"
                f"  {ratios[0]:>13.3f} {ratios[1]:>11.3f}",
                flush=True,
            )
        os.remove(path)
    cumulet.stdin.close()
    cumulet.wait()


if __name__ == "__main__":
    main()
