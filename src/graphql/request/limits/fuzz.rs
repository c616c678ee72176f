//! Compares the limits with slow, simple reference implementations, on random documents.
//!
//! `PROPTEST_CASES` sets the number of documents per test: see `tests/it/fuzz.rs`.

use std::collections::BTreeSet;

use async_graphql::Variables;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::OperationType;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};

use super::cost::Cost;
use super::shape::{MAX_SELECTION_NESTING, Shape, ShapeError};
use super::text;
use crate::domain::access::callers::CallerKind;
use crate::domain::access::query_limits::{CallerLimits, QueryLimits};
use crate::graphql::request::type_system::type_system;

/// The number of fragments in a random document. Spreads of fragment number `FRAGMENTS` are of an
/// undefined one.
const FRAGMENTS: usize = 4;

/// A selection of a random document.
#[derive(Clone, Debug)]
enum Node {
    Field { has_alias: bool, has_argument: bool, directives: u64, children: Vec<Node> },
    Inline { directives: u64, children: Vec<Node> },
    Spread { fragment: usize, directives: u64 },
}

/// A random document.
#[derive(Clone, Debug)]
struct Sketch {
    operations: Vec<Operation>,
    /// Each with its directives.
    fragments: Vec<(u64, Vec<Node>)>,
}

#[derive(Clone, Debug)]
struct Operation {
    is_mutation: bool,
    directives: u64,
    children: Vec<Node>,
}

/// Whether a text is within a limit for nesting.
fn is_within_nesting(text: &str, max_nesting: u64) -> bool {
    let limits = QueryLimits::default().of(CallerKind::Anonymous);
    text::check(text, &CallerLimits { max_nesting, max_tokens: u64::MAX, ..limits }).is_ok()
}

fn leaf() -> Node {
    Node::Field { has_alias: false, has_argument: false, directives: 0, children: Vec::new() }
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let field = (any::<bool>(), any::<bool>(), 0..2_u64).prop_map(|(has_alias, has_argument, directives)| {
        Node::Field { has_alias, has_argument, directives, children: Vec::new() }
    });
    let fragment = prop_oneof![40 => 0..FRAGMENTS, 1 => Just(FRAGMENTS)];
    let spread =
        (fragment, 0..2_u64).prop_map(|(fragment, directives)| Node::Spread { fragment, directives });
    let node = prop_oneof![3 => field, 1 => spread].prop_recursive(4, 24, 4, |inner| {
        let field = (any::<bool>(), 0..2_u64, vec(inner.clone(), 1..4));
        let field = field.prop_map(|(has_alias, directives, children)| Node::Field {
            has_alias,
            has_argument: !has_alias,
            directives,
            children,
        });
        let inline = (0..2_u64, vec(inner, 1..4))
            .prop_map(|(directives, children)| Node::Inline { directives, children });
        prop_oneof![field, inline]
    });
    vec(node, 1..4)
}

fn sketches() -> impl Strategy<Value = Sketch> {
    let operation = (any::<bool>(), 0..2_u64, nodes())
        .prop_map(|(is_mutation, directives, children)| Operation { is_mutation, directives, children });
    let any_sketch = (vec(operation, 1..3), vec((0..2_u64, nodes()), FRAGMENTS))
        .prop_map(|(operations, fragments)| Sketch { operations, fragments });
    (any_sketch, 0..4).prop_map(|(sketch, kind)| if kind == 0 { sketch } else { sketch.without_cycles() })
}

/// Replaces spreads of fragments whose numbers are lower than `min`.
fn replace_lower_spreads(nodes: &mut [Node], min: usize) {
    for node in nodes {
        if let Node::Spread { fragment, .. } = node
            && *fragment < min
        {
            *node = if min < FRAGMENTS { Node::Spread { fragment: min, directives: 0 } } else { leaf() };
        }
        if let Node::Field { children, .. } | Node::Inline { children, .. } = node {
            replace_lower_spreads(children, min);
        }
    }
}

fn directives(count: u64) -> String {
    (0..count).map(|_| " @skip(if: true)").collect()
}

fn selection_set(nodes: &[Node]) -> String {
    let inner: Vec<String> = nodes.iter().map(Node::text).collect();
    format!(" {{ {} }}", inner.join(" "))
}

impl Node {
    fn text(&self) -> String {
        match self {
            Self::Field { has_alias, has_argument, directives: count, children } => {
                let alias = if *has_alias { "a: " } else { "" };
                let argument = if *has_argument { "(x: [1, { y: $z }])" } else { "" };
                let children = if children.is_empty() { String::new() } else { selection_set(children) };
                format!("{alias}f{argument}{}{children}", directives(*count))
            }
            Self::Inline { directives: count, children } => {
                format!("...{}{}", directives(*count), selection_set(children))
            }
            Self::Spread { fragment, directives: count } => format!("...F{fragment}{}", directives(*count)),
        }
    }

    /// The number of nodes that the parser creates, without expanding fragments.
    fn size(&self) -> u64 {
        match self {
            Self::Field { has_argument, directives, children, .. } => {
                1 + 4 * u64::from(*has_argument) + 2 * directives + size(children)
            }
            Self::Inline { directives, children } => 1 + 2 * directives + size(children),
            Self::Spread { directives, .. } => 1 + 2 * directives,
        }
    }
}

fn size(nodes: &[Node]) -> u64 {
    nodes.iter().map(Node::size).sum()
}

/// The size of expanded selections.
#[derive(Clone, Copy, Default)]
struct Count {
    fields: u64,
    own_fields: u64,
    depth: u64,
    aliases: u64,
    directives: u64,
}

impl Count {
    fn and(self, other: Self) -> Self {
        Self {
            fields: self.fields + other.fields,
            own_fields: self.own_fields + other.own_fields,
            depth: self.depth.max(other.depth),
            aliases: self.aliases + other.aliases,
            directives: self.directives + other.directives,
        }
    }
}

impl Sketch {
    fn without_cycles(mut self) -> Self {
        for (at, (_, children)) in self.fragments.iter_mut().enumerate() {
            replace_lower_spreads(children, at + 1);
        }
        self
    }

    fn text(&self) -> String {
        let operations = self.operations.iter().enumerate().map(|(at, operation)| {
            let kind = if operation.is_mutation { "mutation" } else { "query" };
            format!("{kind} O{at}{}{} ", directives(operation.directives), selection_set(&operation.children))
        });
        let fragments = self.fragments.iter().enumerate().map(|(at, (count, children))| {
            format!("fragment F{at} on X{}{} ", directives(*count), selection_set(children))
        });
        operations.chain(fragments).collect()
    }

    /// Expands selections; `None` when there is a cycle, or a fragment is missing. `path` are the
    /// fragments that are being expanded.
    fn count(&self, nodes: &[Node], path: &[usize]) -> Option<Count> {
        let mut total = Count::default();
        for node in nodes {
            let count = match node {
                Node::Field { has_alias, directives, children, .. } => {
                    let inner = self.count(children, path)?;
                    Count {
                        fields: inner.fields + 1,
                        own_fields: 1,
                        depth: inner.depth + 1,
                        aliases: inner.aliases + u64::from(*has_alias),
                        directives: inner.directives + directives,
                    }
                }
                Node::Inline { directives, children } => {
                    let inner = self.count(children, path)?;
                    Count { directives: inner.directives + directives, ..inner }
                }
                Node::Spread { fragment, directives } => {
                    let inner = self.count_fragment(*fragment, path)?;
                    Count { directives: inner.directives + directives, ..inner }
                }
            };
            total = total.and(count);
        }
        Some(total)
    }

    fn count_fragment(&self, fragment: usize, path: &[usize]) -> Option<Count> {
        if path.contains(&fragment) {
            return None;
        }
        let (directives, children) = self.fragments.get(fragment)?;
        let count = self.count(children, &[path, &[fragment]].concat())?;
        Some(Count { directives: count.directives + directives, ..count })
    }

    /// The fragments that selections reach.
    fn reach(&self, nodes: &[Node], reached: &mut BTreeSet<usize>) {
        for node in nodes {
            match node {
                Node::Field { children, .. } | Node::Inline { children, .. } => self.reach(children, reached),
                Node::Spread { fragment, .. } => {
                    if reached.insert(*fragment)
                        && let Some((_, children)) = self.fragments.get(*fragment)
                    {
                        self.reach(children, reached);
                    }
                }
            }
        }
    }

    /// Fields, depth, aliases, directives, root fields of a mutation, nodes.
    fn shape(&self) -> Option<[u64; 6]> {
        let (mut total, mut root_fields, mut reached) = (Count::default(), 0_u64, BTreeSet::new());
        for operation in &self.operations {
            let count = self.count(&operation.children, &[])?;
            if operation.is_mutation {
                root_fields = root_fields.max(count.own_fields);
            }
            total = total.and(count);
            total.directives += operation.directives;
            self.reach(&operation.children, &mut reached);
        }
        for fragment in 0..FRAGMENTS {
            let count = self.count_fragment(fragment, &[])?;
            if !reached.contains(&fragment) {
                total = total.and(count);
            }
        }
        let operations = self.operations.iter().map(|of| 2 * of.directives + size(&of.children));
        let fragments = self.fragments.iter().map(|(count, children)| 1 + 2 * count + size(children));
        let nodes: u64 = operations.chain(fragments).sum();
        Some([total.fields, total.depth, total.aliases, total.directives, root_fields, nodes])
    }
}

/// A random argument value, and the nesting of its brackets.
fn bracketed() -> impl Strategy<Value = (String, u64)> {
    const VALUES: &[&str] = &[
        "1",
        "$v",
        "WORD",
        r#""""#,
        r#""[{(\"[""#,
        r#""\\""#,
        r#"""" [[[ " \""" {{{ """"#,
        r#""""""""#,
        "# [[[ \" \"\"\"\n 1",
    ];
    let value = select(VALUES).prop_map(|text| (text.to_owned(), 0_u64));
    value.prop_recursive(6, 24, 4, |inner| {
        (any::<bool>(), vec(inner, 0..4)).prop_map(|(is_list, items)| {
            let depth = items.iter().map(|(_, depth)| *depth).max().unwrap_or_default();
            let key = if is_list { "" } else { "key: " };
            let inside: String = items.iter().map(|(item, _)| format!("{key}{item} ")).collect();
            (if is_list { format!("[{inside}]") } else { format!("{{{inside}}}") }, depth + 1)
        })
    })
}

/// Random text made of characters that matter to the scanner.
fn random_text() -> impl Strategy<Value = String> {
    const PIECES: &[&str] =
        &["{", "}", "[", "]", "(", ")", "\"", "\"\"", "\"\"\"", "\\", "\\\"", "\n", "\r", "#", "a", " ", "é"];
    vec(select(PIECES), 0..50).prop_map(|pieces| pieces.concat())
}

/// The maximum nesting of brackets in the part of a text that the parser can read, which ends at an
/// invalid string, and whether that is all of the text.
fn open_brackets(text: &str) -> (u64, bool) {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut open, mut max_open) = (0, 0_u64, 0_u64);
    while let Some(char) = chars.get(at) {
        at += match char {
            '"' => match block_string(&chars[at..]).or_else(|| line_string(&chars[at..])) {
                Some(length) => length,
                None => return (max_open, false),
            },
            '#' => chars[at..].iter().take_while(|char| !matches!(char, '\n' | '\r')).count(),
            '{' | '[' | '(' => {
                open += 1;
                max_open = max_open.max(open);
                1
            }
            '}' | ']' | ')' => {
                open = open.saturating_sub(1);
                1
            }
            _ => 1,
        };
    }
    (max_open, true)
}

/// The length of the block string at the start of a text.
fn block_string(chars: &[char]) -> Option<usize> {
    let are_quotes = |at: usize| chars[at.min(chars.len())..].starts_with(&['"'; 3]);
    let mut at = if are_quotes(0) { 3 } else { return None };
    while let Some(char) = chars.get(at) {
        match char {
            '\\' if are_quotes(at + 1) => at += 4,
            _ if are_quotes(at) => return Some(at + 3),
            _ => at += 1,
        }
    }
    None
}

/// The length of the single-line string at the start of a text.
fn line_string(chars: &[char]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += match (chars.get(at)?, chars.get(at + 1)) {
            ('"', _) => return Some(at + 1),
            ('\\', Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => 2,
            ('\\' | '\n' | '\r', _) => return None,
            _ => 1,
        };
    }
}

/// A random selection on objects of a type: its own fields, and connections.
#[derive(Clone, Debug)]
struct ObjectSelection {
    fields: u64,
    pages: Vec<Page>,
    /// Whether it is wrapped in a named fragment.
    is_fragment: bool,
}

#[derive(Clone, Debug)]
struct Page {
    /// The index of the connection, modulo the number of the type's connections.
    connection: usize,
    /// `first`, and `last` if there is another.
    sizes: Vec<PageSize>,
    has_edges: bool,
    of: ObjectSelection,
}

#[derive(Clone, Debug)]
enum PageSize {
    Number(i64),
    Variable(usize),
}

/// The number of variables of a random document, which are page sizes.
const VARIABLES: usize = 3;

/// The connections of a type, each with the type of its nodes; `product` is a single object.
fn connections(of: &str) -> &'static [(&'static str, &'static str)] {
    match of {
        "Product" => &[("variants", "ProductVariant"), ("collections", "Collection")],
        "Collection" => &[("products", "Product")],
        "ProductVariant" => &[("product", "Product")],
        _ => &[("products", "Product"), ("collections", "Collection")],
    }
}

fn selections() -> impl Strategy<Value = ObjectSelection> {
    let plain = (1..4_u64, any::<bool>()).prop_map(|(fields, is_fragment)| ObjectSelection {
        fields,
        pages: Vec::new(),
        is_fragment,
    });
    plain.prop_recursive(4, 12, 2, |inner| {
        let size = prop_oneof![
            (-3..300_i64).prop_map(PageSize::Number),
            (0..=VARIABLES).prop_map(PageSize::Variable)
        ];
        let page = (0..2_usize, vec(size, 0..3), any::<bool>(), inner)
            .prop_map(|(connection, sizes, has_edges, of)| Page { connection, sizes, has_edges, of });
        (0..3_u64, vec(page, 1..3), any::<bool>()).prop_map(|(fields, pages, is_fragment)| ObjectSelection {
            fields,
            pages,
            is_fragment,
        })
    })
}

impl ObjectSelection {
    /// The text between the braces.
    fn text(&self, of: &str, fragments: &mut Vec<String>) -> String {
        let mut text: String = (0..self.fields).map(|_| "__typename ").collect();
        for page in &self.pages {
            text.push_str(&page.text(of, fragments));
        }
        if !self.is_fragment {
            return text;
        }
        let name = format!("G{}", fragments.len());
        fragments.push(format!("fragment {name} on {of} {{ {text}}} "));
        format!("...{name} ")
    }

    fn cost(&self, of: &str, variables: &[i64]) -> u64 {
        self.fields + self.pages.iter().map(|page| page.cost(of, variables)).sum::<u64>()
    }
}

impl Page {
    fn connection(&self, of: &str) -> (&'static str, &'static str) {
        let all = connections(of);
        all[self.connection % all.len()]
    }

    fn text(&self, of: &str, fragments: &mut Vec<String>) -> String {
        let (name, of) = self.connection(of);
        let inner = self.of.text(of, fragments);
        if name == "product" {
            return format!("product {{ {inner}}} ");
        }
        let sizes = ["first", "last"].iter().zip(&self.sizes).map(|(argument, size)| match size {
            PageSize::Number(number) => format!("{argument}: {number} "),
            PageSize::Variable(at) => format!("{argument}: $v{at} "),
        });
        let sizes: String = sizes.collect();
        let arguments = if sizes.is_empty() { sizes } else { format!("({sizes})") };
        let items = if self.has_edges {
            format!("... {{ edges {{ node {{ {inner}}} }} }}")
        } else {
            format!("nodes {{ {inner}}}")
        };
        format!("{name}{arguments} {{ {items} }} ")
    }

    fn cost(&self, of: &str, variables: &[i64]) -> u64 {
        let (name, of) = self.connection(of);
        let item = self.of.cost(of, variables);
        if name == "product" {
            return 1 + item;
        }
        let size = |size: &PageSize| match size {
            PageSize::Number(number) => *number,
            // A missing variable counts as 0.
            PageSize::Variable(at) => variables.get(*at).copied().unwrap_or_default(),
        };
        // Ten items without a page size.
        let size = self.sizes.iter().map(size).max().unwrap_or(10).clamp(0, 250);
        2 + u64::try_from(size).unwrap() * (item + u64::from(self.has_edges))
    }
}

proptest! {
    #[test]
    fn shapes_match_the_reference_implementation(sketch in sketches()) {
        let text = sketch.text();
        let shape = Shape::measure(&parse_query(&text).unwrap());
        match sketch.shape() {
            None => {
                let is_rejected =
                    matches!(shape, Err(ShapeError::Cycle(_) | ShapeError::UnknownFragment(..)));
                prop_assert!(is_rejected, "{shape:?}: {text}");
            }
            Some(plain) => {
                let shape = shape.map(|of| {
                    [of.fields, of.depth, of.aliases, of.directives, of.root_fields, of.nodes]
                });
                prop_assert_eq!(shape, Ok(plain), "{}", text);
            }
        }
    }

    #[test]
    fn selections_nest_through_fragments(depths in vec(0..24_u64, 1..6)) {
        let mut text = "{ ...F0 } ".to_owned();
        for (at, depth) in depths.iter().enumerate() {
            let inner = if at + 1 < depths.len() { format!("...F{}", at + 1) } else { "a".to_owned() };
            let wrapped = (0..*depth).fold(inner, |inner, _| format!("a {{ {inner} }}"));
            text.push_str(&format!("fragment F{at} on X {{ {wrapped} }} "));
        }
        let nesting = 1 + depths.iter().map(|depth| depth + 1).sum::<u64>();
        match Shape::measure(&parse_query(&text).unwrap()) {
            Ok(shape) => {
                prop_assert!(nesting <= MAX_SELECTION_NESTING as u64, "{}", text);
                prop_assert_eq!(shape.depth, depths.iter().sum::<u64>() + 1);
            }
            Err(error) => {
                prop_assert!(matches!(error, ShapeError::Limit(_)), "{error:?}");
                prop_assert!(nesting > MAX_SELECTION_NESTING as u64, "{}", text);
            }
        }
    }

    #[test]
    fn brackets_are_counted_as_the_parser_reads_them((value, depth) in bracketed()) {
        let (text, depth) = (format!("{{ a(b: {value}) }}"), depth + 2);
        prop_assert!(parse_query(&text).is_ok(), "{}", text);
        prop_assert_eq!(open_brackets(&text), (depth, true), "{}", text);
        prop_assert!(is_within_nesting(&text, depth), "{}", text);
        prop_assert!(!is_within_nesting(&text, depth - 1), "{}", text);
    }

    #[test]
    fn brackets_in_malformed_text_are_counted(text in random_text()) {
        let (depth, is_whole) = open_brackets(&text);
        if depth > 0 {
            prop_assert!(!is_within_nesting(&text, depth - 1), "{}", text);
        }
        prop_assert!(!is_whole || is_within_nesting(&text, depth), "{}", text);
    }

    #[test]
    fn costs_multiply_by_pages(
        selection in selections(),
        variables in vec(-3..300_i64, VARIABLES),
        ids in 0..5_usize,
        has_variable_ids in any::<bool>(),
    ) {
        let (types, mut fragments) = (type_system(), Vec::new());
        let root = types.root(OperationType::Query);
        let selected = selection.text(root, &mut fragments);
        let list: Vec<String> = (0..ids).map(|id| format!("\"{id}\"")).collect();
        let list = if has_variable_ids { "$ids".to_owned() } else { format!("[{}]", list.join(", ")) };
        let text = format!("{{ {selected} nodes(ids: {list}) {{ id }} }} {}", fragments.concat());
        let mut values: serde_json::Map<String, Json> =
            variables.iter().enumerate().map(|(at, size)| (format!("v{at}"), json!(size))).collect();
        values.insert("ids".to_owned(), json!((0..ids).collect::<Vec<_>>()));
        let document = parse_query(&text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let cost = Cost::compile(types, &document, &operation.node);
        let cost = cost.evaluate(&Variables::from_json(values.into()));
        prop_assert_eq!(cost, selection.cost(root, &variables) + 1 + ids as u64, "{}", text);
    }
}
