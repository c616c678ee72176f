#!/usr/bin/env python3
"""Replays baskets as live orders over HTTP, and checks all totals and stock levels.

    benches/replay.py URL BASKETS.jsonl [--token TOKEN] [--threads N]
        [--provider NAME] [--payment-token TEXT]

URL is that of the server (http://127.0.0.1:8000), whose shop has the products that the baskets
refer to by SKU. TOKEN is a bearer token with all permissions; by default, that of the environment
variable ADMIN_TOKEN. BASKETS.jsonl has one basket per line:
{"invoice": "536365", "cancelled": false, "lines": [{"sku": "85123A", "quantity": 6}, …]}.

First, stock is set high enough for all baskets. Then each basket becomes a cart, and the cart an
order at the prices of the catalog; canceled baskets are ordered and then canceled. At the end, it
checks that
- every order's total is exactly the sum of its parts, and these are the sums over its lines;
- the available stock of every variant has decreased by exactly what was sold.
Reports all differences, and exits with 1 if there are any. Uses only Python's standard library.
"""
import argparse
import collections
import concurrent.futures
import http.client
import json
import os
import sys
import threading
import time
import urllib.parse
from decimal import Decimal

# Maximum number of lines per mutation, and of stock levels per mutation.
MAX_INPUTS = 250
# Units of each variant in excess of what all baskets need.
SPARE_UNITS = 10
TIMEOUT = 60
ADDRESS = {"firstName": "Ada", "lastName": "Lovelace", "address1": "12 St James's Square", "city": "London", "zip": "SW1Y 4JH"}

VARIANTS = """
query Variants($after: String) {
  products(first: 50, after: $after) {
    nodes { variants(first: 250) { nodes {
      id sku price { amount } inventoryLevels { available onHand reserved location { id isActive } }
    } } }
    pageInfo { hasNextPage endCursor }
  }
}"""
LOCATIONS = "{ locations(first: 250) { nodes { id name isActive } } }"
ZONES = "{ shippingZones(first: 1) { nodes { id } } }"
ZONE = """
mutation Zone($zone: ShippingZoneCreateInput!) {
  shippingZoneCreate(shippingZone: $zone) { shippingZone { id } userErrors { field message code } }
}"""
RATE = """
mutation Rate($rate: ShippingRateCreateInput!) {
  shippingRateCreate(shippingRate: $rate) { shippingRate { id } userErrors { field message code } }
}"""
SET_STOCK = """
mutation Stock($input: InventoryQuantitiesSetInput!) {
  inventoryQuantitiesSet(input: $input) { userErrors { field message code } }
}"""
CART = """
  id
  cost { totalAmount { amount } }
  deliveryGroups(first: 10) { nodes { id deliveryOptions { handle } selectedDeliveryOption { handle } } }
"""
CART_CREATE = "mutation Cart($input: CartInput!) { cartCreate(input: $input) { cart {" + CART + "} userErrors { field message code } } }"
LINES_ADD = (
    "mutation Lines($cartId: ID!, $lines: [CartLineInput!]!) {"
    " cartLinesAdd(cartId: $cartId, lines: $lines) { cart {" + CART + "} userErrors { field message code } } }"
)
SELECT = (
    "mutation Select($cartId: ID!, $options: [CartSelectedDeliveryOptionInput!]!) {"
    " cartSelectedDeliveryOptionsUpdate(cartId: $cartId, selectedDeliveryOptions: $options) {"
    " cart {" + CART + "} userErrors { field message code } } }"
)
PLACE = """
mutation Place($input: OrderPlaceInput!, $key: String!) {
  orderPlace(input: $input, idempotencyKey: $key) { order { id name } userErrors { field message code } }
}"""
CANCEL = """
mutation Cancel($id: ID!, $key: String!) {
  orderCancel(id: $id, input: { reason: CUSTOMER }, idempotencyKey: $key) { order { id status } userErrors { field message code } }
}"""
ORDER = """
query Order($id: ID!, $after: String) {
  order(id: $id) {
    name status taxesIncluded
    subtotalPrice { amount } totalDiscounts { amount } totalShippingPrice { amount } totalTax { amount } totalPrice { amount }
    shippingLine { originalPrice { amount } taxLines { price { amount } } }
    shippingDiscountAllocations { allocatedAmount { amount } }
    lineItems(first: 250, after: $after) {
      nodes {
        sku quantity originalUnitPrice { amount } originalTotalPrice { amount } discountedTotalPrice { amount }
        discountAllocations { allocatedAmount { amount } } taxLines { price { amount } }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""


class RequestFailed(Exception):
    """The server did not do what was requested."""


class Shop:
    """A client of the server, with one connection per thread."""

    def __init__(self, url, token):
        self.url = urllib.parse.urlsplit(url)
        self.token = token
        self.local = threading.local()

    def post(self, document, variables, as_staff):
        body = json.dumps({"query": document, "variables": variables})
        headers = {"content-type": "application/json"}
        if as_staff:
            headers["authorization"] = f"Bearer {self.token}"
        for is_last in (False, True):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = http.client.HTTPConnection(self.url.hostname, self.url.port or 80, timeout=TIMEOUT)
                self.local.connection = connection
            try:
                connection.request("POST", "/graphql", body, headers)
                return json.loads(connection.getresponse().read())
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # An idle connection was closed. Retrying is safe: the request has an idempotency
                # key or only creates a cart.
                connection.close()
                self.local.connection = None
                if is_last:
                    raise

    def ask(self, document, variables=None, as_staff=False):
        """Returns the data of a response, which must have no errors."""
        answer = self.post(document, variables or {}, as_staff)
        if answer.get("errors"):
            raise RequestFailed("; ".join(error["message"] for error in answer["errors"]))
        for field, value in answer["data"].items():
            if isinstance(value, dict) and value.get("userErrors"):
                raise RequestFailed(f"{field}: " + "; ".join(error["message"] for error in value["userErrors"]))
        return answer["data"]

    def staff(self, document, variables=None):
        return self.ask(document, variables, as_staff=True)


def amount(money):
    return Decimal(money["amount"])


def chunks(items, size):
    return [items[at : at + size] for at in range(0, len(items), size)]


def catalog(shop):
    """Returns all variants by SKU."""
    variants, after = {}, None
    while True:
        page = shop.staff(VARIANTS, {"after": after})["products"]
        for product in page["nodes"]:
            for variant in product["variants"]["nodes"]:
                if variant["sku"]:
                    variants.setdefault(variant["sku"], variant)
        if not page["pageInfo"]["hasNextPage"]:
            return variants
        after = page["pageInfo"]["endCursor"]


def available(variant):
    """The available units at all active locations."""
    levels = [level for level in variant["inventoryLevels"] if level["location"]["isActive"]]
    for level in levels:
        if not 0 <= level["reserved"] <= level["onHand"]:
            raise RequestFailed(f"{variant['sku']}: {level['reserved']} reserved of {level['onHand']}")
    return sum(level["onHand"] - level["reserved"] for level in levels)


def ensure_shipping_zone(shop):
    """Creates a shipping zone for all countries with a rate, if the shop has none."""
    if shop.staff(ZONES)["shippingZones"]["nodes"]:
        return
    zone = {"name": "Everywhere", "countries": [], "defaultDistanceMeters": 100_000}
    zone = shop.staff(ZONE, {"zone": zone})["shippingZoneCreate"]["shippingZone"]
    shop.staff(RATE, {"rate": {"shippingZoneId": zone["id"], "strategy": "standard"}})


def stock_up(shop, variants, wanted):
    """Sets the stock of all needed variants; returns the available units by SKU."""
    locations = shop.staff(LOCATIONS)["locations"]["nodes"]
    location = next(location for location in locations if location["isActive"])["id"]
    quantities = []
    for sku, units in sorted(wanted.items()):
        reserved = sum(
            level["reserved"] for level in variants[sku]["inventoryLevels"] if level["location"]["id"] == location
        )
        quantity = {"variantId": variants[sku]["id"], "locationId": location, "quantity": units + reserved + SPARE_UNITS}
        quantities.append(quantity)
    for chunk in chunks(quantities, MAX_INPUTS):
        change = {"reason": "correction", "ignoreCompareQuantity": True, "quantities": chunk}
        shop.staff(SET_STOCK, {"input": change})
    return {sku: available(variant) for sku, variant in catalog(shop).items() if sku in wanted}


class Replay:
    """Turns baskets into orders."""

    def __init__(self, shop, variants, options):
        self.shop, self.variants, self.options = shop, variants, options
        # Running the script again creates new orders.
        self.run = f"replay-{time.time_ns()}"

    def order(self, basket):
        """Returns the id of a basket's order."""
        lines = [
            {"merchandiseId": self.variants[line["sku"]]["id"], "quantity": line["quantity"]} for line in basket["lines"]
        ]
        email = f"customer{basket.get('customer') or 0}@example.com"
        first, *more = chunks(lines, MAX_INPUTS)
        address = {"address": {"deliveryAddress": ADDRESS | {"countryCode": "GB"}}, "selected": True}
        new = {
            "lines": first,
            "buyerIdentity": {"email": email, "countryCode": "GB"},
            "delivery": {"addresses": [address]},
        }
        cart = self.shop.ask(CART_CREATE, {"input": new})["cartCreate"]["cart"]
        for chunk in more:
            cart = self.shop.ask(LINES_ADD, {"cartId": cart["id"], "lines": chunk})["cartLinesAdd"]["cart"]
        groups = cart["deliveryGroups"]["nodes"]
        selected = [
            {"deliveryGroupId": group["id"], "deliveryOptionHandle": group["deliveryOptions"][0]["handle"]}
            for group in groups
            if group["deliveryOptions"]
        ]
        if selected:
            answer = self.shop.ask(SELECT, {"cartId": cart["id"], "options": selected})
            cart = answer["cartSelectedDeliveryOptionsUpdate"]["cart"]
        key = f"{self.run}-{basket['invoice']}"
        place = {
            "cartId": cart["id"],
            "email": email,
            "payment": {"provider": self.options.provider, "token": self.options.payment_token},
            "expectedTotal": cart["cost"]["totalAmount"]["amount"],
        }
        order = self.shop.ask(PLACE, {"input": place, "key": key})["orderPlace"]["order"]
        if basket["cancelled"]:
            answer = self.shop.staff(CANCEL, {"id": order["id"], "key": f"{key}-cancel"})
            status = answer["orderCancel"]["order"]["status"]
            if status != "CANCELED":
                raise RequestFailed(f"it was canceled, but its status is {status}")
        return order["id"]

    def replay(self, basket):
        """Orders a basket; returns the order's total and what is wrong with it."""
        try:
            return check(self.shop, basket, self.order(basket), self.variants)
        except (RequestFailed, OSError, http.client.HTTPException, KeyError, TypeError, ValueError) as error:
            return Decimal(0), [f"{basket['invoice']}: {error}"]


def check(shop, basket, order_id, variants):
    """Returns an order's total, and where it is not the sum of its parts."""
    order, lines, after = None, [], None
    while order is None or after:
        order = shop.staff(ORDER, {"id": order_id, "after": after})["order"]
        lines += order["lineItems"]["nodes"]
        page = order["lineItems"]["pageInfo"]
        after = page["endCursor"] if page["hasNextPage"] else None

    problems = []

    def check_equal(what, found, expected):
        if found != expected:
            problems.append(f"{basket['invoice']} ({order['name']}): {what} is {found}, not {expected}")

    wanted = collections.Counter()
    for line in basket["lines"]:
        wanted[line["sku"]] += line["quantity"]
    ordered = collections.Counter()
    tax = Decimal(0)
    for line in lines:
        ordered[line["sku"]] += line["quantity"]
        gross, price = amount(line["originalTotalPrice"]), amount(line["originalUnitPrice"])
        discounts = sum((amount(given["allocatedAmount"]) for given in line["discountAllocations"]), Decimal(0))
        check_equal(f"the price of {line['sku']}", price, amount(variants[line["sku"]]["price"]))
        check_equal(f"the total of {line['sku']}", gross, price * line["quantity"])
        check_equal(f"the discounted total of {line['sku']}", amount(line["discountedTotalPrice"]), gross - discounts)
        tax += sum((amount(one["price"]) for one in line["taxLines"]), Decimal(0))
    check_equal("the ordered quantities", ordered, wanted)

    subtotal, shipping = amount(order["subtotalPrice"]), amount(order["totalShippingPrice"])
    check_equal("the subtotal", subtotal, sum((amount(line["discountedTotalPrice"]) for line in lines), Decimal(0)))
    gross = sum((amount(line["originalTotalPrice"]) for line in lines), Decimal(0))
    check_equal("the discounts", amount(order["totalDiscounts"]), gross - subtotal)
    delivery = order["shippingLine"]
    if delivery:
        given = sum((amount(one["allocatedAmount"]) for one in order["shippingDiscountAllocations"]), Decimal(0))
        check_equal("delivery", shipping, amount(delivery["originalPrice"]) - given)
        tax += sum((amount(one["price"]) for one in delivery["taxLines"]), Decimal(0))
    else:
        check_equal("delivery", shipping, Decimal(0))
    check_equal("the tax", amount(order["totalTax"]), tax)
    on_top = Decimal(0) if order["taxesIncluded"] else tax
    check_equal("the total", amount(order["totalPrice"]), subtotal + shipping + on_top)
    check_equal("whether it is canceled", order["status"] == "CANCELED", basket["cancelled"])
    return amount(order["totalPrice"]), problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("baskets")
    parser.add_argument("--token", default=os.environ.get("ADMIN_TOKEN", ""), help="a bearer token of staff")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--provider", default="manual", help="the payment provider")
    parser.add_argument("--payment-token", default="", help="the payment token passed to the provider")
    options = parser.parse_args()

    with open(options.baskets, encoding="utf-8") as file:
        baskets = [json.loads(line) for line in file if line.strip()]
    wanted, sold = collections.Counter(), collections.Counter()
    for basket in baskets:
        for line in basket["lines"]:
            wanted[line["sku"]] += line["quantity"]
            if not basket["cancelled"]:
                sold[line["sku"]] += line["quantity"]

    shop = Shop(options.url, options.token)
    variants = catalog(shop)
    missing = sorted(sku for sku in wanted if sku not in variants)
    if missing:
        sys.exit(f"the shop has no variants with the SKUs {', '.join(missing[:10])}: import the products first")
    ensure_shipping_zone(shop)
    start = stock_up(shop, variants, wanted)

    began = time.monotonic()
    replay = Replay(shop, variants, options)
    total, problems = Decimal(0), []
    with concurrent.futures.ThreadPoolExecutor(options.threads) as threads:
        for one, found in threads.map(replay.replay, baskets):
            total += one
            problems += found
    seconds = time.monotonic() - began

    end = catalog(shop)
    for sku in sorted(wanted):
        left, expected = available(end[sku]), start[sku] - sold[sku]
        if left != expected:
            problems.append(f"{sku}: {left} units available, not {expected} ({start[sku]} less {sold[sku]})")

    for problem in problems[:50]:
        print(problem, file=sys.stderr)
    cancelled = sum(basket["cancelled"] for basket in baskets)
    lines = sum(len(basket["lines"]) for basket in baskets)
    print(
        f"{len(baskets)} baskets ({cancelled} of them canceled) with {lines} lines, {total} in all, in {seconds:.1f} s;"
        f" {len(wanted)} variants; {len(problems)} differences"
    )
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
