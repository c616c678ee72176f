#!/usr/bin/env python3
"""Attacks a server while honest clients use it, and prints a Markdown table of the results.

    benches/hostile.sh [sqlite|postgres] [MERCATO] [OPTIONS]      starts what this needs and calls it

Each attack has its own address (127.0.1.N) and runs beside a normal load of 200 requests per second
from sixteen other addresses (127.0.0.1 to 127.0.0.16). The run fails unless all of these hold: the
load's 99th percentile stays below twice its normal value, which is measured before the attacks of
each kind, since the speed of a machine changes (rejected requests count as never answered),
`/health` responds within 100 ms, memory grows by at most 150 MB and is back to normal a minute
later, and SIGTERM ends the process within its grace period even during an attack. Attackers have a
low priority and a limited rate, because real ones would not share the server's processors. The load
is in `hostile_load.py`, the attacks are in `hostile_attacks.py`. Uses only Python's standard
library.
"""
import argparse
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
import time

import hostile_attacks as attacks
from hostile_load import CART, LOAD_ADDRESSES, Watcher, resident_mb

MAX_P99_RATIO = 2.0
MAX_HEALTH_MS = 100
MAX_SIGN_IN_SECONDS = 5
MAX_MEMORY_MB = 150
# Allocators keep some of the freed memory.
MEMORY_TOLERANCE_MB = 32
RECOVERY_SECONDS = 60
# The defaults of `SHUTDOWN_DELAY` and `SHUTDOWN_TIMEOUT_MS`, and two seconds: after one, the process is terminated.
GRACE_SECONDS = 34
HONEST_ADDRESS = "127.0.3.1"
OWNER = ("owner@example.com", "correct horse battery staple")
SIGN_IN = "mutation($e: String!, $p: String!) { staffLogin(email: $e, password: $p) { staffAccessToken { accessToken } userErrors { code } } }"
class Failed(Exception):
    """The benchmark can't continue."""


def ask(port, source, document, variables=None, timeout=15):
    """Sends an operation over a connection of its own and returns the response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(source, 0))
    try:
        body = json.dumps({"query": document, "variables": variables or {}})
        connection.request("POST", "/graphql", body, {"content-type": "application/json"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


# The server


class Server:
    """The server under attack, with its own shop."""

    def __init__(self, binary, database, work, products):
        self.binary, self.work, self.process, self.starts = binary, work, None, 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # As in production, except for settings that the benchmark needs.
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(work),
            "DATABASE_URL": database,
            "PORT": str(self.port),
            "MERCATO_ENV": "production",
            "JWT_SECRET": secrets.token_hex(32),
            "PUBLIC_URL": "https://shop.example",
            "METRICS_PORT": "off",
            # Public, so that its limits are tested rather than its access control.
            "INTROSPECTION": "public",
            "RUST_LOG": "info",
            "FFMPEG": "off",
            "MAIL_DIR": str(work / "mail"),
            "MEDIA_URL": str(work / "media"),
        }
        self.products = products

    def start(self):
        self.starts += 1
        with open(self.work / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--demo"], cwd=self.work, env=self.environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failed(f"the server ended with {self.process.returncode}:\n{self.log_end()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 2):
                    return
            except OSError:
                time.sleep(0.1)
        raise Failed("the server does not listen after a minute")

    def log_end(self):
        return (self.work / "log").read_bytes()[-2000:].decode(errors="replace")

    def command(self, *arguments, text=""):
        done = subprocess.run(
            [self.binary, *arguments], cwd=self.work, env=self.environment, input=text, text=True, capture_output=True
        )
        if done.returncode:
            raise Failed(f"`mercato {' '.join(arguments)}` failed: {done.stderr[-1000:]}")

    def fill(self):
        """Imports a larger catalog and creates a staff member; returns what the load requests."""
        words = write_products(self.work / "products.csv", self.products)
        self.command("import", "products", str(self.work / "products.csv"))
        self.command("user", "create", "--email", OWNER[0], "--role", "admin", text=OWNER[1] + "\n")
        # Two pages, so that both demo products and imported ones are requested.
        found = []
        for sort in ("CREATED_AT", "TITLE"):
            document = "query($s: ProductSortKeys) { products(first: 50, sortKey: $s) { nodes { handle variants(first: 1) { nodes { id } } } } }"
            answer = ask(self.port, HONEST_ADDRESS, document, {"s": sort})
            found += answer["data"]["products"]["nodes"]
        scarce_variants = []
        for n in range(attacks.SCARCE_PRODUCTS):
            document = "query($h: String!) { product(handle: $h) { variants(first: 1) { nodes { id } } } }"
            answer = ask(self.port, HONEST_ADDRESS, document, {"h": f"scarce-{n}"})
            scarce_variants.append(answer["data"]["product"]["variants"]["nodes"][0]["id"])
        shop = {
            "handles": [product["handle"] for product in found],
            "variants": [product["variants"]["nodes"][0]["id"] for product in found],
            "words": words,
            "carts": [],
            "scarce_variants": scarce_variants,
            "owner": OWNER[0],
        }
        for address in LOAD_ADDRESSES:
            answer = ask(self.port, address, CART, {"input": {"lines": []}})
            shop["carts"].append(answer["data"]["cartCreate"]["cart"]["id"])
        return shop

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def is_responsive(self):
        """Whether the server responds to an honest client."""
        for _ in range(3):
            try:
                ask(self.port, HONEST_ADDRESS, "{ __typename }", timeout=5)
                return True
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(1)
        return False

    def kill(self):
        if self.is_alive():
            self.process.kill()
        if self.process:
            self.process.wait()


def write_products(path, count):
    """Writes a CSV of products whose titles have words for every letter; returns some of the words."""
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
            out.writerow([f"thing-{n}", title, f"<p>{text}</p>", rng.choice(words), "active", f"T{n}",
                          f"{rng.randint(1, 99)}.50", "shopify", 1_000_000, "deny", "true", "true"])  # fmt: skip
        for n in range(attacks.SCARCE_PRODUCTS):
            out.writerow([f"scarce-{n}", f"Scarce thing {n}", "", "", "active", f"H{n}", "1.00", "shopify",
                          attacks.SCARCE_STOCK, "deny", "false", "false"])  # fmt: skip
    return words


# The run


class Bench:
    """Runs all attacks, one after another."""

    def __init__(self, options, server):
        self.options, self.server = options, server
        self.context = multiprocessing.get_context("spawn")
        self.watcher, self.shop, self.normals, self.attackers = None, None, [], 0
        self.table, self.has_failed = [], False

    def watch(self):
        self.watcher = Watcher(self.context, self.server.port, self.server.process.pid, self.options.rate, self.shop)

    def prepare(self):
        self.server.start()
        self.shop = self.server.fill()
        self.sign_in()
        self.watch()
        time.sleep(2 if self.options.quick else 5)
        start = time.monotonic()
        count, failed = self.measure_normal(5 if self.options.quick else 10)
        health, problem = self.watcher.worst_health(start, time.monotonic())
        self.first_memory = sum(sizes := self.watcher.sizes(start, time.monotonic())) / max(1, len(sizes))
        log(f"normal: p99 {self.normal:.1f} ms of {count} requests at {self.options.rate}/s ({summary_of_failures(failed)}), "
            f"/health {health:.0f} ms {problem}, {self.first_memory:.0f} MB, {self.options.products} products")  # fmt: skip

    @property
    def normal(self):
        """The load's 99th percentile without an attack, as measured last."""
        return self.normals[-1]

    def measure_normal(self, seconds):
        """Measures it anew. Returns the number of requests, and which of them failed."""
        start = time.monotonic()
        time.sleep(seconds)
        self.watcher.settle()
        p99, failed, count = self.watcher.p99(start, time.monotonic() - 1)
        if p99 == float("inf"):
            raise Failed("the server can't handle the normal load: is it a release build?")
        self.normals.append(p99)
        return count, failed

    def sign_in(self):
        """Returns how many seconds the owner's sign-in takes, and why it failed, if it did."""
        started = time.monotonic()
        try:
            answer = ask(self.server.port, HONEST_ADDRESS, SIGN_IN, {"e": OWNER[0], "p": OWNER[1]})
            login = (answer.get("data") or {}).get("staffLogin") or {}
            problem = "" if login.get("staffAccessToken") else json.dumps(answer)[:120]
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = type(error).__name__
        return time.monotonic() - started, problem

    def start_attack(self, row, transport, seconds, hold):
        self.attackers += 1
        receiver, sender = self.context.Pipe(False)
        attack = attacks.Attack(row.name, transport, self.server.port, f"127.0.1.{self.attackers}", seconds, hold, self.shop)
        child = self.context.Process(target=attacks.run, args=(attack, sender), daemon=True)
        child.start()
        sender.close()
        # It signals when it starts.
        if report_of(receiver, time.monotonic() + 20) != attacks.STARTED:
            raise Failed(f"the attack {row.name} does not start")
        return child, receiver

    def attack(self, row, transport):
        options, watcher = self.options, self.watcher
        hold = 0 if options.quick or not row.holds else attacks.HOLD_SECONDS
        child, receiver = self.start_attack(row, transport, options.seconds, hold)
        start = time.monotonic()
        sizes = watcher.sizes(start - 1.5, start) or [resident_mb(self.server.process.pid) or 0]
        before = sum(sizes) / len(sizes)
        end, sign_ins = start + options.seconds, []
        while time.monotonic() < end:
            if row.checks == "sign-in":
                sign_ins.append(self.sign_in())
            time.sleep(min(1, max(0, end - time.monotonic())))
        watcher.settle()
        p99, failed, _ = watcher.p99(start, end)
        answer, are_all_closed = report_of(receiver, end + max(hold, 10) + 10)
        after, recovery = self.recover(before, end)
        end_process(child)
        is_stuck = self.server.is_alive() and not self.server.is_responsive()
        health, health_problem = watcher.worst_health(start, time.monotonic())
        peak = max(watcher.sizes(start, time.monotonic()), default=before) - before
        notes, problems = self.honest_clients(row, transport, sign_ins)
        if failed:
            notes.append("load: " + summary_of_failures(failed))
        if not self.server.is_alive():
            problems.append(f"the process ended ({self.server.process.returncode})")
        if is_stuck:
            problems.append("no responses afterwards")
        if p99 >= MAX_P99_RATIO * self.normal:
            problems.append("p99")
        if health >= MAX_HEALTH_MS or health_problem:
            problems.append(f"/health {health_problem}".rstrip())
        if peak > MAX_MEMORY_MB:
            problems.append("memory")
        if after is None or after - before > MEMORY_TOLERANCE_MB:
            problems.append("memory is not released")
        if hold and not are_all_closed:
            problems.append("connections never closed")
        growth = None if after is None else after - before
        self.add_result(row, transport, answer, p99, health, peak, growth, recovery, notes, problems)
        if is_stuck or not self.server.is_alive():
            self.restart()

    def honest_clients(self, row, transport, sign_ins):
        """Returns what the targets of the attack experienced, and which of that is a failure."""
        notes, problems = [], []
        if sign_ins:
            worst = max(took for took, _ in sign_ins)
            why = next((why for _, why in sign_ins if why), "")
            notes.append(f"owner's sign-in {worst * 1000:.0f} ms" + (f": {why}" if why else ""))
            if why or worst > MAX_SIGN_IN_SECONDS:
                problems.append("sign-in")
        if row.checks == "order":
            left, why = self.order_unit(attacks.SCARCE_PRODUCT_OF[transport])
            notes.append(f"{left:.0%} of the stock is left" + (f"; an honest order: {why}" if why else ""))
            if why:
                problems.append("stock")
        return notes, problems

    def recover(self, before, end):
        """Waits until memory is back to normal; returns it and the seconds that took."""
        while self.server.is_alive():
            size = resident_mb(self.server.process.pid)
            waited = time.monotonic() - end
            if size is None or size - before <= MEMORY_TOLERANCE_MB or waited > self.options.recovery:
                time.sleep(0.5)
                return size, waited
            time.sleep(0.2)
        return None, 0

    def order_unit(self, number):
        """Returns how much of a scarce product is left, and why a unit of it can't be bought, if
        so.
        """
        variant = self.shop["scarce_variants"][number]
        try:
            document = "query($id: ID!) { node(id: $id) { ... on ProductVariant { quantityAvailable } } }"
            found = ask(self.server.port, HONEST_ADDRESS, document, {"id": variant})
            left = (found["data"]["node"]["quantityAvailable"] or 0) / attacks.SCARCE_STOCK
            lines = {"input": {"lines": [{"merchandiseId": variant, "quantity": 1}]}}
            cart = ask(self.server.port, HONEST_ADDRESS, CART, lines)["data"]["cartCreate"]["cart"]
            answer = ask(self.server.port, HONEST_ADDRESS, attacks.PLACE, attacks.order_of(cart["id"], 1))
            placed = (answer.get("data") or {}).get("orderPlace") or {}
            return left, "" if placed.get("order") else json.dumps(answer)[:150]
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
            return 0, f"{type(error).__name__} {error}"

    def restart(self):
        """Starts a new process, so that the next attack is not affected by the last one."""
        self.watcher.end()
        self.server.kill()
        self.server.start()
        self.watch()
        time.sleep(3)

    def terminate(self):
        """Sends SIGTERM during attacks of all kinds."""
        row = attacks.SIGTERM_ROW
        child, _ = self.start_attack(row, "all", GRACE_SECONDS + 10, 0)
        time.sleep(2)
        start = time.monotonic()
        self.server.process.send_signal(signal.SIGTERM)
        try:
            code = self.server.process.wait(GRACE_SECONDS + 10)
            took = time.monotonic() - start
            answer = f"ended after {took:.1f} s with {code}"
            problems = [] if took <= GRACE_SECONDS else ["grace period"]
        except subprocess.TimeoutExpired:
            answer, problems = f"still running after {GRACE_SECONDS + 10:.0f} s", ["grace period"]
        end_process(child)
        self.add_result(row, "all", answer, None, None, None, None, 0, [], problems)

    def add_result(self, row, transport, answer, p99, health, peak, after, recovery, notes, problems):
        self.has_failed |= bool(problems)
        number = lambda value, unit="": "–" if value is None else f"{value:.0f}{unit}" if value < 1e9 else "∞"
        ratio = "–" if p99 is None else f"{number(p99)} ({p99 / self.normal:.1f}×)" if p99 < 1e9 else "∞"
        back = "–" if after is None else f"{after:+.0f} MB, {max(0, recovery):.0f} s"
        answer = "; ".join([answer or "none", *notes]).replace("|", "/")
        result = "pass" if not problems else "FAIL: " + ", ".join(problems)
        cells = [row.name, row.title, transport, answer, ratio, number(health), number(peak, " MB"), back, result]
        self.table.append(cells)
        log(f"{result:4}  {row.name} {transport}: {answer}; p99 {ratio} ms, /health {cells[5]} ms, {cells[6]}, {back}")

    def print_table(self):
        heads = ["row", "attack", "transport", "responses", "p99 ms (of normal)", "worst `/health` ms", "memory, peak", "memory after", ""]
        print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for cells in self.table:
            print("| " + " | ".join(cells) + " |")
        backend = self.server.environment["DATABASE_URL"].split(":")[0]
        late = max((lateness for _, lateness in self.watcher.late), default=0) * 1000
        normal = f"{min(self.normals):.1f} to {max(self.normals):.1f} ms"
        print(f"\n{backend}: normal p99 {normal} at {self.options.rate} requests/s; bounds: p99 {MAX_P99_RATIO:.0f}×, "
              f"/health {MAX_HEALTH_MS} ms, memory {MAX_MEMORY_MB} MB and back within {MEMORY_TOLERANCE_MB} MB in "
              f"{self.options.recovery} s; initial memory {self.first_memory:.0f} MB; delays of the load itself, not counted, "
              f"at most {late:.0f} ms; {'FAILED' if self.has_failed else 'passed'}.", flush=True)  # fmt: skip

    def run(self):
        wanted = [name.strip() for name in self.options.rows.split(",") if name.strip()]
        is_wanted = lambda name: not wanted or any(name.startswith(one) for one in wanted)
        rows = [row for row in attacks.ROWS if is_wanted(row.name)]
        if not rows and not is_wanted(attacks.SIGTERM_ROW.name):
            raise Failed(f"no such row; the rows are {', '.join(row.name for row in attacks.ROWS)}, SIGTERM")
        try:
            self.prepare()
            for row in rows:
                self.measure_normal(self.options.seconds)
                for transport in row.transports:
                    self.attack(row, transport)
                    time.sleep(1.5)
            start = time.monotonic()
            time.sleep(3 if self.options.quick else 10)
            self.watcher.settle()
            p99, failed, _ = self.watcher.p99(start, time.monotonic() - 1)
            size = resident_mb(self.server.process.pid) or 0
            log(f"after the attacks: p99 {p99:.1f} ms ({summary_of_failures(failed)}), {size:.0f} MB ({size - self.first_memory:+.0f})")
            if is_wanted(attacks.SIGTERM_ROW.name):
                self.terminate()
        finally:
            if self.watcher:
                self.watcher.end()
            self.server.kill()
        self.print_table()
        return 1 if self.has_failed else 0


def report_of(receiver, deadline):
    """Returns what an attack reports: the server's responses, and whether all connections were
    closed.
    """
    while time.monotonic() < deadline:
        try:
            if receiver.poll(0.2):
                return receiver.recv()
        except EOFError:
            break
    return "the attack itself failed", False


def end_process(child):
    if child.is_alive():
        child.terminate()
        child.join(3)
        if child.is_alive():
            child.kill()


def summary_of_failures(failed):
    return ", ".join(f"{count} {outcome}" for outcome, count in failed.most_common(3)) or "none failed"


def log(text):
    print(text, file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=os.path.abspath)
    parser.add_argument("work", type=lambda text: pathlib.Path(text).resolve(), help="an empty folder")
    parser.add_argument("--database", help="the URL of an empty database; without it, an SQLite file in the folder")
    parser.add_argument("--rows", default="", help="only rows whose names have these prefixes: C1,H4")
    parser.add_argument("--seconds", type=float, help="duration of each attack (6)")
    parser.add_argument("--rate", type=int, default=200, help="requests per second of the normal load (200)")
    parser.add_argument("--products", type=int, help="products in addition to the demo shop's (6000)")
    parser.add_argument("--quick", action="store_true", help="shorter attacks, fewer products, and no waiting for timeouts")
    options = parser.parse_args()
    options.seconds = options.seconds or (3 if options.quick else 6)
    options.products = options.products or (500 if options.quick else 6000)
    options.recovery = 10 if options.quick else RECOVERY_SECONDS
    options.work.mkdir(parents=True, exist_ok=True)
    server = Server(options.binary, options.database or f"sqlite://{options.work}/shop.db", options.work, options.products)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(Bench(options, server).run())
    except Failed as error:
        sys.exit(f"hostile: {error}")


if __name__ == "__main__":
    main()
