"""The load of `restarts.py` and its subscribers, each in its own process.

The load is an open loop: a request's time counts from when it was due, whether or not earlier ones
have completed. Three quarters are different queries of the catalog; the others create carts, add to
them and order them, each order with its own idempotency key. One order in five is sent again later,
and must be answered with the same order. Nothing is retried. Uses only Python's standard library.
"""
import asyncio
import collections
import json
import random
import signal
import time

from hostile_attacks import request_of, summary_of
from hostile_load import ADD, CART, PAGE, PRODUCT, SEARCH, SHOP, take_priority
from restarts_balancer import Message

# Not 127.0.0.1, which is the address of a trusted proxy, the balancer.
ADDRESSES = [f"127.0.0.{n}" for n in range(2, 18)]
CONNECTIONS_PER_ADDRESS = 6
SUBSCRIBER_ADDRESS = "127.0.1.1"
REQUEST_TIMEOUT = 30
REPORT_INTERVAL = 0.5
# Carts that wait to be ordered.
MAX_CARTS = 200
REPEATED_SHARE = 0.2
# The price of everything that is sold.
PRICE = "5.00"
PLACE = """mutation($input: OrderPlaceInput!, $key: String!) {
    orderPlace(input: $input, idempotencyKey: $key) { order { id status } userErrors { code message } }
}"""
EVENTS = """subscription($kinds: [String!], $after: String) {
    events(kinds: $kinds, after: $after) { cursor id kind subjectId }
}"""


class Request:
    """A request: when it was due, its bytes, and what to do with the data of its response, which
    returns why it is wrong, or nothing.
    """

    def __init__(self, kind, document, variables=None, check=None):
        self.kind, self.bytes, self.check, self.due = kind, request_of("POST", document, variables), check, 0.0


class Shopper:
    """Makes the requests, and checks the responses of those that change something."""

    def __init__(self, shop):
        self.shop, self.random = shop, random.Random(7)
        self.carts, self.repeats, self.orders, self.keys = collections.deque(), collections.deque(), [], 0

    def next(self):
        pick, shop = self.random.random(), self.shop
        if pick < 0.30:
            return Request("product", PRODUCT, {"handle": self.random.choice(shop["handles"])})
        if pick < 0.48:
            sort = self.random.choice(["TITLE", "PRICE", "CREATED_AT", "BEST_SELLING"])
            variables = {"first": self.random.randint(8, 20), "sortKey": sort, "reverse": self.random.random() < 0.5}
            return Request("page", PAGE, variables)
        if pick < 0.63:
            return Request("search", SEARCH, {"words": " ".join(self.random.sample(shop["words"], 2))})
        if pick < 0.80:
            return Request("shop", SHOP)
        if pick < 0.86 and len(self.carts) > 1:
            # Only carts that are not about to be ordered: the total would change.
            lines = [{"merchandiseId": self.random.choice(shop["variants"]), "quantity": 1}]
            cart = self.carts.popleft()
            return Request("add to cart", ADD, {"id": cart, "lines": lines}, self.checked("cartLinesAdd"))
        if pick < 0.91 and (self.carts or self.repeats):
            return self.order()
        line = {"merchandiseId": self.random.choice(shop["variants"]), "quantity": 1}
        return Request("create cart", CART, {"input": {"lines": [line]}}, self.created)

    def order(self):
        if self.repeats and (not self.carts or self.random.random() < REPEATED_SHARE):
            variables, order = self.repeats.popleft()
            return Request("repeat order", PLACE, variables, lambda data: self.repeated(data, order))
        self.keys += 1
        payment = {"provider": "test", "token": "tok_ok"}
        order = {"cartId": self.carts.popleft(), "email": f"buyer-{self.keys}@example.com",
                 "expectedTotal": PRICE, "payment": payment}  # fmt: skip
        variables = {"input": order, "key": f"order-{self.keys}"}
        return Request("place order", PLACE, variables, lambda data: self.placed(data, variables))

    @staticmethod
    def checked(mutation):
        return lambda data: json.dumps(data[mutation]["userErrors"]) if data[mutation]["userErrors"] else ""

    def created(self, data):
        if why := self.checked("cartCreate")(data):
            return why
        if len(self.carts) < MAX_CARTS:
            self.carts.append(data["cartCreate"]["cart"]["id"])
        return ""

    def placed(self, data, variables):
        if why := self.checked("orderPlace")(data):
            return why
        order = data["orderPlace"]["order"]
        self.orders.append(order["id"])
        self.repeats.append((variables, order["id"]))
        return "" if order["status"] == "PAID" else f"the order is {order['status']}"

    def repeated(self, data, order):
        again = (data["orderPlace"]["order"] or {}).get("id")
        return "" if again == order else f"sent again, the order {order} became {again}"


class Connection(asyncio.Protocol):
    """A connection of the load, with its pending request, if any."""

    def __init__(self, load):
        self.load, self.transport, self.request, self.response = load, None, None, Message()

    def connection_made(self, transport):
        self.transport = transport

    def send(self, request):
        self.request, self.response = request, Message()
        self.transport.write(request.bytes)

    def data_received(self, data):
        if self.request is not None and self.response.add(data):
            request, response, self.request = self.request, self.response, None
            self.load.complete(self, request, outcome_of(request, response))

    def connection_lost(self, _error):
        request, self.request = self.request, None
        self.load.lose(self, request)


def outcome_of(request, response):
    """Why a request has failed; empty if it has not."""
    status, body = int(response.data[9:12]), bytes(response.data[response.head_end + 4 :])
    if status != 200 or b'"errors":' in body:
        return f"{summary_of(status, body)} {body[:120].decode(errors='replace')}"
    if request.check is None:
        return ""
    try:
        return request.check(json.loads(body)["data"])
    except (ValueError, KeyError, TypeError) as error:
        return f"an unexpected response ({type(error).__name__}): {body[:120].decode(errors='replace')}"


class Load:
    """Sends requests when they are due, until it is told to stop."""

    def __init__(self, port, rate, shop, pipe):
        self.port, self.interval, self.pipe, self.shopper = port, 1 / rate, pipe, Shopper(shop)
        self.free, self.all, self.waiting = collections.deque(), [], collections.deque()
        self.samples, self.failed, self.running, self.due_count, self.lateness = [], [], 0, 0, 0.0

    async def connect(self, address):
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(self), "127.0.0.1", self.port, local_addr=(address, 0)
        )
        self.all.append(connection)
        self.free.append(connection)

    async def run(self):
        for address in ADDRESSES:
            for _ in range(CONNECTIONS_PER_ADDRESS):
                await self.connect(address)
        due = time.monotonic() + 0.1
        reported, is_stopping, deadline = due, False, 0.0
        while True:
            await asyncio.sleep(max(0.0005, min(due - time.monotonic(), 0.02)))
            now = time.monotonic()
            while due <= now and not is_stopping:
                self.lateness = max(self.lateness, now - due)
                request = self.shopper.next()
                request.due, due = due, due + self.interval
                self.due_count += 1
                self.waiting.append(request)
            self.send()
            if now - reported > REPORT_INTERVAL:
                reported = now
                self.give_up(now)
                self.report(False)
                if not is_stopping and self.pipe.poll():
                    is_stopping, deadline = True, now + REQUEST_TIMEOUT
            if is_stopping and (now > deadline or not (self.running or self.waiting)):
                return self.report(True)

    def send(self):
        while self.waiting and self.free:
            self.running += 1
            self.free.popleft().send(self.waiting.popleft())

    def complete(self, connection, request, outcome):
        self.running -= 1
        self.record(request, outcome)
        self.free.append(connection)
        self.send()

    def lose(self, connection, request):
        if connection in self.free:
            self.free.remove(connection)
        if request is not None:
            self.running -= 1
            self.record(request, "closed by the balancer")

    def record(self, request, outcome):
        self.samples.append((request.due, time.monotonic() - request.due, request.kind))
        if outcome:
            self.failed.append((time.time(), request.kind, outcome))

    def give_up(self, now):
        for connection in self.all:
            if connection.request is not None and now - connection.request.due > REQUEST_TIMEOUT:
                request, connection.request = connection.request, None
                connection.transport.abort()
                self.running -= 1
                self.record(request, f"no response in {REQUEST_TIMEOUT} s")

    def report(self, is_last):
        self.pipe.send((self.samples, self.failed, self.due_count, self.lateness, self.shopper.orders if is_last else None))
        self.samples, self.failed = [], []


def run_load(port, rate, shop, pipe):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_priority(-10)
    asyncio.run(Load(port, rate, shop, pipe).run())


# Subscribers


class Lost(Exception):
    """The connection has ended."""


class Subscriber:
    """Follows the event log over a WebSocket, and resumes after its last event when it is closed."""

    def __init__(self, port, key, kinds, after):
        self.port, self.key, self.kinds, self.after = port, key, kinds, after
        self.seen, self.closed, self.problems = [], collections.Counter(), []

    async def run(self):
        while True:
            writer = None
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(SUBSCRIBER_ADDRESS, 0))
                await self.follow(reader, writer)
            except Lost as lost:
                self.closed[str(lost)] += 1
            except (OSError, EOFError) as error:
                self.closed[type(error).__name__] += 1
            finally:
                if writer is not None:
                    writer.close()
            await asyncio.sleep(0.02)

    async def follow(self, reader, writer):
        writer.write(
            b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if head[9:12] != b"101":
            raise Lost(f"rejected {head[9:12].decode()}")
        send(writer, 1, {"type": "connection_init", "payload": {"Authorization": f"Bearer {self.key}"}})
        variables = {"kinds": self.kinds, "after": self.after}
        send(writer, 1, {"id": "1", "type": "subscribe", "payload": {"query": EVENTS, "variables": variables}})
        while True:
            kind, data = await frame(reader)
            if kind == 8:
                raise Lost(f"closed {int.from_bytes(data[:2], 'big')}")
            if kind == 9:
                send(writer, 10, data)
            elif kind == 1:
                self.take(writer, json.loads(data))

    def take(self, writer, message):
        if message["type"] == "ping":
            send(writer, 1, {"type": "pong"})
        elif message["type"] == "next" and (event := (message["payload"].get("data") or {}).get("events")):
            self.after = event["cursor"]
            self.seen.append((event["id"], event["kind"], event["subjectId"]))
        elif message["type"] in ("next", "error", "complete"):
            self.problems.append(json.dumps(message)[:300])
            raise Lost(message["type"])


def send(writer, kind, message):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    # Masked with zeros, which leaves it unchanged.
    writer.write(bytes([0x80 | kind]) + size + b"\0\0\0\0" + data)


async def frame(reader):
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    return first & 0x0F, await reader.readexactly(length)


async def subscribe(port, key, kinds, after, count, pipe):
    """Follows the log with some subscribers. Told `audit`, it reads the log again with another one,
    from the same cursor on, until told to stop; then it reports what each has seen.
    """
    subscribers = [Subscriber(port, key, kinds, after) for _ in range(count)]
    tasks = [asyncio.ensure_future(one.run()) for one in subscribers]
    while True:
        await asyncio.sleep(0.1)
        if not pipe.poll():
            continue
        order = pipe.recv()
        if order == "audit":
            subscribers.append(Subscriber(port, key, kinds, after))
            tasks.append(asyncio.ensure_future(subscribers[-1].run()))
        elif order == "counts":
            pipe.send([len(one.seen) for one in subscribers])
        else:
            break
    for task in tasks:
        task.cancel()
    pipe.send([(one.seen, one.closed, one.problems) for one in subscribers])


def run_subscribers(port, key, kinds, after, count, pipe):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(subscribe(port, key, kinds, after, count, pipe))


async def first_cursor(port, key, kinds, pipe):
    """Reports the cursor of the first event that arrives."""
    one = Subscriber(port, key, kinds, None)
    task = asyncio.ensure_future(one.run())
    while one.after is None:
        await asyncio.sleep(0.02)
    pipe.send(one.after)
    task.cancel()


def run_cursor(port, key, kinds, pipe):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(first_cursor(port, key, kinds, pipe))
