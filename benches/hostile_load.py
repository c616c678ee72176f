"""The normal load of `hostile.py` and its monitoring, each in its own process.

The load is an open loop: a request's time counts from when it was due, so a server that makes its
clients wait still gets the requests that they would have sent in the meantime. Only delays of this
process itself are excluded. Uses only Python's standard library.
"""
import collections
import os
import random
import select
import signal
import socket
import threading
import time

from hostile_attacks import request_of, summary_of

SAMPLE_INTERVAL = 0.1
REQUEST_TIMEOUT = 10
LOAD_ADDRESSES = [f"127.0.0.{n}" for n in range(1, 17)]
HEALTH_ADDRESS = "127.0.2.1"
CART = """mutation($input: CartInput!) {
    cartCreate(input: $input) { cart { id cost { totalAmount { amount } } } userErrors { code message } }
}"""
ADD = """mutation($id: ID!, $lines: [CartLineInput!]!) {
    cartLinesAdd(cartId: $id, lines: $lines) { cart { totalQuantity } userErrors { code } }
}"""
PAGE = """query($first: Int!, $sortKey: ProductSortKeys, $reverse: Boolean) {
    products(first: $first, sortKey: $sortKey, reverse: $reverse) { nodes {
        id handle title availableForSale priceRange { minVariantPrice { amount currencyCode } }
        variants(first: 10) { nodes { id title price { amount currencyCode } quantityAvailable } }
        collections(first: 5) { nodes { handle title } }
    } pageInfo { hasNextPage endCursor } }
}"""
PRODUCT = """query($handle: String!) {
    product(handle: $handle) {
        id title descriptionHtml options { name values } images(first: 10) { nodes { url altText } }
        variants(first: 100) { nodes { id title sku price { amount currencyCode } quantityAvailable } }
    }
}"""
SEARCH = "query($words: String!) { products(first: 12, query: $words, sortKey: RELEVANCE) { nodes { id title handle } } }"
SHOP = "{ shop { name description primaryDomain { url } } }"


def take_priority(change):
    """Changes the priority of this process, if the system permits it."""
    try:
        os.nice(change)
    except PermissionError:
        pass


class Connection:
    """A connection of the load, with its pending request, if any."""

    def __init__(self, address):
        self.address, self.socket, self.request = address, None, None
        self.unsent, self.received, self.needed = b"", bytearray(), None


class Load:
    """An open loop: requests are sent when they are due, whether or not earlier ones have
    completed.
    """

    def __init__(self, port, rate, shop, report):
        self.port, self.interval, self.shop, self.report = port, 1 / rate, shop, report
        self.random, self.epoll, self.open = random.Random(7), select.epoll(), {}
        self.free = collections.deque(Connection(address) for _ in range(4) for address in LOAD_ADDRESSES)
        self.waiting, self.samples, self.lateness = collections.deque(), [], 0.0

    def next_request(self):
        pick, shop = self.random.random(), self.shop
        if pick < 0.35:
            return request_of("POST", PRODUCT, {"handle": self.random.choice(shop["handles"])})
        if pick < 0.65:
            sort = self.random.choice(["TITLE", "PRICE", "CREATED_AT", "BEST_SELLING"])
            variables = {"first": self.random.randint(8, 20), "sortKey": sort, "reverse": self.random.random() < 0.5}
            return request_of("POST", PAGE, variables)
        if pick < 0.80:
            return request_of("POST", SEARCH, {"words": " ".join(self.random.sample(shop["words"], 2))})
        if pick < 0.95:
            return request_of("POST", SHOP)
        line = {"merchandiseId": self.random.choice(shop["variants"]), "quantity": 1}
        # An address may create 300 carts per hour, so most requests add to an existing one.
        if pick < 0.995:
            return request_of("POST", ADD, {"id": self.random.choice(shop["carts"]), "lines": [line]})
        return request_of("POST", CART, {"input": {"lines": [line]}})

    def run(self):
        due = time.monotonic() + 0.1
        reported = due
        while True:
            events = self.epoll.poll(max(0.0, min(due - time.monotonic(), 0.05)))
            now = time.monotonic()
            for descriptor, event in events:
                self.handle_event(self.open[descriptor], event, now)
            while due <= now:
                # Delays in waking this process are not the server's.
                self.lateness = max(self.lateness, now - due)
                self.waiting.append((now, self.next_request()))
                due += self.interval
            while self.waiting and self.free:
                self.send(self.free.popleft(), self.waiting.popleft(), now)
            if now - reported > 0.25:
                self.give_up(now)
                self.report.send((self.samples, self.lateness, self.oldest(now)))
                self.samples, self.lateness, reported = [], 0.0, now

    def oldest(self, now):
        """When the oldest unanswered request was due."""
        waiting = [connection.request[0] for connection in self.open.values() if connection.request]
        return min([*waiting, self.waiting[0][0] if self.waiting else now, now])

    def send(self, connection, request, now):
        connection.request, connection.unsent = request, request[1]
        if connection.socket is None:
            made = socket.socket()
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                made.bind((connection.address, 0))
                made.connect_ex(("127.0.0.1", self.port))
            except OSError:
                made.close()
                return self.end(connection, now, "not connected")
            connection.socket, self.open[made.fileno()] = made, connection
            self.epoll.register(made, select.EPOLLIN | select.EPOLLOUT)
        else:
            self.epoll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT)

    def handle_event(self, connection, event, now):
        if connection.socket is None:
            return
        try:
            if event & select.EPOLLOUT and connection.unsent:
                sent = connection.socket.send(connection.unsent)
                connection.unsent = connection.unsent[sent:]
                if not connection.unsent:
                    self.epoll.modify(connection.socket, select.EPOLLIN)
            if event & ~select.EPOLLOUT:
                received = connection.socket.recv(262_144)
                if not received:
                    raise ConnectionError
                connection.received += received
                self.read(connection, now)
        except BlockingIOError:
            pass
        except OSError:
            has_begun = bool(connection.received)
            request = connection.request
            self.close(connection)
            if request and not has_begun and len(request) == 2:
                # The kept-alive connection was closed as the request was sent: retry once on a new
                # one.
                self.send(connection, (*request, True), now)
            else:
                self.end(connection, now, "closed")

    def read(self, connection, now):
        if connection.needed is None:
            end = connection.received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(connection.received[:end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0
            connection.needed = end + 4 + length
        if len(connection.received) < connection.needed:
            return
        answer = connection.received
        status = bytes(answer[9:12])
        outcome = "" if status == b"200" and b'"errors":' not in answer else summary_of(int(status), answer)
        must_close = b"\r\nconnection: close" in answer[:1000].lower()
        connection.received, connection.needed = bytearray(), None
        if must_close:
            self.close(connection)
        self.end(connection, now, outcome)

    def end(self, connection, now, outcome):
        if connection.request:
            started = connection.request[0]
            self.samples.append((started, now - started, outcome))
            connection.request = None
            self.free.append(connection)

    def close(self, connection):
        if connection.socket is not None:
            self.open.pop(connection.socket.fileno(), None)
            connection.socket.close()
        connection.socket, connection.unsent = None, b""
        connection.received, connection.needed = bytearray(), None

    def give_up(self, now):
        for connection in list(self.open.values()):
            if connection.request and now - connection.request[0] > REQUEST_TIMEOUT:
                self.close(connection)
                self.end(connection, now, "timeout")
        while self.waiting and now - self.waiting[0][0] > REQUEST_TIMEOUT:
            self.samples.append((self.waiting.popleft()[0], REQUEST_TIMEOUT, "timeout"))


def run_load(port, rate, shop, report):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_priority(-10)
    Load(port, rate, shop, report).run()


# Monitoring


def resident_mb(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return None


def run_monitoring(port, pid, report):
    """Requests `/health` on a new connection each time, and samples memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_priority(-10)
    lock = threading.Lock()

    def send(*sample):
        with lock:
            report.send(sample)

    def watch_health():
        while True:
            started = time.monotonic()
            try:
                with socket.create_connection(("127.0.0.1", port), 5, (HEALTH_ADDRESS, 0)) as made:
                    made.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    status = made.recv(65_536)[9:12].decode()
                problem = "" if status == "200" else status or "closed"
            except OSError as error:
                problem = type(error).__name__
            took = time.monotonic() - started
            send("health", started, took, problem)
            time.sleep(max(0.0, SAMPLE_INTERVAL - took))

    threading.Thread(target=watch_health, daemon=True).start()
    while True:
        size = resident_mb(pid)
        if size is not None:
            send("memory", time.monotonic(), size, "")
        time.sleep(SAMPLE_INTERVAL)


class Watcher:
    """What the load and the monitoring have reported so far."""

    def __init__(self, context, port, pid, rate, shop):
        self.latencies, self.health, self.memory, self.late = [], [], [], []
        self.answered_until, self.children = 0.0, []
        for target, arguments, take in [
            (run_load, (port, rate, shop), self.take_load),
            (run_monitoring, (port, pid), self.take_watch),
        ]:
            receiver, sender = context.Pipe(False)
            child = context.Process(target=target, args=(*arguments, sender), daemon=True)
            child.start()
            sender.close()
            threading.Thread(target=self.drain, args=(receiver, take), daemon=True).start()
            self.children.append(child)

    @staticmethod
    def drain(receiver, take):
        try:
            while True:
                take(receiver.recv())
        except (EOFError, OSError):
            pass

    def take_load(self, report):
        samples, lateness, self.answered_until = report
        self.latencies += samples
        self.late.append((time.monotonic(), lateness))

    def take_watch(self, report):
        kind, *sample = report
        (self.health if kind == "health" else self.memory).append(sample)

    def p99(self, start, end):
        """The times in milliseconds of the requests that were due in this period, how many failed,
        and why.
        """
        found = [sample for sample in list(self.latencies) if start <= sample[0] < end]
        failed = collections.Counter(outcome for _, _, outcome in found if outcome)
        times = sorted(float("inf") if outcome else took for _, took, outcome in found)
        if not times:
            return float("inf"), failed, 0
        return times[min(len(times) - 1, int(len(times) * 0.99))] * 1000, failed, len(times)

    def worst_health(self, start, end):
        found = [sample for sample in list(self.health) if start <= sample[0] < end]
        problems = [problem for _, _, problem in found if problem]
        worst = max((took for _, took, _ in found), default=float("inf")) * 1000
        return worst, problems[0] if problems else ""

    def sizes(self, start, end):
        return [size for at, size, _ in list(self.memory) if start <= at < end]

    def settle(self):
        """Waits until all requests due by now have been answered or abandoned."""
        now = time.monotonic()
        while self.answered_until < now and time.monotonic() < now + REQUEST_TIMEOUT + 2:
            time.sleep(0.05)

    def end(self):
        for child in self.children:
            child.kill()
            child.join()
