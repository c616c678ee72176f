#!/usr/bin/env python3
"""Measures how little a shop needs: runs the server on one processor with 512 MB of memory, and
prints a Markdown table of its startup time, its memory and its throughput.

    benches/footprint.sh [sqlite|postgres] [MERCATO] [OPTIONS]     starts what this needs and calls it

The shop has 10,000 products, imported within the same limits. Everything that can be switched on is:
all payment providers (whose services are unreachable), mail, GraphiQL, metrics and jobs. The run
fails if the median startup takes 50 ms or more, the idle server has 40 MB or more in memory, or it
ever needs more than 512 MB. Those bounds are for a release build on an otherwise idle machine.

The processor is limited by CPU affinity, which the server takes for the number of processors there
are. The memory is limited by a control group of version 1 or 2 if one can be created, which takes
root; otherwise the limit is only checked. The load has the other processors. Uses only Python's
standard library.
"""
import argparse
import asyncio
import http.client
import json
import os
import pathlib
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time

from hostile_attacks import request_of, summary_of
from hostile_load import PAGE, PRODUCT, SEARCH
from restarts import Failed, at, free_port, log, write_products
from restarts_balancer import Message

MAX_STARTUP_MS = 50
MAX_IDLE_MB = 40
MAX_MEMORY_MB = 512
IDLE_SECONDS = 10
RECOVERY_SECONDS = 30
# Different requests of each kind.
VARIETY = 1000
CONNECTIONS = 16
LISTING = (pathlib.Path(__file__).parent / "catalog_page.graphql").read_text(encoding="utf-8")


# Limits


class MemoryGroup:
    """A control group with a limit of memory, if one can be created."""

    def __init__(self):
        self.folder, self.version = None, 0
        name = f"mercato-footprint-{os.getpid()}"
        for version, root, limit in [(2, "/sys/fs/cgroup", "memory.max"), (1, "/sys/fs/cgroup/memory", "memory.limit_in_bytes")]:
            folder = pathlib.Path(root) / name
            try:
                folder.mkdir()
            except OSError:
                continue
            if not self.write(folder / limit, MAX_MEMORY_MB << 20):
                folder.rmdir()
                continue
            for swap in ("memory.swap.max", "memory.swappiness"):
                self.write(folder / swap, 0)
            self.folder, self.version = folder, version
            return

    @staticmethod
    def write(file, value):
        """Whether the file is a setting of a control group, and accepts the value."""
        try:
            with open(file, "r+", encoding="ascii") as setting:
                setting.write(str(value))
            return True
        except OSError:
            return False

    def join(self):
        """Called in a new process, before its program is executed."""
        if self.folder:
            (self.folder / "cgroup.procs").write_text("0", encoding="ascii")

    def described(self):
        if self.folder is None:
            return f"not limited, but checked against {MAX_MEMORY_MB} MB: no control group can be created"
        return f"{MAX_MEMORY_MB} MB by a control group of version {self.version}, including the page cache of its files"

    def remove(self):
        for _ in range(50):
            try:
                if self.folder:
                    self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.1)


# The server


class Server:
    """The server within its limits."""

    def __init__(self, options, group):
        self.options, self.group, self.port, self.process, self.peak = options, group, free_port(), None, 0.0
        processors = sorted(os.sched_getaffinity(0))
        self.processor, self.others = processors[-1], processors[:-1] or processors
        work = options.work
        nowhere = "http://127.0.0.1:9"
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(work),
            "DATABASE_URL": options.database or f"sqlite://{work}/shop.db",
            "PORT": str(self.port),
            "MERCATO_ENV": "production",
            "JWT_SECRET": secrets.token_hex(32),
            "PUBLIC_URL": "https://shop.example",
            "SHUTDOWN_DELAY": "0",
            "METRICS_PORT": str(free_port()),
            "GRAPHIQL": "on",
            "INTROSPECTION": "public",
            "RATE_LIMIT_ANONYMOUS": "off",
            "PAYMENT_PROVIDERS": "stripe,paypal,manual,test",
            "STRIPE_SECRET_KEY": "sk_test_footprint",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_footprint",
            "STRIPE_WEBHOOK_SECRET": "whsec_footprint",
            "STRIPE_API_URL": nowhere,
            "PAYPAL_CLIENT_ID": "footprint",
            "PAYPAL_CLIENT_SECRET": "footprint",
            "PAYPAL_WEBHOOK_ID": "footprint",
            "PAYPAL_ENVIRONMENT": "sandbox",
            "PAYPAL_API_URL": nowhere,
            "SMTP_URL": "smtp://127.0.0.1:9",
            "MAIL_FROM": "Shop <shop@example.com>",
            "MEDIA_URL": str(work / "media"),
            "RUST_LOG": "info",
        }

    def limit(self):
        self.group.join()
        os.sched_setaffinity(0, {self.processor})

    def command(self, *arguments):
        """Runs a command within the limits; returns the seconds it took."""
        started = time.monotonic()
        done = subprocess.run(
            [self.options.binary, *arguments], cwd=self.options.work, env=self.environment, text=True, capture_output=True,
            preexec_fn=self.limit,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"`mercato {' '.join(arguments)}` ended with {done.returncode}: {done.stderr[-1000:]}")
        return time.monotonic() - started

    def start(self):
        """Starts the process; returns the milliseconds until `/livez` responds with 200."""
        with open(self.options.work / "log", "ab") as file:
            started = time.monotonic()
            self.process = subprocess.Popen(
                [self.options.binary, "serve"], cwd=self.options.work, env=self.environment, stdout=file, stderr=file,
                preexec_fn=self.limit,
            )  # fmt: skip
        while time.monotonic() < started + 60:
            if self.process.poll() is not None:
                raise Failed(f"the server ended with {self.process.returncode}:\n{self.log_end()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as made:
                    made.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    if made.recv(4096)[9:12] == b"200":
                        return (time.monotonic() - started) * 1000
            except OSError:
                pass
            time.sleep(0.0005)
        raise Failed("the server does not respond after a minute")

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def log_end(self):
        return (self.options.work / "log").read_bytes()[-2000:].decode(errors="replace")

    def memory(self):
        """Megabytes in memory: all, those allocated, and those of files, mostly the program; and the
        number of threads.
        """
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        size = lambda name: int(fields[name].split()[0]) / 1024
        return size("VmRSS"), size("RssAnon"), size("RssFile") + size("RssShmem"), int(fields["Threads"])

    def watch_peak(self):
        """Keeps the highest resident size."""
        while self.process.poll() is None:
            try:
                with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
                    peak = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
                self.peak = max(self.peak, peak)
            except (OSError, StopIteration):
                return
            time.sleep(0.2)

    def ticks(self):
        """The processor time that it has used, in seconds."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, document, variables=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            body = json.dumps({"query": document, "variables": variables or {}})
            connection.request("POST", "/graphql", body, {"content-type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "errors" in answer:
            raise Failed(json.dumps(answer)[:500])
        return answer["data"]


# The load


def varied_requests(server, words, products):
    """Queries of the catalog, no two of which are equal: products, sorted lists, pages and searches."""
    rng, requests, after = random.Random(3), [], None
    for _ in range(min(VARIETY, products // 20)):
        requests.append(request_of("POST", LISTING, {"first": 20, "after": after}))
        page = server.ask(LISTING, {"first": 20, "after": after})["products"]["pageInfo"]
        after = page["endCursor"] if page["hasNextPage"] else None
    for _ in range(VARIETY):
        requests.append(request_of("POST", PRODUCT, {"handle": f"thing-{rng.randrange(products)}"}))
        requests.append(request_of("POST", SEARCH, {"words": " ".join(rng.sample(words, 2))}))
    for sort in ("TITLE", "PRICE", "CREATED_AT", "BEST_SELLING"):
        for first in range(5, 30):
            requests.append(request_of("POST", PAGE, {"first": first, "sortKey": sort, "reverse": first % 2 == 0}))
    rng.shuffle(requests)
    return requests


class Connection(asyncio.Protocol):
    """A connection with at most one request at a time."""

    def __init__(self):
        self.transport, self.response, self.done = None, Message(), None

    def connection_made(self, transport):
        self.transport = transport

    async def send(self, request):
        self.response, self.done = Message(), asyncio.get_running_loop().create_future()
        self.transport.write(request)
        await self.done
        body = bytes(self.response.data[self.response.head_end + 4 :])
        status = int(self.response.data[9:12])
        return "" if status == 200 and b'"errors":' not in body else summary_of(status, body)

    def data_received(self, data):
        if self.response.add(data) and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, _error):
        if self.done is not None and not self.done.done():
            self.done.set_exception(ConnectionError("closed"))


async def load(port, requests, seconds, connections, rate=0):
    """Sends requests for some seconds over some connections: each at once after the response to the
    one before, or at a rate, where the time of a request counts from when it was due. Returns the
    times and the failures.
    """
    times, failures, end, due = [], [], time.monotonic() + seconds, time.monotonic()

    async def client(n):
        nonlocal due
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
        at_request = n * len(requests) // connections
        while time.monotonic() < end:
            started = time.monotonic()
            if rate:
                started, due = due, due + 1 / rate
                await asyncio.sleep(started - time.monotonic())
            outcome = await connection.send(requests[at_request % len(requests)])
            at_request += 1
            times.append(time.monotonic() - started)
            if outcome:
                failures.append(outcome)
        connection.transport.close()

    await asyncio.gather(*(client(n) for n in range(connections)))
    return times, failures


# The run


class Bench:
    """The whole run."""

    def __init__(self, options):
        self.options, self.group = options, MemoryGroup()
        self.server, self.rows, self.problems = Server(options, self.group), [], []

    def add(self, name, value):
        self.rows.append((name, value))
        log(f"{name}: {value}")

    def add_memory(self, name):
        resident, allocated, files, threads = self.server.memory()
        self.add(name, f"{resident:.1f} MB resident: {allocated:.1f} MB allocated, {files:.1f} MB of files; {threads} threads")
        return resident

    def measure_startup(self):
        starts = []
        for _ in range(self.options.starts):
            starts.append(self.server.start())
            self.server.stop()
        median = at(starts, 0.5)
        self.add("startup to the first /livez", f"median {median:.0f} ms, fastest {min(starts):.0f} ms, slowest {max(starts):.0f} ms of {len(starts)}")
        if median >= MAX_STARTUP_MS:
            self.problems.append(f"startup: {median:.0f} ms, not below {MAX_STARTUP_MS}")

    def measure_idle(self):
        self.server.start()
        time.sleep(IDLE_SECONDS)
        before = self.server.ticks()
        time.sleep(IDLE_SECONDS)
        used = (self.server.ticks() - before) / IDLE_SECONDS
        resident = self.add_memory("memory when idle, before any request")
        self.add("processor time when idle", f"{used * 1000:.1f} ms per second")
        if resident >= MAX_IDLE_MB:
            self.problems.append(f"idle: {resident:.1f} MB, not below {MAX_IDLE_MB}")

    def measure_load(self, words):
        requests = varied_requests(self.server, words, self.options.products)
        port, seconds = self.server.port, self.options.seconds
        os.sched_setaffinity(0, self.server.others)
        asyncio.run(load(port, requests, min(2, seconds), CONNECTIONS))
        self.row_of_load("one connection", *self.timed(load(port, requests, seconds, 1)))
        rate = self.row_of_load(f"{CONNECTIONS} connections", *self.timed(load(port, requests, seconds, CONNECTIONS)))
        half = max(1, int(rate / 2))
        self.row_of_load(f"half of that rate, {half}/s", *self.timed(load(port, requests, seconds, CONNECTIONS, half)))

    def timed(self, work):
        used, started = self.server.ticks(), time.monotonic()
        times, failures = asyncio.run(work)
        elapsed = time.monotonic() - started
        return times, failures, elapsed, (self.server.ticks() - used) / elapsed

    def row_of_load(self, name, times, failures, elapsed, share):
        if failures:
            self.problems.append(f"{len(failures)} requests failed: {failures[0]}")
        rate = len(times) / elapsed
        self.add(
            f"varied catalog queries, {name}",
            f"{rate:.0f}/s; p50 {at(times, 0.5) * 1000:.1f} ms, p99 {at(times, 0.99) * 1000:.1f} ms; the server used {share:.0%} of its processor",
        )
        return rate

    def run(self):
        server = self.server
        try:
            self.add("processor", f"one, by CPU affinity (number {server.processor})")
            self.add("memory", self.group.described())
            words = write_products(self.options.work / "products.csv", self.options.products)
            took = server.command("import", "products", str(self.options.work / "products.csv"))
            self.add(f"migration, and import of {self.options.products} products", f"{took:.1f} s")
            self.measure_startup()
            self.measure_idle()
            watching = threading.Thread(target=server.watch_peak, daemon=True)
            watching.start()
            self.measure_load(words)
            time.sleep(min(RECOVERY_SECONDS, 3 * self.options.seconds))
            self.add_memory("memory when idle again, after the load")
            self.add("peak of resident memory", f"{server.peak:.1f} MB")
            if server.peak > MAX_MEMORY_MB:
                self.problems.append("memory")
            server.stop()
        finally:
            server.kill()
            self.group.remove()
        print("\n| | |\n|---|---|")
        for name, value in self.rows:
            print(f"| {name} | {value} |")
        backend = server.environment["DATABASE_URL"].split(":")[0]
        print(f"\n{backend}: " + ("passed" if not self.problems else "FAILED: " + "; ".join(self.problems)), flush=True)
        return 1 if self.problems else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=os.path.abspath)
    parser.add_argument("work", type=lambda text: pathlib.Path(text).resolve(), help="an empty folder")
    parser.add_argument("--database", help="the URL of an empty database; without it, an SQLite file in the folder")
    parser.add_argument("--products", type=int, default=10_000, help="products (10000)")
    parser.add_argument("--seconds", type=float, default=10, help="duration of each load (10)")
    parser.add_argument("--starts", type=int, default=20, help="how often the startup is measured (20)")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(Bench(options).run())
    except Failed as error:
        sys.exit(f"footprint: {error}")


if __name__ == "__main__":
    main()
