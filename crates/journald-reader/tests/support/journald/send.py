#!/usr/bin/env python3
"""Senders for journald's three sockets, run inside the box so that every entry has real credentials.

    send.py serve                                  frames on stdin -> native socket, an "ok" line for each
    send.py native|stream|syslog COUNT SEED [RATE] COUNT entries, the same ones for the same SEED

Native entries carry BULK=<seed> and SEQ=<0..>; lines begin "<seed>:<seq> ". A burst is the exception: its
entries are identical and carry the SEQ of the first. Formats: systemd's docs/JOURNAL_NATIVE_PROTOCOL.md,
src/journal/journald-stream.c (the header of the stdout protocol).
"""
import fcntl, os, random, socket, struct, subprocess, sys, termios, time

SOCKETS = "/run/systemd/journal/"
DATAGRAM_BYTES_MAX = 100_000  # larger ones go through a sealed memfd; the socket's own limit is about 200 kB
F_ADD_SEALS, ALL_SEALS = 1033, 0xF

WORDS = "accepted connection from closed by peer timeout upstream retry cache miss for key user session".split()
TRACEBACK = 'Traceback (most recent call last):\n  File "app.py", line 12, in handle\n    return 1 / n\nZeroDivisionError: division by zero'


def datagram(fields):
    out = bytearray()
    for name, value in fields:
        out += name.encode()
        if b"\n" in value:
            out += b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
        else:
            out += b"=" + value + b"\n"
    return bytes(out)


def send_native(sock, payload):
    if len(payload) <= DATAGRAM_BYTES_MAX:
        sock.send(payload)
        return
    fd = os.memfd_create("entry", os.MFD_ALLOW_SEALING)
    with os.fdopen(fd, "wb", closefd=True) as f:
        f.write(payload)
        f.flush()
        fcntl.fcntl(f.fileno(), F_ADD_SEALS, ALL_SEALS)
        socket.send_fds(sock, [b""], [f.fileno()])


def text(rng):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(2, 12)))


def shape(rng):
    """What an entry's value looks like, and how many identical ones follow each other."""
    roll = rng.random()
    if roll < 0.60: return text(rng).encode(), 1
    if roll < 0.70: return TRACEBACK.encode(), 1
    if roll < 0.76: return text(rng).encode() + b" \xff\xfe\x80 not UTF-8", 1
    if roll < 0.80: return "grüße 😀 ".encode() + text(rng).encode(), 1
    if roll < 0.85: return (text(rng) + " ").encode() * rng.randint(20, 200), 1  # long enough to be compressed
    if roll < 0.86: return rng.randbytes(rng.randint(600, 4000)), 1
    return text(rng).encode(), rng.randint(2, 20)


def priority(seq):
    """All of them, but crit and above seldom: journald syncs the disk for each of those."""
    return seq % 8 if seq % 500 < 8 else 3 + seq % 5


def entries(count, seed):
    """(seq, value) COUNT times; the entries of a burst share their seq."""
    rng, seq = random.Random(seed), 0
    while seq < count:
        value, times = shape(rng)
        times = min(times, count - seq)
        for _ in range(times):
            yield rng, seq, value
        seq += times


def native(count, seed, pace):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.connect(SOCKETS + "socket")
    last = payload = None
    for rng, seq, value in entries(count, seed):
        if seq != last:
            fields = [("MESSAGE", value), ("PRIORITY", b"%d" % priority(seq)), ("SYSLOG_IDENTIFIER", b"bulk"),
                      ("BULK", b"%d" % seed), ("SEQ", b"%d" % seq)]
            extra = rng.randrange(20)
            if extra == 0: fields.append(("BLOB", bytes(range(256))))
            if extra == 1: fields += [("TAG", b"a"), ("TAG", b"b"), ("TAG", b"")]
            if extra == 2: fields.append(("EMPTY", b""))
            if extra == 3 and rng.randrange(10) == 0: fields.append(("LARGE", rng.randbytes(8) * rng.randint(13_000, 40_000)))
            payload, last = datagram(fields), seq
        send_native(sock, payload)
        pace()


def line(seed, seq, value):
    """One line: what the line protocols cannot carry is replaced, and none reaches LineMax= (48 KiB)."""
    value = value.replace(b"\n", b"\\n").replace(b"\0", b"0")
    return b"%d:%d " % (seed, seq) + value[:40_000].rstrip() + b"."


def stream(count, seed, pace):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(SOCKETS + "stdout")
    sock.sendall(b"bulk\n\n6\n1\n0\n0\n0\n")  # identifier, unit, priority, "<N>" prefixes, forward to syslog/kmsg/console
    # What is sent before journald has accepted has no credentials, and its entries no _PID and no unit.
    deadline = time.monotonic() + 30
    while struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]:
        if time.monotonic() > deadline: sys.exit("journald does not accept")
        time.sleep(0.001)
    for rng, seq, value in entries(count, seed):
        prefix = b"<%d>" % priority(seq) if seq % 3 == 0 else b""
        sock.sendall(prefix + line(seed, seq, value) + b"\n")
        pace()


def syslog(count, seed, pace):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.connect("/dev/log")
    for rng, seq, value in entries(count, seed):
        body = line(seed, seq, value)
        if seq % 5 == 0: body = body.replace(b" ", b"\n", 3)  # datagrams may hold several lines
        facility = 8 * (1 + seq % 3)
        sock.send(b"<%d>Nov 23 10:00:00 bulk[%d]: " % (facility + priority(seq), os.getpid()) + body)
        pace()


def serve():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    connected = False
    while len(head := sys.stdin.buffer.read(4)) == 4:
        payload = sys.stdin.buffer.read(struct.unpack("<I", head)[0])
        for attempt in (1, 2):  # journald may have been restarted since the last entry
            try:
                if not connected: sock.connect(SOCKETS + "socket")
                connected = True
                send_native(sock, payload)
                break
            except OSError:
                connected = False
                if attempt == 2: raise
        print("ok", flush=True)


def pacer(rate):
    if not rate:
        return lambda: None
    start, done = time.monotonic(), 0

    def pace():
        nonlocal done
        done += 1
        ahead = start + done / rate - time.monotonic()
        if ahead > 0: time.sleep(ahead)
    return pace


if sys.argv[1] == "serve":
    serve()
else:
    kind, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rate = float(sys.argv[4]) if len(sys.argv) > 4 else 0
    {"native": native, "stream": stream, "syslog": syslog}[kind](count, seed, pacer(rate))
    # journald looks a sender up in /proc when it reads the entry: one that has ended has no _COMM and no unit.
    subprocess.run(["journalctl", "--sync"], stderr=subprocess.DEVNULL, check=False)
