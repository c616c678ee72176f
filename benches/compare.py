"""Runs the measurements of compare.sh: creates the same catalog for every server, compares their
responses, sends each the same requests in turns, and prints a table.
"""

import argparse
import atexit
import collections
import csv
import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

SECRET = "a-secret-of-benchmarks-that-is-long-enough"
CONNECTIONS = 32
# Requests per workload, sent over and over.
REQUESTS = 1000
# Requests whose responses are compared with the catalog.
COMPARED = 50
# The share of the products that is ordered. Only the others are read, so that they don't change.
SOLD_SHARE = 0.1
SOLD_VARIANTS = 300
PRICE_OF_SOLD = 10
STOCK = 1_000_000
PAGE_SIZE = 20
# Background work such as mails counts, too: it is awaited for at most this long.
MAX_DRAIN_SECONDS = 60
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")

TITLES = {
    "typename": "`{ __typename }`",
    "product": "a product with 3 variants, prices and stock",
    "page": f"a page of {PAGE_SIZE} products with variants and collections",
    "order": "an order with 2 lines",
}
MERCATO_DOCUMENTS = {
    "typename": "{ __typename }",
    "product": "query($handle: String!) { product(handle: $handle) { handle title description"
    " variants(first: 10) { nodes { sku title price { amount } quantityAvailable } } } }",
    "page": "query($first: Int!, $after: String) { products(first: $first, after: $after) { nodes { handle title"
    " variants(first: 10) { nodes { sku price { amount } quantityAvailable } } collections(first: 10) { nodes { title } } }"
    " pageInfo { endCursor } } }",
}
PEER_DOCUMENTS = {
    "typename": "{ __typename }",
    "product": "query($handle: String!) { product(handle: $handle) { handle title description variants { sku title price stock } } }",
    "page": "query($offset: Int!, $limit: Int!) { products(offset: $offset, limit: $limit) { handle title"
    " variants { sku price stock } collections { title } } }",
}
CREATE_COLLECTION = "mutation($c: CollectionCreateInput!) { collectionCreate(collection: $c) { userErrors { message } } }"
CREATE_CART = "mutation($input: CartInput!) { cartCreate(input: $input) { cart { id } userErrors { message } } }"
PLACE_ORDER = (
    'mutation($input: OrderPlaceInput!) { orderPlace(input: $input, idempotencyKey: "once") { order { id status }'
    " userErrors { message code } } }"
)
PEER_ORDER = "mutation($lines: [Line!]!) { placeOrder(lines: $lines) { id status } }"

# Prints the result of a run as JSON. Orders are counted, since each may take several requests.
LUA = """
local carts, threads, sent = {}, {}, 0
placed, refused, why = 0, 0, ""
function setup(thread) table.insert(threads, thread) end
function init()
  wrk.headers["Content-Type"] = "application/json"
  for at = 1, #bodies do bodies[at] = wrk.format("POST", nil, nil, bodies[at]) end
end
function request()
  local cart = order and table.remove(carts)
  if cart then return wrk.format("POST", nil, nil, order.before .. cart .. order.after) end
  sent = sent % #bodies + 1
  return bodies[sent]
end
local function read(status, headers, body)
  local cart = body:match('"id":"(gid://mercato/Cart/[^"]+)"')
  if cart then
    table.insert(carts, cart)
  elseif body:find('"status":"PAID"', 1, true) or body:find('"status":"PLACED"', 1, true) then
    placed = placed + 1
  else
    refused = refused + 1
    why = body:sub(1, 300)
  end
end
if is_order then response = read end
function done(summary, latency)
  local errors = summary.errors
  local result = { placed = 0, refused = 0, why = "" }
  for _, thread in ipairs(threads) do
    result.placed = result.placed + thread:get("placed")
    result.refused = result.refused + thread:get("refused")
    if thread:get("why") ~= "" then result.why = thread:get("why") end
  end
  io.write(string.format('RESULT {"requests":%d,"micros":%d,"failed":%d,"p50":%d,"p99":%d,"placed":%d,"refused":%d,"why":%q}\\n',
    summary.requests, summary.duration, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), result.placed, result.refused, result.why))
end
"""


def make_catalog(products):
    random.seed(11)
    words = ["".join(random.choices("abcdefghiklmnoprstu", k=random.randint(3, 9))) for _ in range(2000)]
    catalog = []
    for n in range(products):
        is_sold = n >= products * (1 - SOLD_SHARE)
        prices = [PRICE_OF_SOLD if is_sold else random.randint(100, 100_000) / 100 for _ in range(3)]
        variants = [
            {"sku": f"SKU-{n:05}-{size}", "title": size, "price": price, "stock": STOCK}
            for size, price in zip("SML", prices)
        ]
        groups = [f"Kind {n % 10}", f"Group {n % 7}"]
        catalog.append(
            {
                "handle": f"product-{n:05}",
                "title": f"Product {n:05} {' '.join(random.choices(words, k=3))}",
                "description": " ".join(random.choices(words, k=40)),
                "variants": variants,
                "collections": [{"title": title} for title in groups],
            }
        )
    return catalog


def leaves(value):
    """The texts and numbers in a response, as numbers where possible."""
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner)]
    try:
        return [round(float(value), 2)]
    except ValueError:
        return [value]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def cpu_ticks(root):
    """The CPU time of a process, of its descendants, and of those that have ended."""
    children, ticks = collections.defaultdict(list), {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children[int(fields[1])].append(int(pid))
        ticks[int(pid)] = sum(map(int, fields[11:15]))
    total, left = 0, [root]
    while left:
        pid = left.pop()
        total += ticks.get(pid, 0)
        left += children[pid]
    return total


class Server:
    """A server with the catalog. While it is not measured, it is paused."""

    def __init__(self, name, work):
        self.name, self.folder = name, f"{work}/{name}"
        self.port = free_port()
        # `database`: on PostgreSQL.
        self.process = self.order = self.database = None
        os.makedirs(self.folder)

    def start(self, command, env):
        log = open(f"{self.folder}/log", "w")
        base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.process = subprocess.Popen(command, env=base | env, cwd=self.folder, stdout=log, stderr=log)
        atexit.register(self.stop)
        for _ in range(6000):
            try:
                self.ask("{ __typename }", {})
                return
            except (OSError, http.client.HTTPException):
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        with open(f"{self.folder}/log") as file:
            sys.exit(f"{self.name} does not respond: {file.read()[-1000:]}")

    def ask(self, document, variables, key=None):
        headers = {"content-type": "application/json"} | ({"authorization": "Bearer " + key} if key else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/graphql", json.dumps({"query": document, "variables": variables}), headers)
        answer = json.load(connection.getresponse())
        connection.close()
        if "errors" in answer or "data" not in answer:
            sys.exit(f"{self.name}: {answer}")
        return answer["data"]

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.resume()
            self.process.terminate()
            self.process.wait()


class Peer(Server):
    """A server with the schema of `hello.rs` and `peer/server.mjs`."""

    documents = PEER_DOCUMENTS

    def variables(self, workload, catalog, n):
        if workload == "page":
            return {"offset": n * PAGE_SIZE, "limit": PAGE_SIZE}
        return {"handle": catalog[n]["handle"]} if workload == "product" else {}

    def order_bodies(self, pairs):
        return [
            json.dumps({"query": PEER_ORDER, "variables": {"lines": [{"variant": n, "quantity": 1} for n in pair]}})
            for pair in pairs
        ]


class Mercato(Server):
    documents = MERCATO_DOCUMENTS

    def __init__(self, name, work):
        super().__init__(name, work)
        # In memory, if possible: a shop sends its mails, and what a file costs depends on the file system.
        self.mails = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)

    def settings(self, database, is_cached):
        settings = {
            "DATABASE_URL": database, "PORT": str(self.port), "RUST_LOG": "warn", "JWT_SECRET": SECRET, "PAYMENT_PROVIDERS": "test",
            "MAIL_DIR": self.mails.name,
            # All requests come from the same address.
            "RATE_LIMIT_ANONYMOUS": "off", "GUEST_CARTS_PER_HOUR": "10000000",
        }  # fmt: skip
        return settings | ({} if is_cached else {"RESPONSE_CACHE_BYTES": "0", "ENTITY_CACHE_BYTES": "0"})

    def prepare(self, catalog, pages):
        """Learns what requests refer to by ids of the server."""
        self.cursors = [None]
        for _ in range(pages - 1):
            page = self.ask(self.documents["page"], {"first": PAGE_SIZE, "after": self.cursors[-1]})
            self.cursors.append(page["products"]["pageInfo"]["endCursor"])
        ids = "query($handle: String!) { product(handle: $handle) { variants(first: 10) { nodes { sku id } } } }"
        self.ids = {}
        for product in catalog[int(len(catalog) * (1 - SOLD_SHARE)) :][: SOLD_VARIANTS // 3]:
            found = self.ask(ids, {"handle": product["handle"]})["product"]["variants"]["nodes"]
            self.ids |= {variant["sku"]: variant["id"] for variant in found}

    def variables(self, workload, catalog, n):
        if workload == "page":
            return {"first": PAGE_SIZE, "after": self.cursors[n]}
        return {"handle": catalog[n]["handle"]} if workload == "product" else {}

    def order_bodies(self, pairs):
        ids = list(self.ids.values())
        lines = lambda pair: [{"merchandiseId": ids[n % len(ids)], "quantity": 1} for n in pair]
        address = {"address1": "1 Main St", "city": "Springfield", "zip": "12345", "country": "US"}
        place = lambda cart, total: {
            "cartId": cart, "email": "ada@example.com", "deliveryOptionHandle": "standard", "expectedTotal": total,
            "shippingAddress": address, "payment": {"provider": "test", "token": "tok_ok"},
        }  # fmt: skip
        # The error for a wrong total has the right one, delivery included.
        cart = self.ask(CREATE_CART, {"input": {"lines": lines(pairs[0])}})["cartCreate"]["cart"]["id"]
        errors = self.ask(PLACE_ORDER, {"input": place(cart, "0")})["orderPlace"]["userErrors"]
        total = next(error["message"].split()[3] for error in errors if error["code"] == "STALE")
        self.order = json.dumps({"query": PLACE_ORDER, "variables": {"input": place("CART", total)}}).split("CART")
        return [json.dumps({"query": CREATE_CART, "variables": {"input": {"lines": lines(pair)}}}) for pair in pairs]


class Comparison:
    def __init__(self, options):
        self.options, self.work = options, options.work
        self.catalog = make_catalog(options.products)
        self.pages = min(50, int(options.products * (1 - SOLD_SHARE)) // PAGE_SIZE)
        self.workloads = options.workloads.split(",")
        self.servers, self.results = [], collections.defaultdict(list)
        with open(f"{self.work}/catalog.json", "w") as file:
            json.dump(self.catalog, file)

    # Preparation

    def psql(self, database, *statements):
        url = f"postgres://mercato@127.0.0.1:{self.options.postgres}/{database}"
        subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", url], input=";\n".join(statements), text=True, check=True)

    def start(self):
        for server in self.options.server:
            name, binary = server.split("=", 1)
            for backend in self.options.backends.split(","):
                self.start_mercato(name, os.path.abspath(binary), backend)
        if self.options.hello:
            hello = self.add(Peer("hello", self.work))
            self.serve(hello, [os.path.abspath(self.options.hello), str(hello.port), f"{self.work}/catalog.json"], {})
        if self.options.peer:
            self.start_peer()

    def add(self, server):
        self.servers.append(server)
        return server

    def serve(self, server, command, env):
        server.start(command, env)
        server.pause()

    def start_mercato(self, name, binary, backend):
        """Starts two servers with the same data: with caches, and without."""
        cached = Mercato(f"{name}-{backend}", self.work)
        database = f"sqlite://{cached.folder}/shop.db"
        if backend == "postgres":
            cached.database = name
            self.psql("postgres", f'CREATE DATABASE "{name}"')
            database = f"postgres://mercato@127.0.0.1:{self.options.postgres}/{name}"
        settings = cached.settings(database, True)
        run = lambda *arguments: subprocess.run(
            [binary, *arguments], env={"PATH": os.environ["PATH"]} | settings, cwd=cached.folder, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        run("import", "products", self.write_csv())
        key = run("apikey", "create", "--name", "compare", "--permissions", "all").split()[-1]
        cached.start([binary, "serve"], settings)
        self.create_collections(cached, key)
        cached.prepare(self.catalog, self.pages)
        # The copies have what the first server's background work has added.
        cached.stop()
        if self.options.caches == "both":
            uncached = Mercato(f"{name}-{backend}-uncached", self.work)
            if backend == "postgres":
                uncached.database = f"{name}-uncached"
                self.psql("postgres", f'CREATE DATABASE "{uncached.database}" TEMPLATE "{name}"')
                copy = f"{database}-uncached"
            else:
                with sqlite3.connect(f"{cached.folder}/shop.db") as source, sqlite3.connect(f"{uncached.folder}/shop.db") as target:
                    source.backup(target)
                copy = f"sqlite://{uncached.folder}/shop.db"
            uncached.cursors, uncached.ids = cached.cursors, cached.ids
            self.serve(self.add(uncached), [binary, "serve"], uncached.settings(copy, False))
        self.serve(self.add(cached), [binary, "serve"], settings)

    def write_csv(self):
        path = f"{self.work}/products.csv"
        if os.path.exists(path):
            return path
        columns = ["Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Status", "Option1 Name", "Option1 Value", "Variant SKU",
                   "Variant Price", "Variant Grams", "Variant Inventory Tracker", "Variant Inventory Qty", "Variant Inventory Policy",
                   "Variant Requires Shipping", "Variant Taxable"]  # fmt: skip
        with open(path, "w", newline="") as file:
            out = csv.writer(file)
            out.writerow(columns)
            for product in self.catalog:
                kind, group = (collection["title"] for collection in product["collections"])
                first = [product["title"], product["description"], "Maker", kind, group, "active", "Size"]
                for at, variant in enumerate(product["variants"]):
                    rest = ["shopify", STOCK, "deny", "true", "true"]
                    shared = first if at == 0 else [""] * len(first)
                    out.writerow([product["handle"], *shared, variant["title"], variant["sku"], variant["price"], 200, *rest])
        return path

    def create_collections(self, server, key):
        titles = sorted({collection["title"] for product in self.catalog for collection in product["collections"]})
        for title in titles:
            column = "TYPE" if title.startswith("Kind") else "TAG"
            rule = {"column": column, "relation": "EQUALS", "condition": title}
            collection = {"title": title, "ruleSet": {"appliedDisjunctively": False, "rules": [rule]}}
            server.ask(CREATE_COLLECTION, {"c": collection}, key)
        count = "query($handle: String!) { product(handle: $handle) { collections(first: 10) { nodes { title } } } }"
        for product in (self.catalog[0], self.catalog[-1]):
            for _ in range(600):
                found = server.ask(count, {"handle": product["handle"]})["product"]["collections"]["nodes"]
                if len(found) == 2:
                    break
                time.sleep(0.1)
        self.drain(server)

    def start_peer(self):
        rows = collections.defaultdict(list)
        titles = sorted({collection["title"] for product in self.catalog for collection in product["collections"]})
        rows["collection"] = [(n, title) for n, title in enumerate(titles)]
        for n, product in enumerate(self.catalog):
            rows["product"].append((n, product["handle"], product["title"], product["description"]))
            rows["membership"] += [(n, titles.index(collection["title"])) for collection in product["collections"]]
            for at, variant in enumerate(product["variants"]):
                rows["variant"].append((3 * n + at, n, variant["sku"], variant["title"], round(variant["price"] * 100)))
                rows["stock"].append((3 * n + at, STOCK))
        tables = {
            "product": "id int PRIMARY KEY, handle text NOT NULL UNIQUE, title text NOT NULL, description text NOT NULL",
            "variant": "id int PRIMARY KEY, product_id int NOT NULL REFERENCES product, sku text NOT NULL UNIQUE, title text NOT NULL,"
            " price_minor int NOT NULL",
            "stock": "variant_id int PRIMARY KEY REFERENCES variant, on_hand int NOT NULL CHECK (on_hand >= 0)",
            "collection": "id int PRIMARY KEY, title text NOT NULL",
            "membership": "product_id int NOT NULL REFERENCES product, collection_id int NOT NULL REFERENCES collection,"
            " PRIMARY KEY (product_id, collection_id)",
        }
        self.psql("postgres", "CREATE DATABASE peer")
        for name, columns in tables.items():
            copied = "\n".join("\t".join(map(str, row)) for row in rows[name])
            self.psql("peer", f"CREATE TABLE {name} ({columns})", f"COPY {name} FROM STDIN;\n{copied}\n\\.\n")
        self.psql(
            "peer", "CREATE INDEX ON variant (product_id)",
            "CREATE TABLE sale (id serial PRIMARY KEY, placed_at timestamptz NOT NULL DEFAULT now(), total_minor bigint NOT NULL)",
            "CREATE TABLE sale_line (id serial PRIMARY KEY, sale_id int NOT NULL REFERENCES sale, variant_id int NOT NULL"
            " REFERENCES variant, quantity int NOT NULL, price_minor int NOT NULL)",
            "CREATE INDEX ON sale_line (sale_id)", "VACUUM ANALYZE",
        )  # fmt: skip
        peer = self.add(Peer("mercurius", self.work))
        peer.database = "peer"
        url = f"postgres://mercato@127.0.0.1:{self.options.postgres}/peer"
        env = {"PORT": str(peer.port), "DATABASE_URL": url, "NODE_ENV": "production"}
        peer.start(["node", os.path.abspath(f"{self.options.peer}/server.mjs")], env)

    # Requests

    def requests(self, server, workload):
        """The variables of different requests, the same for every server."""
        random.seed(workload)
        last = self.pages if workload == "page" else int(len(self.catalog) * (1 - SOLD_SHARE))
        return [server.variables(workload, self.catalog, random.randrange(last)) for _ in range(REQUESTS)]

    def has_workload(self, server, workload):
        return workload != "order" or not (server.name == "hello" or server.name.endswith("-uncached"))

    def bodies(self, server, workload):
        """The bodies of requests. An order takes another request, of which `server.order` has the parts."""
        if workload == "order":
            random.seed(workload)
            first = int(len(self.catalog) * (1 - SOLD_SHARE)) * 3
            last = min(first + SOLD_VARIANTS, len(self.catalog) * 3)
            # Sorted, so that no two orders wait for each other.
            return server.order_bodies([sorted(random.sample(range(first, last), 2)) for _ in range(REQUESTS)])
        document = server.documents[workload]
        return [json.dumps({"query": document, "variables": variables}) for variables in self.requests(server, workload)]

    def write_lua(self, server, workload):
        bodies = self.bodies(server, workload)
        with open(f"{server.folder}/{workload}.lua", "w") as file:
            file.write("bodies = {\n" + ",\n".join(json.dumps(body) for body in bodies) + "\n}\n")
            file.write(f"is_order = {str(workload == 'order').lower()}\n")
            if workload == "order" and server.order:
                before, after = map(json.dumps, server.order)
                file.write(f"order = {{ before = {before}, after = {after} }}\n")
            file.write(LUA)

    def compare_responses(self):
        """Compares responses with the catalog, before anything is measured."""
        for server in self.servers:
            server.resume()
            for workload in {"product", "page"} & set(self.workloads):
                for variables in self.requests(server, workload)[:COMPARED]:
                    data = server.ask(server.documents[workload], variables)
                    product = data.get("product")
                    products = [product] if product else data["products"]["nodes"] if "nodes" in data["products"] else data["products"]
                    self.compare_products(server, workload, products)
            for workload in self.workloads:
                if self.has_workload(server, workload):
                    self.write_lua(server, workload)
            server.pause()

    def compare_products(self, server, workload, products):
        if len(products) != (1 if workload == "product" else PAGE_SIZE):
            sys.exit(f"{server.name}: {len(products)} products in the response to {workload}")
        for found in products:
            expected = dict(self.catalog[int(found["handle"].split("-")[1])])
            expected.pop("collections" if workload == "product" else "description")
            if workload == "page":
                expected["variants"] = [{k: v for k, v in variant.items() if k != "title"} for variant in expected["variants"]]
            if collections.Counter(leaves(found)) != collections.Counter(leaves(expected)):
                sys.exit(f"{server.name}: the response to {workload} is {found}, not {expected}")

    # Measurement

    def ticks(self, server):
        database = self.options.postgres_pid
        return cpu_ticks(server.process.pid) + (cpu_ticks(database) if database else 0)

    def drain(self, server):
        """Waits until the server and its database are idle."""
        ended = time.monotonic() + MAX_DRAIN_SECONDS
        before = self.ticks(server)
        while time.monotonic() < ended:
            time.sleep(0.3)
            now = self.ticks(server)
            if now - before <= 1:
                return
            before = now

    def run_wrk(self, server, workload, seconds):
        url = f"http://127.0.0.1:{server.port}/graphql"
        script = f"{server.folder}/{workload}.lua"
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", script, url]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        result = json.loads(re.search(r"^RESULT (.*)$", printed, re.M)[1])
        if result["failed"] or result["refused"]:
            sys.exit(f"{server.name}, {workload}: {result}")
        return result

    def measure(self, server, workload):
        server.resume()
        self.run_wrk(server, workload, self.options.warmup)
        self.drain(server)
        if workload == "order" and server.database:
            # As PostgreSQL does by itself within a minute. The tables were empty before.
            self.psql(server.database, "VACUUM ANALYZE")
        before = self.ticks(server)
        result = self.run_wrk(server, workload, self.options.seconds)
        self.drain(server)
        used = self.ticks(server) - before
        server.pause()
        count = result["placed"] if workload == "order" else result["requests"]
        cell = {"rate": count / (result["micros"] / 1e6), "cpu": used * TICK_MS / count, "p50": result["p50"] / 1e3, "p99": result["p99"] / 1e3}
        self.results[workload, server.name].append(cell)

    def measure_all(self):
        for round in range(self.options.rounds):
            for workload in self.workloads:
                order = [server for server in self.servers if self.has_workload(server, workload)]
                at = round % len(order)
                for server in order[at:] + order[:at]:
                    self.measure(server, workload)

    # Results

    def cpu(self, workload, name):
        """Disturbances only add CPU time, so the minimum is the most precise."""
        return min(cell["cpu"] for cell in self.results[workload, name])

    def report(self):
        for workload in self.workloads:
            print(f"\n{TITLES[workload]}")
            names = [server.name for server in self.servers if (workload, server.name) in self.results]
            reference = next((name for name in ("mercurius", "hello") if name in names), names[0])
            # p50 and p99 are those of requests; an order of Mercato takes two.
            print(f"{'':28}{'per second':>12}{'ms of CPU':>12}{'p50 ms':>9}{'p99 ms':>9}{'rate':>8}{'CPU':>7}, relative to {reference}")
            median = lambda name, what: statistics.median(cell[what] for cell in self.results[workload, name])
            for name in names:
                rate, cpu = median(name, "rate"), self.cpu(workload, name)
                print(
                    f"{name:28}{rate:12.0f}{cpu:12.3f}{median(name, 'p50'):9.1f}{median(name, 'p99'):9.1f}"
                    f"{rate / median(reference, 'rate'):8.2f}{cpu / self.cpu(workload, reference):7.2f}",
                    flush=True,
                )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--server", action="append", required=True, help="NAME=BINARY of a version of Mercato")
    parser.add_argument("--hello", help="the server without a database")
    parser.add_argument("--peer", help="the folder of the Node server")
    parser.add_argument("--postgres", type=int, help="the port of PostgreSQL")
    parser.add_argument("--postgres-pid", type=int)
    parser.add_argument("--backends", default="sqlite,postgres")
    parser.add_argument("--caches", choices=["both", "on"], default="both")
    parser.add_argument("--workloads", default=",".join(TITLES))
    parser.add_argument("--products", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    options = parser.parse_args()

    comparison = Comparison(options)
    comparison.start()
    comparison.compare_responses()
    comparison.measure_all()
    comparison.report()


if __name__ == "__main__":
    main()
