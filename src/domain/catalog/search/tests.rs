//! All features of the search syntax, malformed input, limits, and random text that must not panic.

use super::*;

/// Renders a tree on one line, to keep tables of expectations readable.
fn show(node: &Node) -> String {
    let list = |name: &str, nodes: &[Node]| {
        let nodes: Vec<String> = nodes.iter().map(show).collect();
        format!("{name}({})", nodes.join(", "))
    };
    match node {
        Node::All => "all".to_owned(),
        Node::And(nodes) => list("and", nodes),
        Node::Or(nodes) => list("or", nodes),
        Node::Not(node) => format!("not({})", show(node)),
        Node::Text(text) => show_words(text),
        Node::Title(text) => format!("title:{}", show_words(text)),
        Node::Field(field) => show_field(field),
    }
}

fn show_words(text: &TextMatch) -> String {
    let (open, close) = if text.is_phrase() { ('"', '"') } else { ('[', ']') };
    let star = if text.is_prefix() { "*" } else { "" };
    format!("{open}{}{star}{close}", text.words().join(" "))
}

fn show_field(field: &FieldTerm) -> String {
    let value = |name: &str, value: &ValueMatch| match value {
        ValueMatch::Exists => format!("{name}:any"),
        ValueMatch::AnyOf(values) => format!("{name}={}", values.join("|")),
        ValueMatch::StartsWith(start) => format!("{name}={start}*"),
    };
    let sign = |comparator: &Comparator| match comparator {
        Comparator::Equal => "=",
        Comparator::Greater => ">",
        Comparator::GreaterOrEqual => ">=",
        Comparator::Less => "<",
        Comparator::LessOrEqual => "<=",
    };
    let time = |time: &DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S").to_string();
    match field {
        FieldTerm::Tag(tag) => value("tag", tag),
        FieldTerm::Vendor(vendor) => value("vendor", vendor),
        FieldTerm::ProductType(product_type) => value("type", product_type),
        FieldTerm::Handle(handle) => value("handle", handle),
        FieldTerm::Sku(sku) => value("sku", sku),
        FieldTerm::Barcode(barcode) => value("barcode", barcode),
        FieldTerm::Id(ids) => format!("id={}", ids.join("|")),
        FieldTerm::Status(statuses) => format!("status={statuses:?}"),
        FieldTerm::AvailableForSale(available) => format!("available={available}"),
        FieldTerm::InventoryTotal(comparator, units) => format!("stock{}{units}", sign(comparator)),
        FieldTerm::Price(comparator, amount) => format!("price{}{amount}", sign(comparator)),
        FieldTerm::CreatedAt(comparator, at) => format!("created{}{}", sign(comparator), time(at)),
        FieldTerm::UpdatedAt(comparator, at) => format!("updated{}{}", sign(comparator), time(at)),
    }
}

/// Parses each query, expects no warnings and compares the tree.
fn check(cases: &[(&str, &str)]) {
    for (query, expected) in cases {
        let search = parse(query).unwrap();
        assert_eq!(show(&search.filter), *expected, "for {query}");
        assert_eq!(search.warnings, [], "for {query}");
    }
}

#[test]
fn words_phrases_and_prefixes() {
    check(&[
        ("", "all"),
        (" \t\n ", "all"),
        ("snowboard", "[snowboard]"),
        ("Snow  BOARD", "[snow board]"),
        ("\u{a0}snow\u{3000}board", "[snow board]"),
        ("t-shirt", "[t shirt]"),
        ("L'Oréal", "[loreal]"),
        ("snow*", "[snow*]"),
        ("red snow*", "[red snow*]"),
        ("snow* red", "and([snow*], [red])"),
        ("snow**", "[snow*]"),
        ("*snow", "[snow]"),
        ("sn*w", "[sn w]"),
        ("*", "all"),
        (r#""snow board""#, r#""snow board""#),
        ("'snow board'", r#""snow board""#),
        (r#""snow""#, "[snow]"),
        (r#""t-shirt""#, r#""t shirt""#),
        (r#""snow boa"*"#, r#""snow boa*""#),
        (r#""snow boa*""#, r#""snow boa""#),
        (r#"red "snow board" blue"#, r#"and([red], "snow board", [blue])"#),
        ("'don't stop'", r#""dont stop""#),
        (r#""a OR b""#, r#""a or b""#),
    ]);
}

#[test]
fn duplicates_are_looked_up_once() {
    check(&[
        ("snow board snow", "[snow board]"),
        ("Snow snow snow*", "[snow snow*]"),
        ("board snow* snow*", "[board snow*]"),
        ("snow OR board OR snow", "or([snow], [board])"),
        ("snow OR snow", "[snow]"),
        ("-snow -board -snow", "and(not([snow]), not([board]))"),
        ("tag:a tag:a a", "and(tag=a, [a])"),
        (r#""very very snowy""#, r#""very very snowy""#),
    ]);
}

#[test]
fn connectives_and_precedence() {
    check(&[
        ("a AND b", "[a b]"),
        ("a OR b", "or([a], [b])"),
        ("a or b", "[a or b]"),
        ("a and not b", "[a and not b]"),
        // OR binds tighter than AND, written or not.
        ("bob OR norman AND shopify", "and(or([bob], [norman]), [shopify])"),
        ("shopify AND bob OR norman", "and([shopify], or([bob], [norman]))"),
        ("a b OR c d", "and([a], or([b], [c]), [d])"),
        ("a OR b OR c", "or([a], [b], [c])"),
        ("(a b) OR (c d)", "or([a b], [c d])"),
        ("(a OR b) (c OR d)", "and(or([a], [b]), or([c], [d]))"),
        ("a(b)c", "[a b c]"),
        ("((a))", "[a]"),
        ("(a OR (b OR c))", "or([a], [b], [c])"),
        // Negation binds tightest.
        ("-a", "not([a])"),
        ("NOT a", "not([a])"),
        ("-a b", "and(not([a]), [b])"),
        ("a -b OR c", "and([a], or(not([b]), [c]))"),
        ("NOT a OR b", "or(not([a]), [b])"),
        ("-(a OR b)", "not(or([a], [b]))"),
        ("NOT (a b)", "not([a b])"),
        ("NOT(a)", "not([a])"),
        (r#"-"a b""#, r#"not("a b")"#),
        ("NOT NOT a", "[a]"),
        ("NOT -a", "[a]"),
        ("-(-a)", "[a]"),
        ("state AND -tag:a", "and([state], not(tag=a))"),
    ]);
}

#[test]
fn text_fields() {
    check(&[
        ("tag:summer", "tag=summer"),
        ("Tag:Summer", "tag=Summer"),
        ("tag:=summer", "tag=summer"),
        (r#"tag:"Summer Sale""#, "tag=Summer Sale"),
        ("tag:'Summer Sale'", "tag=Summer Sale"),
        ("tag:' Summer '", "tag=Summer"),
        (r#"tag:="a b""#, "tag=a b"),
        ("tag:a,b", "tag=a|b"),
        (r#"tag:a,"b, c",'d e'"#, "tag=a|b, c|d e"),
        ("tag:a,,b,", "tag=a|b"),
        ("tag:*", "tag:any"),
        ("-tag:*", "not(tag:any)"),
        ("tag:sum*", "tag=sum*"),
        (r#"tag:"summer s"*"#, "tag=summer s*"),
        ("tag:sum*,a,b", "or(tag=sum*, tag=a|b)"),
        (r#"tag:"*""#, "tag=*"),
        (r"tag:\*", "tag=*"),
        ("tag:🎿", "tag=🎿"),
        ("tag:a-b", "tag=a-b"),
        ("tag_not:a", "not(tag=a)"),
        ("tag_not:a,b", "not(tag=a|b)"),
        ("-tag_not:a", "tag=a"),
        ("tag_not:*", "not(tag:any)"),
        ("tag:a OR tag:b", "or(tag=a, tag=b)"),
        ("tag:a tag:b", "and(tag=a, tag=b)"),
        ("vendor:Snowdevil", "vendor=Snowdevil"),
        ("vendor:D'Addario", "vendor=D'Addario"),
        (r"vendor:'D\'Addario & Co'", "vendor=D'Addario & Co"),
        (r#"product_type:"BOOTIE & BOOTS" OR product_type:kicks"#, "or(type=BOOTIE & BOOTS, type=kicks)"),
        ("handle:the-board", "handle=the-board"),
        ("sku:AB-12/3", "sku=AB-12/3"),
        ("barcode:0012345", "barcode=0012345"),
        ("(tag:a vendor:b) OR red", "or(and(tag=a, vendor=b), [red])"),
        ("tag:a(red)", "and(tag=a, [red])"),
    ]);
}

#[test]
fn titles() {
    check(&[
        ("title:Snowboard", "title:[snowboard]"),
        (r#"title:"Snow Board""#, r#"title:"snow board""#),
        ("title:snow*", "title:[snow*]"),
        ("title:t-shirt", "title:[t shirt]"),
        ("title:red,blue", "or(title:[red], title:[blue])"),
        ("title:green hoodie", "and(title:[green], [hoodie])"),
        ("title:green title:hoodie", "title:[green hoodie]"),
        ("-title:green", "not(title:[green])"),
        ("title:*", "all"),
        ("-title:*", "not(all)"),
        ("red title:*", "[red]"),
        ("red OR title:*", "all"),
    ]);
}

#[test]
fn stock_is_searchable_only_with_permission() {
    let filter = |text: &str| parse_with_stock(text).unwrap().filter;
    let total = |comparator, units| Node::Field(FieldTerm::InventoryTotal(comparator, units));
    assert_eq!(filter("inventory_total:<5"), total(Comparator::Less, 5));
    assert_eq!(filter("Inventory_Total:0"), total(Comparator::Equal, 0));
    assert_eq!(filter("inventory_total:*"), Node::All);
    for wrong in ["inventory_total:few", "inventory_total:1.5", "inventory_total:", "inventory_total:<1,2"] {
        assert_eq!(parse_with_stock(wrong).unwrap().warnings.len(), 1, "{wrong}");
    }
    let plain = parse("inventory_total:<5").unwrap();
    assert_eq!(plain.warnings[0].code, WarningCode::InvalidField);
    assert!(matches!(plain.filter, Node::Text(_)), "{plain:?}");
}

#[test]
fn typed_fields() {
    const ID: &str = "id=01890a5d-ac96-774b-bcce-b302099a8057";
    check(&[
        ("id:01890a5d-ac96-774b-bcce-b302099a8057", ID),
        ("id:01890A5D-AC96-774B-BCCE-B302099A8057", ID),
        ("id:gid://mercato/Product/01890a5d-ac96-774b-bcce-b302099a8057", ID),
        (r#"id:"gid://mercato/Product/01890a5d-ac96-774b-bcce-b302099a8057""#, ID),
        ("id:gid://shopify/Product/01890a5d-ac96-774b-bcce-b302099a8057", ID),
        ("id:*", "all"),
        ("status:active", "status=[Active]"),
        ("status:Draft,ARCHIVED", "status=[Draft, Archived]"),
        ("-status:archived", "not(status=[Archived])"),
        ("available_for_sale:true", "available=true"),
        ("available_for_sale:False", "available=false"),
        ("available_for_sale:'true'", "available=true"),
        ("variants.price:10", "price=10"),
        ("price:=10.50", "price=10.5"),
        ("variants.price:>10", "price>10"),
        ("variants.price:>=10.00", "price>=10"),
        ("variants.price:<0.05", "price<0.05"),
        ("variants.price:<='19.99'", "price<=19.99"),
        ("price:000", "price=0"),
        ("price:007.250", "price=7.25"),
        ("price:999999999999.9999", "price=999999999999.9999"),
        ("price:>=10 price:<20", "and(price>=10, price<20)"),
        ("price:*", "all"),
        ("created_at:>'2020-10-21T23:39:20Z'", "created>2020-10-21T23:39:20"),
        (r#"created_at:>="2020-10-21T23:39:20Z""#, "created>=2020-10-21T23:39:20"),
        ("created_at:<2020-10-21T23:39:20.5+02:00", "created<2020-10-21T21:39:20"),
        ("created_at:2020-10-21T23:39:20Z", "created=2020-10-21T23:39:20"),
        ("updated_at:<=2020-10-21T23:39:20Z", "updated<=2020-10-21T23:39:20"),
        // A date is a whole day.
        ("updated_at:2020-12-31", "and(updated>=2020-12-31T00:00:00, updated<2021-01-01T00:00:00)"),
        ("updated_at:>2020-12-31", "updated>=2021-01-01T00:00:00"),
        ("updated_at:>=2020-12-31", "updated>=2020-12-31T00:00:00"),
        ("updated_at:<2020-12-31", "updated<2020-12-31T00:00:00"),
        ("updated_at:<='2020-12-31'", "updated<2021-01-01T00:00:00"),
        ("-updated_at:2020-12-31", "not(and(updated>=2020-12-31T00:00:00, updated<2021-01-01T00:00:00))"),
        ("updated_at:*", "all"),
    ]);
}

#[test]
fn escapes() {
    check(&[
        (r"title\:snow", "[title snow]"),
        (r"tag:a\:b", "tag=a:b"),
        (r"tag:a\(b\)", "tag=a(b)"),
        (r"tag:a\\b", r"tag=a\b"),
        (r"tag:a\,b", "tag=a,b"),
        (r#"tag:\"a\""#, r#"tag="a""#),
        (r#"tag:"a \"b\" c""#, r#"tag=a "b" c"#),
        (r"tag:'it\'s a'", "tag=it's a"),
        (r"snow\*", "[snow]"),
        (r"\-snow", "[snow]"),
        (r"\(a OR b\)", "or([a], [b])"),
        // Before other characters a backslash stands for itself.
        (r"tag:a\b", r"tag=a\b"),
        (r"AC\DC", "[ac dc]"),
        (r"snow\", "[snow]"),
    ]);
}

#[test]
fn odd_input_is_text_or_dropped() {
    check(&[
        (r#""snow board"#, "[snow board]"),
        (r#"snow" board"#, "[snow board]"),
        (r#"10" frame OR 12" frame"#, "and([10], or([frame], [12]), [frame])"),
        (r#"""#, "all"),
        (r#""""#, "all"),
        ("'", "all"),
        ("'90s jacket", "[90s jacket]"),
        (r#"tag:"summer sale"#, "and(tag=summer, [sale])"),
        ("(a", "[a]"),
        ("a)", "[a]"),
        ("a) b", "[a b]"),
        (")(", "all"),
        ("(", "all"),
        ("()", "all"),
        ("-()", "all"),
        ("a () b", "[a b]"),
        ("(a OR b", "or([a], [b])"),
        ("-(a b", "not([a b])"),
        ("-", "all"),
        ("a -", "[a]"),
        ("a - b", "[a b]"),
        ("(a -)", "[a]"),
        ("--a", "[a]"),
        ("a -- b", "[a b]"),
        ("OR", "all"),
        ("OR a", "[a]"),
        ("a OR", "[a]"),
        ("a OR OR b", "or([a], [b])"),
        ("a OR AND b", "or([a], [b])"),
        ("a AND OR b", "[a b]"),
        ("AND a AND", "[a]"),
        ("(OR a) b", "[a b]"),
        ("(a OR) b", "[a b]"),
        ("NOT", "all"),
        ("a NOT", "[a]"),
        ("(a NOT) b", "[a b]"),
        ("!!!", "all"),
        ("-!!!", "all"),
        ("a !!! b", "[a b]"),
        ("a OR !!!", "[a]"),
        ("🎿", "all"),
        ("🎿 snow 🅿️", "[snow]"),
        (":)", "all"),
        (":", "all"),
        ("::", "all"),
        ("a,b", "[a b]"),
        ("12:30", "[12 30]"),
        ("1:2:3", "[1 2 3]"),
        ("https://example.com/a?b=c", "[https example com a b c]"),
        ("größe:10", "[grosse 10]"),
        ("note: read this", "[note read this]"),
        ("\\", "all"),
        ("\0", "all"),
        ("a\u{202e}b", "[a b]"),
    ]);
}

#[test]
fn unknown_fields_are_searched_as_words() {
    for (query, expected, field) in [
        ("foo:bar", "[foo bar]", "foo"),
        ("foo:bar*", "[foo bar*]", "foo"),
        ("foo:*", "[foo*]", "foo"),
        ("foo:>10", "[foo 10]", "foo"),
        ("foo:a,b", "[foo a b]", "foo"),
        (r#"foo:"bar baz""#, "[foo bar baz]", "foo"),
        ("red -Foo.Bar:baz", "and([red], not([foo bar baz]))", "Foo.Bar"),
        ("variants.sku:A", "[variants sku a]", "variants.sku"),
    ] {
        let search = parse(query).unwrap();
        assert_eq!(show(&search.filter), expected, "for {query}");
        let [warning] = search.warnings.as_slice() else { panic!("one warning for {query}") };
        assert_eq!((warning.code, warning.field.as_str()), (WarningCode::InvalidField, field));
        assert!(warning.message.contains("variants.price"), "lists the fields: {}", warning.message);
    }
    assert_eq!(WarningCode::InvalidField.as_str(), "invalid_field");
}

#[test]
fn malformed_values_are_ignored_with_a_warning() {
    for (query, field, hint) in [
        ("variants.price:abc", "variants.price", "19.99"),
        ("price:", "price", "without a space"),
        ("price:-1", "price", "19.99"),
        ("price:$10", "price", "19.99"),
        ("price:10,50", "price", "19.99"),
        ("price:1e3", "price", "19.99"),
        ("price:10.", "price", "19.99"),
        ("price:.5", "price", "19.99"),
        ("price:1.2.3", "price", "19.99"),
        ("price:1.00001", "price", "4 after"),
        ("price:1000000000000", "price", "12 digits"),
        ("price:10*", "price", "19.99"),
        ("price:>*", "price", "19.99"),
        ("price:١٢", "price", "19.99"),
        ("created_at:yesterday", "created_at", "2026-01-31"),
        ("created_at:2020-02-30", "created_at", "2026-01-31"),
        ("created_at:2020-2-3", "created_at", "2026-01-31"),
        ("created_at:+2020-02-03", "created_at", "2026-01-31"),
        ("created_at:2020-10-21T23:39:20", "created_at", "12:00:00Z"),
        ("updated_at:>", "updated_at", "without a space"),
        ("available_for_sale:maybe", "available_for_sale", "true or false"),
        ("available_for_sale:true,false", "available_for_sale", "true or false"),
        ("available_for_sale:>true", "available_for_sale", "cannot be compared"),
        ("status:sold", "status", "archived"),
        ("status:active,sold", "status", "archived"),
        ("status:act*", "status", "archived"),
        ("id:42", "id", "UUID"),
        ("id:>01890a5d-ac96-774b-bcce-b302099a8057", "id", "cannot be compared"),
        ("id:gid://shopify/Product/42", "id", "UUID"),
        ("id:gid://mercato/ProductVariant/01890a5d-ac96-774b-bcce-b302099a8057", "id", "UUID"),
        ("title:", "title", "without a space"),
        (r#"title:"""#, "title", "without a space"),
        ("title:!!!", "title", "no letter or digit"),
        ("title:>a", "title", "cannot be compared"),
        ("tag:,", "tag", "without a space"),
        ("tag:<a", "tag", "cannot be compared"),
        ("TAG_NOT:", "TAG_NOT", "without a space"),
    ] {
        let search = parse(query).unwrap();
        assert_eq!(search.filter, Node::All, "for {query}");
        let [warning] = search.warnings.as_slice() else { panic!("one warning for {query}") };
        assert_eq!((warning.code, warning.field.as_str()), (WarningCode::InvalidValue, field), "for {query}");
        assert!(warning.message.starts_with(&format!("`{query}` is ignored: ")), "{}", warning.message);
        assert!(warning.message.contains(hint), "{}", warning.message);
    }
    assert_eq!(WarningCode::InvalidValue.as_str(), "invalid_value");
}

#[test]
fn ignored_terms_leave_the_rest_of_the_query_alone() {
    for (query, expected) in [
        ("red price:abc", "[red]"),
        ("red OR price:abc", "[red]"),
        ("red -price:abc", "[red]"),
        ("red NOT (price:abc)", "[red]"),
        ("red price:abc blue", "[red blue]"),
        ("title: snow", "[snow]"),
        ("tag:(a OR b)", "or([a], [b])"),
    ] {
        let search = parse(query).unwrap();
        assert_eq!(show(&search.filter), expected, "for {query}");
        assert_eq!(search.warnings.len(), 1, "for {query}");
    }
    let fields: Vec<String> =
        parse("price:x foo:y id:z").unwrap().warnings.into_iter().map(|warning| warning.field).collect();
    assert_eq!(fields, ["price", "foo", "id"]);
}

#[test]
fn one_letter_prefixes_are_ignored_with_a_warning() {
    for (query, expected, warnings) in [
        ("s*", Node::All, 1),
        ("red s*", parse("red").unwrap().filter, 1),
        ("title:s* red", parse("red").unwrap().filter, 1),
        ("title:red,s*", Node::All, 1),
        ("-s*", Node::All, 1),
        ("\"red s\"*", Node::All, 1),
        ("vendor:s*", parse("vendor:s*").unwrap().filter, 0),
    ] {
        let search = parse(query).unwrap();
        assert_eq!((search.filter, search.warnings.len()), (expected, warnings), "for {query}");
    }
    let warning = parse("s*").unwrap().warnings.remove(0);
    assert_eq!((warning.code, warning.field.as_str()), (WarningCode::InvalidValue, ""));
    assert_eq!(warning.message, "`s*` is ignored: write at least two letters before the star.");
    assert_eq!(parse("滑*").unwrap().warnings, []);
}

/// Checks the invariants of [`Node`] and of the renderers.
fn check_invariants(node: &Node, query: &str) {
    match node {
        Node::All => {}
        Node::And(nodes) | Node::Or(nodes) => {
            assert!(nodes.len() > 1, "for {query}");
            for inner in nodes {
                assert!(*inner != Node::All, "for {query}");
                assert!(std::mem::discriminant(inner) != std::mem::discriminant(node), "for {query}");
                check_invariants(inner, query);
            }
        }
        Node::Not(inner) => {
            assert!(!matches!(**inner, Node::Not(_)), "for {query}");
            check_invariants(inner, query);
        }
        Node::Text(text) | Node::Title(text) => {
            assert!(!text.words().is_empty(), "for {query}");
            assert_eq!(normalize(&text.words().join(" ")), text.words(), "for {query}");
        }
        Node::Field(field) => {
            assert!(!matches!(show_field(field).split_once('='), Some((_, ""))), "for {query}");
        }
    }
}

/// The parts of random queries.
const FRAGMENTS: &[&str] = &[
    " ",
    " ",
    " ",
    "(",
    ")",
    "\"",
    "'",
    "\\",
    "*",
    "-",
    ":",
    ",",
    ".",
    ">",
    "<",
    "=",
    "/",
    "AND",
    "OR",
    "NOT",
    "title:",
    "tag:",
    "tag_not:",
    "price:",
    "variants.price:>=",
    "created_at:<",
    "status:",
    "id:",
    "foo:",
    "available_for_sale:",
    "true",
    "2020-10-21",
    "T23:39:20Z",
    "9999-12-31",
    "10.5",
    "snow",
    "é",
    "ß",
    "İ",
    "字",
    "🎿",
    "\u{300}",
    "\u{200d}",
    "\0",
    "\u{fdfa}",
    "\u{10ffff}",
];

#[test]
fn random_input_never_panics() {
    // A small xorshift generator, so that every run uses the same input.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % limit
    };
    for round in 0..20_000 {
        let length = below(40);
        let query: String = match round % 3 {
            0 => (0..length).map(|_| char::from(u8::try_from(below(128)).unwrap())).collect(),
            1 => {
                (0..length).filter_map(|_| char::from_u32(u32::try_from(below(0x11_0000)).unwrap())).collect()
            }
            _ => (0..length).map(|_| FRAGMENTS[below(FRAGMENTS.len())]).collect(),
        };
        if let Ok(search) = parse(&query) {
            check_invariants(&search.filter, &query);
        }
    }
}
