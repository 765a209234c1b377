"""What the shared stream costs Redis: the script that appends, and so many nodes that read.

Run with the interpreter of ./tests/run: .venv/bin/python benches/stream.py
"""

import os
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import redis

SCRIPTS = Path(__file__).parent.parent / "src/feed/redis"
EVENT = '{"id":"%d","type":"news","topics":["news"],"at":1763700000123,"data":{"text":"' + "x" * 240 + '"}}'
SECONDS = 3


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read(port, over):
    client, head = redis.Redis(port=port, socket_timeout=5), "$"
    while not over.is_set():
        for _, entries in client.xread({"{b}:stream": head}, count=512, block=200):
            head = entries[-1][0]


def measure(port, pid, readers, group):
    client = redis.Redis(port=port)
    client.flushall()
    ids = (SCRIPTS / "ids.lua").read_text()
    meet = client.register_script(ids + (SCRIPTS / "meet.lua").read_text())
    append = client.register_script(ids + (SCRIPTS / "append.lua").read_text())
    keys = ["{b}:stream", "{b}:meta"]
    meet(keys=keys, args=["", "0-0", "1"])
    over = threading.Event()
    threads = [threading.Thread(target=read, args=(port, over)) for _ in range(readers)]
    [thread.start() for thread in threads]
    time.sleep(0.3)
    began, before, sent = time.time(), cpu(pid), 0
    while time.time() - began < SECONDS:
        numbers = range(sent, sent + group)
        texts = [EVENT % n for n in numbers]
        answer = append(
            keys=keys + ["{b}:id:%d" % n for n in numbers],
            args=["1", "0-0", 600_000, group, *texts],
        )
        assert len(answer) == group
        sent += group
    took, used = time.time() - began, cpu(pid) - before
    over.set()
    [thread.join() for thread in threads]
    memory = client.info("memory")["used_memory"] / sent
    print(
        f"| {readers} | {group} | {used / sent * 1e6:.1f} | {sent / used:,.0f} | {sent / took:,.0f} | {memory:.0f} |",
        flush=True,
    )


def main():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        time.sleep(0.5)
        print("| nodes | events a call | Redis, us CPU/event | events/s of one busy Redis | events/s here | bytes/event |")
        print("|---|---|---|---|---|---|")
        try:
            for readers in [0, 1, 2, 4, 8]:
                for group in [1, 10, 100]:
                    measure(port, server.pid, readers, group)
        finally:
            server.kill()
            server.wait()


main()
