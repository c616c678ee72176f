"""The attacks of `hostile.py`: each in its own process, from one address, with limited requests,
connections and time.

`ROWS` lists them all; `run` is the process. It reports the most common responses, and whether the
server closed the connections that were held open. Uses only Python's standard library.
"""
import asyncio
import collections
import dataclasses
import json
import os
import re
import resource
import select
import signal
import socket
import time
import urllib.parse

import hostile_documents as documents_of

# Requests per second of an attack, and concurrent requests.
MAX_RATE = 100
MAX_CONCURRENT = 32
# Concurrent sign-ins, and idle connections.
MANY_CONNECTIONS = 900
SLOW_READERS = 64
# How long endless connections are held: a little longer than the longest timeout of the server.
HOLD_SECONDS = 75
STARTED = ("started", False)
RESPONSE_TIMEOUT = 20
# How much of a response is kept, from its beginning and its end.
KEPT_BYTES = 32_768
CODE = re.compile(rb'"code":\s*"([A-Z_]+)"')
SCARCE_PRODUCTS, SCARCE_STOCK = 2, 100_000
SCARCE_PRODUCT_OF = {"POST": 0, "WS": 1}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

PLACE = """mutation($input: OrderPlaceInput!) {
    orderPlace(input: $input) { order { id status } userErrors { code message } }
}"""
CREATE_CART = """mutation($input: CartInput!) {
    cartCreate(input: $input) { cart { id cost { totalAmount { amount } } } userErrors { code } }
}"""
SUBSCRIBE = "subscription($ids: [ID!]!) { inventoryLevelUpdated(variantIds: $ids) { cursor } }"


def order_of(cart, units):
    """An unpaid order for this many units of the scarce product."""
    payment = {"provider": "manual"}
    return {"input": {"cartId": cart, "email": "eve@example.com", "expectedTotal": f"{units}.00", "payment": payment}}


# The state of an attack


@dataclasses.dataclass
class Attack:
    """Everything that an attack's process needs."""

    row: str
    transport: str
    port: int
    source: str
    seconds: float
    hold: float
    shop: dict
    answers: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    end: float = 0.0
    sent: int = 0
    slot: float = 0.0

    async def next_turn(self):
        """Waits until the next request is due; returns its number, or `None` when the attack is
        over.
        """
        now = time.monotonic()
        self.slot = max(now, self.slot) + 1 / MAX_RATE
        await asyncio.sleep(self.slot - now)
        if time.monotonic() >= self.end:
            return None
        self.sent += 1
        return self.sent - 1

    def described(self):
        total = sum(self.answers.values())
        summaries = [f"{name} ({count} of {total})" for name, count in self.answers.most_common(3) if count * 10 >= total]
        return ", ".join(summaries[:2]) or "no response"


def summary_of(status, body):
    """A summary of a response: its status and the code of its first error."""
    code = CODE.search(body)
    return f"{status} {code[1].decode()}" if code else f"{status} ok" if status == 200 else str(status)


# HTTP


def request_of(transport, document, variables=None):
    variables = variables or {}
    if transport == "GET":
        query = urllib.parse.urlencode({"query": document, "variables": json.dumps(variables)})
        return f"GET /graphql?{query} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n".encode()
    body = json.dumps({"query": document, "variables": variables}).encode()
    head = f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def connect(attack):
    return await asyncio.wait_for(
        asyncio.open_connection("127.0.0.1", attack.port, local_addr=(attack.source, 0)), RESPONSE_TIMEOUT
    )


async def read_response(reader):
    """The status, the beginning and end of the body, and whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.find(b"content-length:")
    left = int(head[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0
    first, last = b"", b""
    while left:
        some = await reader.read(min(left, 65_536))
        if not some:
            raise ConnectionError
        left -= len(some)
        if len(first) < KEPT_BYTES:
            first += some
        else:
            last = (last + some)[-KEPT_BYTES:]
    return int(head[9:12]), first + last, at >= 0 and b"connection: close" not in head


async def by_http(attack, documents):
    """Opens one connection after another, each for as many requests as the server accepts on it."""
    reader = writer = None
    while (n := await attack.next_turn()) is not None:
        try:
            if writer is None:
                reader, writer = await connect(attack)
            writer.write(request_of(attack.transport, *documents(n)))
            status, body, goes_on = await asyncio.wait_for(read_response(reader), RESPONSE_TIMEOUT)
            attack.answers[summary_of(status, body)] += 1
        except (OSError, EOFError, ValueError) as error:
            attack.answers[error_name(error)] += 1
            goes_on = False
        if not goes_on and writer is not None:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


def error_name(error):
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return f"none in {RESPONSE_TIMEOUT} s"
    return "not connected" if isinstance(error, ConnectionRefusedError) else "closed"


# WebSocket


class Socket:
    """A WebSocket connection in the protocol `graphql-transport-ws`."""

    def __init__(self, attack):
        self.attack, self.reader, self.writer = attack, None, None

    async def open(self, authenticate=True):
        self.reader, self.writer = await connect(self.attack)
        self.writer.write(
            b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), RESPONSE_TIMEOUT)
        if head[9:12] != b"101":
            return head[9:12].decode()
        if authenticate:
            self.send({"type": "connection_init"})
            return await self.receive(lambda message: message["type"] == "connection_ack" and "open")
        return "open"

    def send(self, message):
        data = json.dumps(message).encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
        if len(data) >= 65_536:
            size = b"\xff" + len(data).to_bytes(8, "big")
        # Masked with zeros, which leaves it unchanged.
        self.writer.write(b"\x81" + size + b"\0\0\0\0" + data)

    def subscribe(self, n, document, variables):
        payload = {"query": document, "variables": variables or {}}
        self.send({"id": str(n), "type": "subscribe", "payload": payload})

    async def receive(self, wanted):
        """Reads until `wanted` returns something for a message; otherwise returns how the socket
        was closed.
        """
        while True:
            kind, data = await asyncio.wait_for(self.frame(), RESPONSE_TIMEOUT)
            if kind == 8:
                return f"closed {int.from_bytes(data[:2], 'big')}"
            if kind == 1 and (found := wanted(shortened(data))):
                return found

    async def frame(self):
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
        data = b""
        while length:
            some = await self.reader.read(min(length, 65_536))
            if not some:
                raise ConnectionError
            length -= len(some)
            data = data + some if len(data) < 2 * KEPT_BYTES else data
        return first & 0x0F, data

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.writer = None


def shortened(data):
    """A message's type, and the code of its error, if any, without parsing large content."""
    kind = re.search(rb'"type":\s*"([a-z_]+)"', data)
    code = CODE.search(data)
    return {"type": kind[1].decode() if kind else "", "code": code[1].decode() if code else ""}


def outcome_of(message):
    if message["type"] in ("next", "error"):
        return f"{message['type']} {message['code'] or 'ok'}"
    return "complete" if message["type"] == "complete" else None


async def by_socket(attack, documents):
    """Sends one operation after another on a socket, and opens a new socket when it is closed."""
    made = Socket(attack)
    while (n := await attack.next_turn()) is not None:
        try:
            if made.writer is None and (state := await made.open()) != "open":
                attack.answers[state] += 1
                made.close()
                continue
            made.subscribe(n, *documents(n))
            answer = await made.receive(outcome_of)
            attack.answers[answer] += 1
            if answer.startswith("closed"):
                made.close()
        except (OSError, EOFError, ValueError) as error:
            attack.answers[error_name(error)] += 1
            made.close()
    made.close()


# Attacks


async def flood(attack, documents):
    work = by_socket if attack.transport == "WS" else by_http
    await together(attack, [work(attack, documents) for _ in range(MAX_CONCURRENT)])


async def together(attack, works):
    """Runs everything until the attack ends; counts requests that have no response by then."""
    tasks = [asyncio.create_task(work) for work in works]
    _, pending = await asyncio.wait(tasks, timeout=max(0, attack.end - time.monotonic()) + 0.5)
    for task in pending:
        attack.answers["no response at the end"] += 1
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def many_sign_ins(attack):
    """H1: many concurrent connections, each with one wrong password."""

    async def one(n):
        try:
            reader, writer = await connect(attack)
            try:
                writer.write(request_of("POST", *documents_of.one_guess(n)))
                status, body, _ = await asyncio.wait_for(read_response(reader), RESPONSE_TIMEOUT)
                attack.answers[summary_of(status, body)] += 1
            finally:
                writer.close()
        except (OSError, EOFError, ValueError) as error:
            attack.answers[error_name(error)] += 1

    async def socket_of(n):
        made = Socket(attack)
        try:
            if (state := await made.open()) != "open":
                attack.answers[state] += 1
                return
            for k in range(25):
                made.subscribe(k, *documents_of.one_guess(100 * n + k))
            for _ in range(25):
                answer = await made.receive(lambda message: message["type"] in ("next", "error") and outcome_of(message))
                attack.answers[answer] += 1
                if answer.startswith("closed"):
                    return
        except (OSError, EOFError, ValueError) as error:
            attack.answers[error_name(error)] += 1
        finally:
            made.close()

    works = [socket_of(n) for n in range(MANY_CONNECTIONS // 25)] if attack.transport == "WS" else [one(n) for n in range(MANY_CONNECTIONS)]
    await together(attack, works)


async def retained_variables(attack):
    """H6: many live operations, each with large unused variables."""
    shop = attack.shop["scarce_variants"]

    async def sockets(size):
        made = Socket(attack)
        try:
            if (state := await made.open()) != "open":
                attack.answers[state] += 1
                return
            for n in range(100):
                if await attack.next_turn() is None:
                    break
                made.subscribe(n, SUBSCRIBE, {"ids": shop[:1], "unused": f"{n}" + "x" * size})
                await made.writer.drain()
                attack.answers["subscribed"] += 1
            answer = await made.receive(lambda message: message["type"] == "error" and outcome_of(message))
            attack.answers[answer] += 100
        except (OSError, EOFError, ValueError) as error:
            attack.answers[error_name(error)] += 1
        finally:
            made.close()

    async def post():
        await by_http(attack, lambda n: ("{ __typename }", {"unused": f"{n}" + "x" * 1_000_000}))

    if attack.transport == "WS":
        await together(attack, [sockets(size) for size in (1_000_000, 100_000, 100_000, 20_000)])
    else:
        await together(attack, [post() for _ in range(MAX_CONCURRENT)])


async def reserve_all_stock(attack):
    """H7: carts with all available stock, ordered and never paid for."""
    variant = attack.shop["scarce_variants"][SCARCE_PRODUCT_OF[attack.transport]]

    async def send(made, reader, writer, n, document, variables):
        if made is None:
            writer.write(request_of("POST", document, variables))
            return (await asyncio.wait_for(read_response(reader), RESPONSE_TIMEOUT))[:2]
        made.subscribe(n, document, variables)
        while True:
            kind, data = await asyncio.wait_for(made.frame(), RESPONSE_TIMEOUT)
            if kind == 8 or b'"next"' in data or b'"error"' in data:
                return 200, data

    async def buyer(first):
        quantities = [SCARCE_STOCK, SCARCE_STOCK // 2, SCARCE_STOCK // 5, 1_000, 100]
        made = Socket(attack) if attack.transport == "WS" else None
        try:
            reader = writer = None
            if made is None:
                reader, writer = await connect(attack)
            elif (state := await made.open()) != "open":
                attack.answers[state] += 1
                return
            while (n := await attack.next_turn()) is not None:
                units = quantities[(n + first) % len(quantities)]
                lines = {"input": {"lines": [{"merchandiseId": variant, "quantity": units}]}}
                status, body = await send(made, reader, writer, 2 * n, CREATE_CART, lines)
                cart = re.search(rb'gid://mercato/Cart/[^"]+', body)
                if not cart:
                    attack.answers["no cart: " + summary_of(status, body)] += 1
                    continue
                order = order_of(cart[0].decode().replace("\\u0026", "&"), units)
                status, body = await send(made, reader, writer, 2 * n + 1, PLACE, order)
                attack.answers["ordered" if b"PENDING_PAYMENT" in body else summary_of(status, body)] += 1
        except (OSError, EOFError, ValueError) as error:
            attack.answers[error_name(error)] += 1
        finally:
            if made is not None:
                made.close()

    await together(attack, [buyer(n) for n in range(8)])


# Connections that are held open


def hold_open(attack, count, start):
    """H4: opens this many connections, sends the result of `start` on each, reads nothing, and
    records when they are closed.
    """
    poll, held, closed, tried, refused = select.poll(), {}, [], 0, 0
    began = time.monotonic()
    for n in range(count):
        if time.monotonic() >= attack.end:
            break
        tried += 1
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        made.settimeout(2)
        try:
            made.bind((attack.source, 0))
            made.connect(("127.0.0.1", attack.port))
            made.setblocking(False)
            if attack.transport == "WS" and not upgraded(made):
                raise ConnectionError
            made.send(start(n))
        except BlockingIOError:
            pass
        except OSError:
            refused += 1
            made.close()
            continue
        held[made.fileno()] = made
        poll.register(made, select.POLLRDHUP)
    opened = len(held)
    deadline = attack.end + attack.hold
    while held and time.monotonic() < deadline:
        for descriptor, _ in poll.poll(200):
            poll.unregister(descriptor)
            held.pop(descriptor).close()
            closed.append(time.monotonic() - began)
    at_once = sum(1 for after in closed if after < 3)
    kept = opened - at_once
    later = [after for after in closed if after >= 3]
    summary = f"{kept} of {tried} connections kept, {refused + at_once} refused"
    if kept and attack.hold:
        summary += f"; {len(later)} closed" + (f" by {max(later):.0f} s" if later else "")
    for made in held.values():
        made.close()
    return summary, not held


def upgraded(made):
    made.settimeout(2)
    made.sendall(
        b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
    is_upgraded = made.recv(4_096).startswith(b"HTTP/1.1 101")
    made.setblocking(False)
    return is_upgraded


def partial_head(n):
    return b"GET /graphql?query={__typename} HTTP/1.1\r\nHost: localhost\r\nX-More: " + b"x" * (n % 2 * 4_000)


def partial_body(n):
    size = 100_000 if n % 2 else 900
    return request_of("POST", "{ __typename }" + " " * size, None)[: -size // 2]


def http2_preface(n):
    settings = b"\0\0\0\x04\0\0\0\0\0"
    return PREFACE[:10] if n % 3 == 0 else PREFACE if n % 3 == 1 else PREFACE + settings


def unread_responses(transport):
    def start(n):
        document = documents_of.LARGE.replace("250", str(250 - n % 5))
        if transport != "WS":
            return request_of(transport, document, None) * 30
        messages = [{"type": "connection_init"}]
        messages += [{"id": str(k), "type": "subscribe", "payload": {"query": document}} for k in range(20)]
        frames = b""
        for message in messages:
            data = json.dumps(message).encode()
            size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
            frames += b"\x81" + size + b"\0\0\0\0" + data
        return frames

    return start


def unauthenticated(n):
    """A socket that never authenticates; every second one stops in the middle of a frame."""
    return b"\x81\xfe\x01\0\0\0\0\0{" if n % 2 else b""


async def all_at_once(attack):
    """Everything that SIGTERM has to end: partial bodies, idle sockets, unread responses, and
    running queries.
    """
    made = []
    for transport, count, start in [("POST", 20, partial_body), ("TCP", 50, lambda _: b""), ("GET", 20, partial_head),
                                    ("POST", 20, unread_responses("POST")), ("WS", 10, unread_responses("WS")), ("WS", 10, unauthenticated)]:  # fmt: skip
        for n in range(count):
            one = socket.socket()
            one.settimeout(2)
            try:
                one.bind((attack.source, 0))
                one.connect(("127.0.0.1", attack.port))
                if transport == "WS":
                    upgraded(one)
                one.setblocking(False)
                one.send(start(n))
            except OSError:
                pass
            made.append(one)
    attack.transport = "POST"
    await flood(attack, documents_of.heavy)


# The rows


@dataclasses.dataclass(frozen=True)
class Row:
    """An attack: its name, its description, and its variants."""

    name: str
    title: str
    transports: tuple
    # A coroutine or a function that takes an `Attack`.
    start: object
    # Whether it continues until the server's timeouts end it.
    holds: bool = False
    # What else has to work in the meantime: the owner's `sign-in`, or an `order` for one unit.
    checks: str = ""


ALL = ("POST", "GET", "WS")


def flooding(documents):
    return lambda attack: flood(attack, documents)


def holding(count, start):
    return lambda attack: hold_open(attack, count, start if start is not unread_responses else unread_responses(attack.transport))


ROWS = [
    Row("C1", "2,000 nested brackets", ALL, flooding(documents_of.nested)),
    Row("C2", "fragments that double", ALL, flooding(documents_of.doubling)),
    Row("C3", "pages of 250 nested in one another", ALL, flooding(documents_of.pages)),
    Row("C3-schema", "introspection that multiplies", ALL, flooding(documents_of.introspection)),
    Row("C3-permitted", "the most expensive permitted pages", ALL, flooding(documents_of.permitted)),
    Row("C4", "thousands of aliases, conflicts, directives", ALL, flooding(documents_of.aliases)),
    Row("H1", "900 wrong passwords at once", ("POST", "WS"), many_sign_ins, checks="sign-in"),
    Row("H2", "the owner's password guessed", ("POST", "WS"), flooding(documents_of.many_guesses), checks="sign-in"),
    Row("H3", "searches of 26 prefixes, 20 in one", ALL, flooding(documents_of.searches)),
    Row("H4-idle", "connections that send nothing", ("TCP",), holding(MANY_CONNECTIONS, lambda _: b""), holds=True),
    Row("H4-heads", "partial request heads", ("GET",), holding(MANY_CONNECTIONS, partial_head), holds=True),
    Row("H4-bodies", "partial request bodies", ("POST",), holding(MANY_CONNECTIONS, partial_body), holds=True),
    Row("H4-http2", "an HTTP/2 preface", ("TCP",), holding(MANY_CONNECTIONS, http2_preface), holds=True),
    Row("H4-unread", "responses that are never read", ALL, holding(SLOW_READERS, unread_responses), holds=True),
    Row("H4-unknown", "sockets that never authenticate", ("WS",), holding(300, unauthenticated), holds=True),
    Row("H5", "different documents of 16 kB", ALL, flooding(documents_of.large_documents)),
    Row("H6", "live operations with 1 MB of variables", ("POST", "WS"), retained_variables),
    Row("H7", "all stock ordered, unpaid", ("POST", "WS"), reserve_all_stock, checks="order"),
]
SIGTERM_ROW = Row("SIGTERM", "all kinds at once during SIGTERM", ("all",), all_at_once)


def run(attack, report):
    """Runs an attack in its process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (maximum, maximum))
    os.nice(10)
    row = next(row for row in [*ROWS, SIGTERM_ROW] if row.name == attack.row)
    report.send(STARTED)
    attack.end = time.monotonic() + attack.seconds
    if row.holds:
        result = row.start(attack)
    else:
        asyncio.run(row.start(attack))
        result = attack.described(), True
    report.send(result)
