//! Files that depend on each other can only be understood together, so they are forbidden.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// Cycles that are allowed, and why.
const EXCEPTIONS: &[(&[&str], &str)] = &[
    (&["db::conn", "db::reclaim"], "a dropped connection is reclaimed, which resets or closes it"),
    (
        &["domain::catalog::search::forms", "domain::catalog::search::words"],
        "a compound has the forms of its words",
    ),
    (&["graphql::catalog", "graphql::media"], "types of the graph refer to each other"),
    (
        &["graphql::checkout::carts::lines", "graphql::checkout::carts::unsupported"],
        "types of the graph refer to each other",
    ),
    (
        &[
            "repositories::catalog::products::filter",
            "repositories::catalog::products::list",
            "repositories::catalog::products::ranking",
            "repositories::catalog::products::scan",
        ],
        "parts of the statement that reads a page of products",
    ),
    (
        &["services::mails::overrides", "services::mails::renderer"],
        "a shop's own templates replace built-in ones, and are checked against them",
    ),
];

/// All cycles between files other than parent and child, without the exceptions; and exceptions
/// that are no longer needed.
pub fn cycles(sources: &[Source]) -> Vec<String> {
    let found = find(sources);
    let name = |cycle: &BTreeSet<String>| cycle.iter().cloned().collect::<Vec<_>>().join(", ");
    let is_exception =
        |cycle: &&BTreeSet<String>| EXCEPTIONS.iter().any(|(modules, _)| cycle.iter().eq(modules.iter()));
    let unknown = found.iter().filter(|cycle| !is_exception(cycle));
    let unknown = unknown.map(|cycle| format!("these depend on each other: {}", name(cycle)));
    let is_obsolete =
        |(modules, _): &&(&[&str], &str)| !found.iter().any(|cycle| cycle.iter().eq(modules.iter()));
    let obsolete = EXCEPTIONS.iter().filter(is_obsolete);
    let obsolete =
        obsolete.map(|(modules, _)| format!("this exception is no longer needed: {}", modules.join(", ")));
    unknown.chain(obsolete).collect()
}

/// The sets of modules that depend on each other.
pub fn find(sources: &[Source]) -> Vec<BTreeSet<String>> {
    let names: BTreeSet<String> = sources.iter().map(|source| source.module().join("::")).collect();
    let uses: BTreeMap<String, BTreeSet<String>> =
        sources.iter().map(|source| (source.module().join("::"), used(source, &names))).collect();
    let reachable: BTreeMap<&String, BTreeSet<&String>> =
        uses.keys().map(|module| (module, reach(module, &uses))).collect();
    let cycle = |module: &String| -> BTreeSet<String> {
        let others = reachable[module].iter().filter(|other| reachable[**other].contains(module));
        others.map(|other| (*other).clone()).collect()
    };
    let cycles: BTreeSet<BTreeSet<String>> = uses.keys().map(cycle).collect();
    cycles.into_iter().filter(|cycle| cycle.len() > 1).collect()
}

/// The modules that a file uses outside of its tests, except its parents and children.
fn used(source: &Source, names: &BTreeSet<String>) -> BTreeSet<String> {
    let module = source.module().join("::");
    let tests = source.code.find("#[cfg(test)]\nmod tests");
    let last_line = tests.map_or(usize::MAX, |tests| source.code[..tests].matches('\n').count());
    let is_relative = |other: &String| {
        let is_child = |child: &str, parent: &str| child.starts_with(&format!("{parent}::"));
        *other == module || is_child(other, &module) || is_child(&module, other)
    };
    let paths = source.names().into_iter().filter(|named| named.line <= last_line);
    let modules = paths.filter_map(|named| {
        let ["crate", parts @ ..] = &*named.parts.iter().map(String::as_str).collect::<Vec<_>>() else {
            return None;
        };
        (1..=parts.len()).rev().map(|count| parts[..count].join("::")).find(|name| names.contains(name))
    });
    modules.filter(|other| !is_relative(other)).collect()
}

/// All modules that one depends on, directly or not.
fn reach<'a>(module: &'a String, uses: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<&'a String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![module]);
    while let Some(next) = open.pop() {
        for other in &uses[next] {
            if found.insert(other) {
                open.push(other);
            }
        }
    }
    found
}

#[test]
fn cycles_are_found_except_between_parents_and_children() {
    let sources = [
        Source::new("src/a.rs", "pub mod x; use x::X; use crate::b::B;"),
        Source::new("src/a/x.rs", "use super::A; use crate::c::C;"),
        Source::new("src/b.rs", "fn f() { crate::c::g() }"),
        Source::new("src/c.rs", "use crate::{b::B, a::A};\n#[cfg(test)]\nmod tests { use crate::d::D; }"),
        Source::new("src/d.rs", "use crate::c::C;"),
    ];
    let cycle = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(find(&sources), vec![BTreeSet::from(cycle)]);
}
