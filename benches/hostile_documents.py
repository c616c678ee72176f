"""The documents of the attacks of `hostile.py`: each function returns the `n`-th of its kind, with
its variables.
"""
import json

GUESS = "mutation($e: String!, $p: String!) { staffLogin(email: $e, password: $p) { userErrors { code } } }"
GUESS_CUSTOMER = """mutation($input: CustomerAccessTokenCreateInput!) {
    customerAccessTokenCreate(input: $input) { customerUserErrors { code } }
}"""
# The largest responses that anonymous callers get.
LARGE = "{ products(first: 250) { nodes { id handle title descriptionHtml variants(first: 5) { nodes { id title } } } } }"


def nested(n):
    """C1: nested brackets of every kind in the syntax."""
    depth = 2_000
    values = [
        "{ a(b: " + "[" * depth + "]" * depth + ") }",
        "{ a(b: " + "{c: " * depth + "1" + "}" * depth + ") }",
        "{ a(b: " + "[" * depth + ") }",
        "{ a" * depth + "}" * depth,
        "query($a: " + "[" * depth + "Int" + "]" * depth + ") { a }",
        "query($a: Int = " + "[" * depth + "]" * depth + ") { a }",
        "{ " + "... { " * depth + "a" + " }" * (depth + 1),
    ]
    return values[n % len(values)], None


def doubling(n):
    """C2: fragments that each spread the next one several times."""
    times, levels = [(2, 25), (6, 25), (2, 20), (3, 25)][n % 4]
    fragments = [f"fragment F{level} on QueryRoot {{ {f'...F{level + 1} ' * times}}}" for level in range(levels)]
    return "{ ...F0 } " + " ".join(fragments) + f" fragment F{levels} on QueryRoot {{ __typename }}", None


def pages(n):
    """C3: pages of 250 nested in pages of 250."""
    times, text = [4, 3, 4, 2][n % 4], "title"
    for _ in range(times):
        text = f"title collections(first: 250) {{ nodes {{ title products(first: 250) {{ nodes {{ {text} }} }} }} }}"
    return f"{{ products(first: 250) {{ nodes {{ {text} }} }} }}", None


def introspection(n):
    """C3 through introspection: each level multiplies the number of fields."""
    levels, text = [6, 4, 8, 3][n % 4], "name"
    for _ in range(levels):
        text = f"name possibleTypes {{ interfaces {{ {text} }} }}"
    return f"{{ __schema {{ types {{ fields {{ type {{ {text} }} }} {text} }} }} }}", None


def permitted(n):
    """The most expensive pages that anonymous callers may request."""
    documents = [
        "{ products(first: 250) { nodes { title variants(first: 100) { nodes { id title price { amount } } } "
        "collections(first: 20) { nodes { handle title } } } } }",
        "{ collections(first: 20) { nodes { products(first: 250) { nodes { id title handle variants(first: 20) "
        "{ nodes { id quantityAvailable price { amount } } } } } } } }",
        LARGE,
    ]
    return documents[n % len(documents)], None


def aliases(n):
    """C4: responses and errors many times as large as the request."""
    fields = " ".join(f"a{k}: __typename" for k in range(3_000))
    documents = [
        "{ " + "...F " * 1_000 + f"}} fragment F on QueryRoot {{ {fields} }}",
        "{ " + " ".join(f"b{k}: shop {{ ...F }}" for k in range(250)) + f" }} fragment F on Shop {{ {fields} }}",
        "{ shop { " + " ".join("a: name a: id" for _ in range(3_000)) + " } }",
        "{ shop { " + " ".join(f"nothing{k}" for k in range(3_000)) + " } }",
        "{ shop { name " + "@include(if: true) " * 3_000 + "} }",
    ]
    return documents[n % len(documents)], None


def searches(n):
    """H3: many prefixes, sorted by relevance; once or many times per request."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [
        " ".join(f"{letter}*" for letter in letters),
        " OR ".join(f"{letter}{'aeiou'[n // 4 % 5]}*" for letter in letters),
        " ".join(f"{letter}a*" for letter in letters[:4]),
    ][n % 3]
    field = f"products(first: {20 + n % 30}, query: {json.dumps(words)}, sortKey: RELEVANCE) {{ nodes {{ id }} }}"
    if n % 2:
        return "{ " + " ".join(f"s{k}: {field}" for k in range(20)) + " }", None
    return "{ " + field + " }", None


def large_documents(n):
    """H5: documents of 16 kB, all different, half of them invalid."""
    if n % 2:
        return f"{{ a{n}: shop {{ {'name ' * 2_900} }} }}" + " " * 1_400, None
    return f"{{ a{n}: shop {{ {' '.join(f'x{k}y{n}' for k in range(1_700))} }} }}", None


def many_guesses(n):
    """H2: passwords for one account, many per request or one at a time."""
    if n % 4 == 0:
        fields = [f'g{k}: staffLogin(email: "owner@example.com", password: "wrong {n} {k}") {{ userErrors {{ code }} }}' for k in range(300)]
        return "mutation { " + " ".join(fields) + " }", None
    if n % 4 == 1:
        return GUESS_CUSTOMER, {"input": {"email": "ada@example.com", "password": f"a wrong one {n}"}}
    return GUESS, {"e": "owner@example.com", "p": f"a wrong password {n}"}


def one_guess(n):
    return GUESS, {"e": f"somebody{n}@example.com", "p": "a wrong password"}


def heavy(n):
    """A mix of everything, for the SIGTERM row."""
    return [doubling, pages, searches, permitted][n % 4](n)
