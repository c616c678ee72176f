#!/usr/bin/env python3
"""Restarts two nodes of a shop in turn while it is used, and prints a Markdown table.

    benches/restarts.sh [sqlite|postgres] [MERCATO] [OPTIONS]      starts what this needs and calls it

Two servers share a database, behind the balancer in `restarts_balancer.py`, under the load in
`restarts_load.py`. A node gets SIGTERM, ends by itself, and is started again; once the balancer has
sent it some requests, it is the other one's turn. Meanwhile subscribers follow the event log through
the balancer, and resume with their last cursor whenever their node ends. The run fails if

- any request fails: an error, a wrong response, none within 30 seconds, or a lost connection;
- a subscriber misses an event of the log, gets one twice or in another order;
- an order that was confirmed has not exactly one `order.placed` and one `order.paid`, or there is
  an order that nobody got confirmed;
- a node does not end with 0 within its grace period, or does not start;
- the load could not be sent at its rate: then nothing is proven.

Uses only Python's standard library.
"""
import argparse
import collections
import csv
import http.client
import json
import multiprocessing
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

import restarts_balancer as balancer
import restarts_load as load
from hostile_load import resident_mb

# Ports that the system gives to no outgoing connection, so that a node finds its own again.
PORTS = range(20_000, 30_000)
# The default of `SHUTDOWN_TIMEOUT_MS`, plus the second after which the process is terminated.
GRACE_SECONDS = 31.5
START_TIMEOUT = 60
# How long a node is in use after its restart before the other one's turn: requests, in seconds of
# its share of the load.
USE_SECONDS = 1
SUBSCRIBERS = 3
# The share of the rate that must be reached.
MIN_RATE = 0.95
SETTLE_TIMEOUT = 120
CREATE = """mutation {
    productCreate(product: { title: "The first event", status: ACTIVE, price: "1" }) { product { id } userErrors { message } }
}"""
FIRST = """query($sort: ProductSortKeys) {
    products(first: 50, sortKey: $sort) { nodes { handle variants(first: 1) { nodes { id } } } }
}"""


class Failed(Exception):
    """The benchmark can't continue."""


def log(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    for port in random.sample(PORTS, 200):
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failed("there is no free port from 20000 to 29999")


class Node:
    """One of the servers."""

    def __init__(self, binary, work, name, environment):
        self.binary, self.work, self.name, self.port = binary, work, name, free_port()
        self.environment, self.process = {**environment, "PORT": str(self.port)}, None

    def start(self):
        with open(self.work / f"{self.name}.log", "ab") as file:
            self.process = subprocess.Popen(
                [self.binary, "serve"], cwd=self.work, env=self.environment, stdout=file, stderr=file
            )

    def check(self):
        if self.process.poll() is not None:
            end = (self.work / f"{self.name}.log").read_bytes()[-2000:].decode(errors="replace")
            raise Failed(f"the node {self.name} ended with {self.process.returncode}:\n{end}")

    def is_ready(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def stop(self, number, delay):
        """Sends it a signal; returns the seconds until it has ended, and its exit code."""
        started = time.monotonic()
        self.process.send_signal(number)
        try:
            code = self.process.wait(delay + GRACE_SECONDS + 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return time.monotonic() - started, code

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def write_products(path, count):
    """Writes a product CSV with texts of nonsense words, and returns these words. All is sold at one
    price, without delivery.
    """
    rng = random.Random(10)
    words = [letter + rng.choice("aeiou") + rng.choice("lnrst") + rng.choice("aeiou") + rng.choice(["", "n", "st", "rk"])
             for letter in "abcdefghijklmnopqrstuvwxyz" for _ in range(30)]  # fmt: skip
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["Handle", "Title", "Body (HTML)", "Type", "Status", "Variant SKU", "Variant Price",
                      "Variant Inventory Tracker", "Variant Inventory Qty", "Variant Inventory Policy",
                      "Variant Requires Shipping", "Variant Taxable"])  # fmt: skip
        for n in range(count):
            title, text = " ".join(rng.sample(words, 6)), " ".join(rng.sample(words, 30))
            out.writerow([f"thing-{n}", title, f"<p>{text}</p>", rng.choice(words), "active", f"T{n}", load.PRICE,
                          "shopify", 1_000_000, "deny", "false", "false"])  # fmt: skip
    return words


class Child:
    """A process with a pipe to it."""

    def __init__(self, context, target, *arguments):
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=target, args=(*arguments, other), daemon=True)
        self.process.start()
        other.close()

    def ask(self, what, timeout):
        self.pipe.send(what)
        if not self.pipe.poll(timeout):
            raise Failed(f"no answer to {what!r} in {timeout} s")
        return self.pipe.recv()


class Bench:
    """The whole run."""

    def __init__(self, options):
        self.options, self.context = options, multiprocessing.get_context("spawn")
        # As in production, except for what the benchmark needs.
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(options.work),
            "DATABASE_URL": options.database or f"sqlite://{options.work}/shop.db",
            "MERCATO_ENV": "production",
            "JWT_SECRET": secrets.token_hex(32),
            "PUBLIC_URL": "https://shop.example",
            "METRICS_PORT": "off",
            "PAYMENT_PROVIDERS": "test",
            "TRUSTED_PROXIES": "127.0.0.1",
            "GUEST_CARTS_PER_HOUR": "10000000",
            "SHUTDOWN_DELAY": str(options.delay),
            "RUST_LOG": "warn",
            "FFMPEG": "off",
            "MAIL_DIR": str(options.work / "mail"),
            "MEDIA_URL": str(options.work / "media"),
        }
        if options.redis:
            self.environment["EVENT_BUS_URL"] = options.redis
        self.nodes = [Node(options.binary, options.work, name, self.environment) for name in ("one", "two")]
        self.port, self.key, self.children = free_port(), "", []
        self.load, self.samples, self.failed, self.due, self.lateness, self.orders = None, [], [], 0, 0.0, None
        self.stops, self.starts, self.problems = [], [], []
        self.load_started = self.load_ended = 0.0

    # The shop

    def command(self, *arguments):
        done = subprocess.run(
            [self.options.binary, *arguments], cwd=self.options.work, env=self.environment, text=True, capture_output=True
        )
        if done.returncode:
            raise Failed(f"`mercato {' '.join(arguments)}` failed: {done.stderr[-1000:]}")
        return done.stdout.strip()

    def ask(self, document, variables=None):
        """Sends an operation through the balancer and returns its data."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            body = json.dumps({"query": document, "variables": variables or {}})
            headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
            connection.request("POST", "/graphql", body, headers)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "errors" in answer:
            raise Failed(json.dumps(answer)[:500])
        return answer["data"]

    def fill(self):
        """Imports the catalog; returns what the load requests."""
        words = write_products(self.options.work / "products.csv", self.options.products)
        self.command("import", "products", str(self.options.work / "products.csv"))
        self.key = self.command("apikey", "create", "--name", "restarts", "--permissions", "all")
        return words

    def shop_of(self, words):
        found = []
        for sort in ("CREATED_AT", "TITLE"):
            found += self.ask(FIRST, {"sort": sort})["products"]["nodes"]
        variants = [product["variants"]["nodes"][0]["id"] for product in found]
        return {"handles": [product["handle"] for product in found], "variants": variants, "words": words}

    # The balancer

    def balanced(self):
        """What the balancer knows."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/balancer")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def wait(self, what, holds, timeout):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for node in self.nodes:
                node.check()
            try:
                if holds():
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise Failed(f"{what}, after {timeout} s")

    def wait_until_used(self, number):
        """Waits until a node is ready, and the balancer has had responses from it for a while; returns
        when it was ready.
        """
        node, requests = self.nodes[number], max(1, self.options.rate * USE_SECONDS // 2)
        self.wait(f"the node {node.name} does not become ready", node.is_ready, START_TIMEOUT)
        ready_at = time.monotonic()
        is_used = lambda: self.balanced()["nodes"][number]["isReady"]
        self.wait(f"the node {node.name} gets no requests", is_used, START_TIMEOUT)
        served = self.balanced()["nodes"][number]["served"]
        enough = lambda: self.balanced()["nodes"][number]["served"] >= served + requests
        self.wait(f"the node {node.name} gets too few requests", enough, START_TIMEOUT)
        return ready_at

    # The run

    def prepare(self):
        words = self.fill()
        for node in self.nodes:
            node.start()
        ports = [node.port for node in self.nodes]
        process = self.context.Process(target=balancer.run, args=(self.port, ports), daemon=True)
        process.start()
        self.children.append(process)
        both = lambda: all(node["isReady"] for node in self.balanced()["nodes"])
        self.wait("the nodes are not ready", both, START_TIMEOUT)
        shop = self.shop_of(words)
        after = self.first_cursor()
        self.subscribers = Child(self.context, load.run_subscribers, self.port, self.key, None, after, SUBSCRIBERS)
        self.load = Child(self.context, load.run_load, self.port, self.options.rate, shop)
        self.children += [self.subscribers.process, self.load.process]
        self.load_started = time.monotonic()
        self.draining = threading.Thread(target=self.drain, daemon=True)
        self.draining.start()

    def first_cursor(self):
        """The cursor of an event before all others that count."""
        probe = Child(self.context, load.run_cursor, self.port, self.key, ["product.created"])
        try:
            # The subscription starts at some time after it was sent, so events are made until it
            # has got one.
            for _ in range(100):
                self.ask(CREATE)
                if probe.pipe.poll(0.5):
                    return probe.pipe.recv()
            raise Failed("the event log can't be followed")
        finally:
            probe.process.kill()

    def drain(self):
        """Collects what the load reports, until its last report."""
        try:
            while self.orders is None:
                samples, failed, self.due, lateness, self.orders = self.load.pipe.recv()
                self.samples += samples
                self.failed += failed
                self.lateness = max(self.lateness, lateness)
        except (EOFError, OSError):
            self.problems.append("the load itself failed")

    def restart(self, number):
        node = self.nodes[number]
        took, code = node.stop(getattr(signal, f"SIG{self.options.signal}"), self.options.delay)
        self.stops.append(took)
        if code != 0:
            self.problems.append(f"the node {node.name} ended with {code} after {took:.1f} s")
        started = time.monotonic()
        node.start()
        self.starts.append(self.wait_until_used(number) - started)

    def stop_load(self):
        self.load_ended = time.monotonic()
        self.load.pipe.send("stop")
        self.draining.join(load.REQUEST_TIMEOUT + 15)
        if self.draining.is_alive():
            self.problems.append("the load does not end")

    def audit(self):
        """Compares what the subscribers have seen with the log and the orders."""
        self.subscribers.pipe.send("audit")
        last, since, deadline = None, time.monotonic(), time.monotonic() + SETTLE_TIMEOUT
        # The log is complete once nothing more arrives, twice as long as nodes take to poll it.
        while time.monotonic() < deadline:
            counts = self.subscribers.ask("counts", 30)
            if counts != last:
                last, since = counts, time.monotonic()
            elif time.monotonic() - since > 5 and len(set(counts)) == 1:
                break
            elif time.monotonic() - since > 20:
                break
            time.sleep(0.25)
        *followed, (events, _, problems) = self.subscribers.ask("stop", 30)
        self.problems += [f"the log can't be read: {problem}" for problem in problems[:1]]
        closed = collections.Counter()
        expected = [event for event, _, _ in events]
        for n, (seen, reasons, problems) in enumerate(followed, 1):
            closed += reasons
            self.problems += [f"subscriber {n}: {problem}" for problem in problems[:2]]
            self.compare(n, [event for event, _, _ in seen], expected)
        confirmed = set(self.orders or [])
        for kind in ("order.placed", "order.paid"):
            subjects = [subject for _, of, subject in events if of == kind]
            for why, count in [
                ("confirmed orders without", len(confirmed.difference(subjects))),
                ("orders that nobody got confirmed with", len(set(subjects) - confirmed)),
                ("repeated", len(subjects) - len(set(subjects))),
            ]:
                if count:
                    self.problems.append(f"{count} {why} {kind}")
        return len(expected), closed

    def compare(self, n, seen, expected):
        lost, twice = len(set(expected) - set(seen)), len(seen) - len(set(seen))
        if lost or twice:
            self.problems.append(f"subscriber {n}: {lost} events lost, {twice} seen twice")
        elif seen != expected:
            self.problems.append(f"subscriber {n}: events in another order than in the log")

    def print_table(self, events, closed):
        counts, failures = collections.Counter(kind for _, _, kind in self.samples), collections.Counter(why for _, _, why in self.failed)
        rate = len(self.samples) / max(0.001, self.load_ended - self.load_started)
        if self.due != len(self.samples):
            self.problems.append(f"{self.due - len(self.samples)} requests got no response")
        if self.failed:
            self.problems.append(f"{len(self.failed)} requests failed")
        if rate < MIN_RATE * self.options.rate:
            self.problems.append(f"only {rate:.0f} of {self.options.rate} requests/s were sent")
        all_times = [took for _, took, _ in self.samples]
        state = self.balanced()
        shares = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        spread = lambda times: f"median {at(times, 0.5):.2f} s, longest {max(times, default=0):.2f} s"
        memory = ", ".join(f"{resident_mb(node.process.pid) or 0:.0f} MB" for node in self.nodes)
        rows = [
            ("restarts", f"{len(self.stops)}, SHUTDOWN_DELAY={self.options.delay}"),
            (f"from SIG{self.options.signal} to the end of the process", spread(self.stops)),
            ("from the start until ready", spread(self.starts)),
            ("requests", f"{len(self.samples)}: {shares}"),
            ("requests/s", f"{rate:.0f}, in {self.load_ended - self.load_started:.0f} s"),
            ("response times", f"p50 {at(all_times, 0.5) * 1000:.1f} ms, p99 {at(all_times, 0.99) * 1000:.1f} ms, longest {max(all_times, default=0) * 1000:.0f} ms"),
            ("failed requests", f"{len(self.failed)}" + "".join(f"; {count} × {why}" for why, count in failures.most_common(5))),
            ("failures that the balancer saw", f"{sum(state['failures'].values())} {json.dumps(state['failures']) if state['failures'] else ''}; {state['failedConnects']} connections to another node, before anything was sent"),
            ("orders", f"{len(self.orders or [])}"),
            ("events", f"{events}, to {SUBSCRIBERS} subscribers, who resumed: {', '.join(f'{count} × {why}' for why, count in closed.most_common()) or 'never'}"),
            ("resident memory at the end", memory),
            ("delays of the load itself", f"at most {self.lateness * 1000:.0f} ms, counted in response times"),
        ]  # fmt: skip
        print("\n| | |\n|---|---|")
        for name, value in rows:
            print(f"| {name} | {value.replace('|', '/')} |")
        backend = self.environment["DATABASE_URL"].split(":")[0] + (" and redis" if self.options.redis else "")
        for failed_at, kind, why in self.failed[:10]:
            print(f"failed at {time.strftime('%H:%M:%S', time.localtime(failed_at))}: {kind}: {why}")
        print(f"\n{backend}: " + ("passed" if not self.problems else "FAILED: " + "; ".join(self.problems)), flush=True)

    def run(self):
        try:
            self.prepare()
            log(f"{self.options.restarts} restarts of {self.nodes[0].port} and {self.nodes[1].port} behind {self.port}")
            for node in range(2):
                self.wait_until_used(node)
            for n in range(self.options.restarts):
                self.restart(n % 2)
                log(f"{n + 1}: stopped in {self.stops[-1]:.2f} s, started in {self.starts[-1]:.2f} s, {len(self.failed)} of {len(self.samples)} requests failed")
            self.stop_load()
            self.print_table(*self.audit())
        finally:
            for child in self.children:
                child.kill()
                child.join()
            for node in self.nodes:
                node.kill()
        return 1 if self.problems else 0


def at(times, share):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * share))] if times else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=os.path.abspath)
    parser.add_argument("work", type=lambda text: pathlib.Path(text).resolve(), help="an empty folder")
    parser.add_argument("--database", help="the URL of an empty database; without it, an SQLite file in the folder")
    parser.add_argument("--redis", help="the URL of a Redis server that the nodes share")
    parser.add_argument("--restarts", type=int, default=100, help="restarts, of both nodes in turn (100)")
    parser.add_argument("--rate", type=int, default=500, help="requests per second (500)")
    parser.add_argument("--delay", type=int, default=2, help="SHUTDOWN_DELAY of the nodes, in seconds (2)")
    parser.add_argument("--signal", choices=["TERM", "KILL"], default="TERM", help="KILL shows that the benchmark can fail (TERM)")
    parser.add_argument("--products", type=int, default=1000, help="products (1000)")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(Bench(options).run())
    except Failed as error:
        sys.exit(f"restarts: {error}")


if __name__ == "__main__":
    main()
