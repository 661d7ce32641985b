#!/usr/bin/env python3
"""entries.py KIND: journal export format for one of the recorded journals (see make); always the same bytes."""
import random
import struct
import sys

START = 1_794_902_400_000_000  # 2026-11-17 08:00:00 UTC
BOOTS = ["0b1" + "0" * 29, "0b2" + "0" * 29, "0b3" + "0" * 29]
COMPRESS_BYTES_MIN = 512  # journald compresses values from here on
out = sys.stdout.buffer


def entry(realtime, monotonic, boot, fields):
    out.write(f"__REALTIME_TIMESTAMP={realtime}\n__MONOTONIC_TIMESTAMP={monotonic}\n_BOOT_ID={boot}\n".encode())
    for name, value in fields:
        value = value if isinstance(value, bytes) else value.encode()
        try:
            text = all(c >= " " or c == "\t" for c in value.decode())
        except UnicodeDecodeError:
            text = False
        if text:
            out.write(name.encode() + b"=" + value + b"\n")
        else:
            out.write(name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n")
    out.write(b"\n")


def common(n, message):
    return [("MESSAGE", message), ("PRIORITY", str(n % 8)), ("SYSLOG_IDENTIFIER", "app"), ("_PID", str(1000 + n % 3)),
            ("_SYSTEMD_UNIT", f"{['web', 'db', 'mail'][n % 3]}.service"), ("_HOSTNAME", "oak"), ("_TRANSPORT", "journal"),
            ("_MACHINE_ID", "fedc" * 8)]


def compressed():
    rng = random.Random(1)
    words = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda".split()
    sizes = [10, COMPRESS_BYTES_MIN - 20, COMPRESS_BYTES_MIN - 8, COMPRESS_BYTES_MIN, 600, 2_000, 8_192, 20_000, 70_000]
    for n in range(36):
        size = sizes[n % len(sizes)]
        sentence = " ".join(rng.choice(words) for _ in range(60)) + " "
        value = (sentence * (size // len(sentence) + 1))[:size]
        extra = []
        if n % 4 == 0: extra.append(("BLOB", bytes(range(256)) * (1 + n % 9)))
        if n % 6 == 1: extra.append(("ZEROS", b"\0" * 3_000))
        entry(START + n * 1_000_003, 5_000_000 + n * 1_000_003, BOOTS[0], common(n, value) + extra)
    # One value that no compression makes smaller.
    entry(START + 99_000_000, 104_000_000, BOOTS[0], common(36, "random") + [("RANDOM", rng.randbytes(700))])


def plain():
    for n in range(40):
        entry(START + n * 500_000, 1_000_000 + n * 500_000, BOOTS[0], common(n, f"entry {n} of a plain file"))


def boots():
    for boot, offset in enumerate([0, 3_600_000_000, -7_200_000_000]):  # the third boot's clock is two hours behind
        for n in range(12):
            entry(START + offset + n * 700_000, 2_000_000 + n * 700_000, BOOTS[boot],
                  common(n, f"boot {boot + 1}, entry {n}"))


def fields():
    rows = [
        [("MESSAGE", "repeated"), ("TAG", "a"), ("TAG", "b"), ("TAG", "a"), ("TAG", "")],
        [("MESSAGE", "")],
        [("EMPTY", ""), ("MESSAGE", "an empty field beside")],
        [("MESSAGE", "several\nlines\n\nand a last one\n")],
        [("MESSAGE", b"\xff\xfe\x80 is not UTF-8")],
        [("MESSAGE", b"NUL \0 inside"), ("BLOB", bytes(range(256)))],
        [("MESSAGE", "a=b=c"), ("EQUALS", "=")],
        [("MESSAGE", "grüße 😀 \u202e right to left")],
        [("NO_MESSAGE", "at all")],
        [("MESSAGE", "name of 64 bytes"), ("N" * 64, "x")],
        [("MESSAGE", "the same twice")],
        [("MESSAGE", "the same twice")],
        [("MESSAGE", "tab\tand escape \x1b[31mred\x1b[0m")],
        [("MESSAGE", "many fields")] + [(f"FIELD_{n:03}", str(n)) for n in range(300)],
    ]
    for n, row in enumerate(rows):
        # The two same ones share a microsecond as well.
        at = 10 if n == 11 else n
        entry(START + at, 1_000_000 + at, BOOTS[0], row + [("_SYSTEMD_UNIT", "app.service")])


def large():
    line = "".join(f"{n:04x} " for n in range(0, 4096, 7))
    for n, size in enumerate([1 << 20, 64 * 1024, 64 * 1024 + 1, 5]):
        value = (line * (size // len(line) + 1))[:size]
        entry(START + n * 1_000_000, 1_000_000 + n * 1_000_000, BOOTS[0], [("MESSAGE", value), ("SIZE", str(size))])


{"compressed": compressed, "plain": plain, "boots": boots, "fields": fields, "large": large}[sys.argv[1]]()
