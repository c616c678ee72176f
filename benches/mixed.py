#!/usr/bin/env python3
"""Reads pages of a catalog while products are renamed and orders are placed; prints a Markdown table.

    benches/mixed.sh [sqlite|postgres] [MERCATO] [OPTIONS]      starts what this needs and calls it

The load is an open loop: a request's time counts from when it was due. Each product that was renamed
is requested at once, and its title must not be older. Uses only Python's standard library.
"""
import argparse
import asyncio
import collections
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import secrets
import signal
import subprocess
import sys
import time

import restarts_load
from hostile_load import CART, PRODUCT, resident_mb, take_priority
from restarts import START_TIMEOUT, Child, Failed, Node, at, free_port, write_products
from restarts_load import Request, Shopper

PAGE = """query($after: String) {
    products(first: 20, after: $after) { nodes {
        handle title variants(first: 10) { nodes { sku price { amount } quantityAvailable } }
        collections(first: 10) { nodes { title } }
    } pageInfo { hasNextPage endCursor } }
}"""
VARIANTS = "query($after: String) { products(first: 250, after: $after) { nodes { id handle variants(first: 1) { nodes { id } } } pageInfo { hasNextPage endCursor } } }"
RENAME = "mutation($id: ID!, $title: String!) { productUpdate(id: $id, product: { title: $title }) { userErrors { message } } }"
TITLE = "query($handle: String!) { product(handle: $handle) { title } }"
COLLECTION = """mutation($title: String!, $condition: String!) {
    collectionCreate(collection: { title: $title, ruleSet: {
        appliedDisjunctively: false, rules: [{ column: TYPE, relation: STARTS_WITH, condition: $condition }]
    } }) { userErrors { message } }
}"""
# Two pages of lists are read for each product page.
LIST_SHARE = 0.67
# Requests until the caches are warm don't count.
WARM_UP_SECONDS = 10


class Mix(Shopper):
    """Makes the requests in a fixed proportion, and checks what they return."""

    def __init__(self, shop):
        super().__init__(shop)
        self.to_check, self.renaming, self.number = collections.deque(), set(), 0
        rates = shop["rates"]
        self.kinds = ["page"] * rates["pages"] + ["update"] * rates["updates"] + ["check"] * rates["updates"]
        self.kinds += ["cart"] * rates["orders"] + ["order"] * rates["orders"]
        self.random.shuffle(self.kinds)
        self.at = 0

    def next(self):
        kind, shop = self.kinds[self.at % len(self.kinds)], self.shop
        self.at += 1
        if kind == "update":
            return self.update()
        if kind == "check" and self.to_check:
            return self.check(*self.to_check.popleft())
        if kind == "order" and self.carts:
            request = self.order()
            request.kind = "place order"
            return request
        if kind == "cart":
            line = {"merchandiseId": self.random.choice(shop["variants"]), "quantity": 1}
            return Request("create cart", CART, {"input": {"lines": [line]}}, self.created)
        if self.random.random() < LIST_SHARE:
            return Request("page", PAGE, {"after": self.random.choice(shop["cursors"])})
        return Request("page", PRODUCT, {"handle": self.random.choice(shop["products"])[1]})

    def update(self):
        self.number += 1
        number, (product, handle) = self.number, self.random.choice(self.shop["products"])
        # Of two writes of a product at the same time, either may be the last one.
        while handle in self.renaming:
            product, handle = self.random.choice(self.shop["products"])
        self.renaming.add(handle)
        request = Request("rename product", RENAME, {"id": product, "title": str(number)})
        request.bytes = request.bytes.replace(b"\r\n", f"\r\nAuthorization: Bearer {self.shop['key']}\r\n".encode(), 1)

        def renamed(data):
            self.renaming.discard(handle)
            self.to_check.append((handle, number))
            return self.checked("productUpdate")(data)

        request.check = renamed
        return request

    def check(self, handle, number):
        def is_current(data):
            found = int(data["product"]["title"])
            return "" if found >= number else f"the title is {found}, but {number} was acknowledged"

        return Request("read renamed", TITLE, {"handle": handle}, is_current)


def run_load(port, rate, shop, pipe):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_priority(-10)
    load = restarts_load.Load(port, rate, shop, pipe)
    load.shopper = Mix(shop)
    asyncio.run(load.run())


class Bench:
    """The whole run."""

    def __init__(self, options):
        self.options, self.metrics = options, free_port()
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(options.work),
            "DATABASE_URL": options.database or f"sqlite://{options.work}/shop.db",
            "MERCATO_ENV": "production",
            "JWT_SECRET": secrets.token_hex(32),
            "PUBLIC_URL": "https://shop.example",
            "METRICS_PORT": str(self.metrics),
            "PAYMENT_PROVIDERS": "test",
            "GUEST_CARTS_PER_HOUR": "10000000",
            "RATE_LIMIT_ANONYMOUS": "off",
            "RATE_LIMIT_API_KEY": "off",
            "RESPONSE_CACHE_BYTES": str(options.cache),
            "RUST_LOG": "warn",
            "FFMPEG": "off",
            "MAIL_DIR": str(options.work / "mail"),
            "MEDIA_URL": str(options.work / "media"),
        }
        self.node, self.key = Node(options.binary, options.work, "server", self.environment), ""

    def get(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def ask(self, document, variables=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=30)
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

    def walk(self, document):
        """All pages of a list, and the cursor in front of each."""
        after, pages = None, []
        while True:
            found = self.ask(document, {"after": after})["products"]
            pages.append((after, found["nodes"]))
            if not found["pageInfo"]["hasNextPage"]:
                return pages
            after = found["pageInfo"]["endCursor"]

    def command(self, *arguments):
        done = subprocess.run(
            [self.options.binary, *arguments], cwd=self.options.work, env=self.environment, text=True, capture_output=True
        )
        if done.returncode:
            raise Failed(f"`mercato {' '.join(arguments)}` failed: {done.stderr[-1000:]}")
        return done.stdout.strip()

    def prepare(self):
        write_products(self.options.work / "products.csv", self.options.products)
        self.command("import", "products", str(self.options.work / "products.csv"))
        self.key = self.command("apikey", "create", "--name", "mixed", "--permissions", "all")
        self.node.start()
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            self.node.check()
            try:
                if self.node.is_ready():
                    break
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise Failed("the server does not become ready")
            time.sleep(0.05)
        for letter in "abcde":
            self.ask(COLLECTION, {"title": letter, "condition": letter})
        products = [node for _, nodes in self.walk(VARIANTS) for node in nodes]
        cursors = [after for after, _ in self.walk(PAGE)]
        options = self.options
        return {
            "key": self.key,
            "cursors": cursors,
            "products": [(product["id"], product["handle"]) for product in products],
            "variants": [product["variants"]["nodes"][0]["id"] for product in products],
            "rates": {"pages": options.pages, "updates": options.updates, "orders": options.orders},
        }

    def hits(self):
        text = self.get(self.metrics, "/metrics")
        count = lambda result: int(re.search(rf'cache="responses",result="{result}"}} (\d+)', text)[1])
        return count("hit"), count("miss")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.node.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run(self):
        child = None
        try:
            shop, options = self.prepare(), self.options
            rate = options.pages + 2 * options.updates + 2 * options.orders
            child = Child(multiprocessing.get_context("spawn"), run_load, self.node.port, rate, shop)
            samples, failed, lateness, until = [], [], 0.0, time.monotonic() + WARM_UP_SECONDS + options.seconds
            started, before, is_last = None, None, False
            while not is_last:
                if time.monotonic() > until:
                    child.pipe.send("stop")
                    until = float("inf")
                new, wrong, _, lateness, orders = child.pipe.recv()
                failed += wrong
                if started is not None:
                    samples += new
                elif until - time.monotonic() < options.seconds:
                    started, before = time.monotonic(), (self.hits(), self.cpu_seconds())
                if until == float("inf") and before and len(before) == 2:
                    before += (self.hits(), self.cpu_seconds(), time.monotonic())
                is_last = orders is not None
            self.print_table(samples, failed, before, started, lateness, orders)
            return 1 if failed else 0
        finally:
            if child is not None:
                child.process.kill()
            self.node.kill()

    def print_table(self, samples, failed, measured, started, lateness, orders):
        (hits, misses), cpu, (hits_after, misses_after), cpu_after, ended = measured
        found, missed = hits_after - hits, misses_after - misses
        print("| request | per second | p50 | p99 | longest |\n|---|---|---|---|---|")
        for kind in sorted({kind for _, _, kind in samples}):
            times = [taken for _, taken, of in samples if of == kind]
            print(f"| {kind} | {len(times) / (ended - started):.0f} | {at(times, 0.5) * 1000:.1f} ms "
                  f"| {at(times, 0.99) * 1000:.1f} ms | {max(times) * 1000:.0f} ms |")  # fmt: skip
        share = 100 * found / (found + missed) if found + missed else 0.0
        print(f"\n{found} of {found + missed} responses were found in memory ({share:.1f} %); the server took "
              f"{100 * (cpu_after - cpu) / (ended - started):.0f} % of a processor and has {resident_mb(self.node.process.pid):.0f} MB; "
              f"{len(orders)} orders; the load was late by at most {lateness * 1000:.0f} ms")  # fmt: skip
        for _, kind, why in failed[:10]:
            print(f"failed: {kind}: {why}")
        print(f"{len(failed)} requests failed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=os.path.abspath)
    parser.add_argument("work", type=lambda text: pathlib.Path(text).resolve(), help="an empty folder")
    parser.add_argument("--database", help="the URL of an empty database; without it, an SQLite file in the folder")
    parser.add_argument("--cache", type=int, default=32 * 1024 * 1024, help="RESPONSE_CACHE_BYTES")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--pages", type=int, default=1000, help="pages read per second (1000)")
    parser.add_argument("--updates", type=int, default=20, help="products renamed per second (20)")
    parser.add_argument("--orders", type=int, default=50, help="orders placed per second (50)")
    parser.add_argument("--products", type=int, default=10_000)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(Bench(options).run())
    except Failed as error:
        sys.exit(f"mixed: {error}")


if __name__ == "__main__":
    main()
