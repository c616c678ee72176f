//! The shape of a parsed document: counts of what it expands to, computed in a single traversal
//! that visits each fragment once.

use std::collections::{HashMap, HashSet};

use async_graphql::parser::types::{
    Directive, ExecutableDocument, FragmentDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::Value;

use super::LimitError;
use crate::domain::access::query_limits::CallerLimits;

/// The maximum nesting of selections of any kind. The traversal stops there, so that a long chain
/// of fragments can't overflow the stack.
pub(in crate::graphql) const MAX_SELECTION_NESTING: usize = 64;

/// What a document expands to: the sum over its operations, with each fragment counted at every
/// spread, and over its unused fragments.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(in crate::graphql) struct Shape {
    /// Number of selected fields.
    pub fields: u64,
    /// Number of fields that are not nested in other fields.
    top_level_fields: u64,
    /// Maximum nesting of fields.
    pub depth: u64,
    /// Maximum nesting of selections of any kind.
    nesting: u64,
    /// Number of aliased fields.
    pub aliases: u64,
    /// Number of directives of any kind.
    pub directives: u64,
    /// Maximum number of root fields of a mutation.
    pub root_fields: u64,
    /// Number of nodes of the parsed document, without expansion, which determines its size in
    /// memory.
    pub nodes: u64,
    /// Whether any part of the document selects `__schema`, `__type` or `_service`.
    pub has_introspection: bool,
    /// Whether any part of the document selects `_service` or `_entities`, the fields for gateways.
    pub has_federation: bool,
}

/// Why a document can't be measured.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::graphql) enum ShapeError {
    /// Selections nest too deeply.
    Limit(LimitError),
    /// A fragment spreads itself.
    Cycle(Name),
    /// A fragment is spread but not defined. Rejected here, since spreads of it select no fields
    /// that could be counted, but may be expanded exponentially often.
    UnknownFragment(Name, Pos),
    /// A text has a NUL character.
    Nul(Pos),
}

impl Shape {
    /// Measures a document.
    pub(in crate::graphql) fn measure(document: &ExecutableDocument) -> Result<Self, ShapeError> {
        let mut walker = ShapeWalker {
            fragments: &document.fragments,
            shapes: HashMap::new(),
            nodes: 0,
            has_introspection: false,
            has_federation: false,
        };
        let (mut total, mut root_fields) = (Self::default(), 0);
        for (_, operation) in document.operations.iter() {
            let mut shape = walker.selection_set(&operation.node.selection_set.node, 0)?;
            shape.directives += walker.directives(&operation.node.directives)?;
            for variable in &operation.node.variable_definitions {
                walker.nodes += 1;
                if let Some(default) = &variable.node.default_value {
                    walker.value(&default.node.clone().into_value(), default.pos)?;
                }
            }
            if operation.node.ty == OperationType::Mutation {
                root_fields = root_fields.max(shape.top_level_fields);
            }
            total = total.combine(shape);
        }
        // The validator also expands unused fragments, each separately.
        let spread: HashSet<&Name> = walker.shapes.keys().copied().collect();
        for (name, fragment) in &document.fragments {
            let shape = walker.fragment(name, fragment, 0)?;
            if !spread.contains(name) {
                total = total.combine(shape);
            }
        }
        (total.nodes, total.root_fields) = (walker.nodes, root_fields);
        total.has_introspection = walker.has_introspection;
        total.has_federation = walker.has_federation;
        Ok(total)
    }

    /// Rejects a shape that exceeds a caller's limits.
    pub(in crate::graphql) fn check(&self, limits: &CallerLimits) -> Result<(), LimitError> {
        LimitError::check(
            "QUERY_MAX_DEPTH",
            "The depth of the document's fields",
            self.depth,
            limits.max_depth,
            "nest fewer fields in one another, and ask for the rest in a second request",
        )?;
        LimitError::check(
            "QUERY_MAX_FIELDS",
            "The number of fields that the document selects, with fragments expanded,",
            self.fields,
            limits.max_fields,
            "select fewer fields, or send several requests",
        )?;
        LimitError::check(
            "QUERY_MAX_ALIASES",
            "The number of aliases in the document, with fragments expanded,",
            self.aliases,
            limits.max_aliases,
            "ask for lists instead of many single things, or send several requests",
        )?;
        LimitError::check(
            "QUERY_MAX_DIRECTIVES",
            "The number of directives in the document, with fragments expanded,",
            self.directives,
            limits.max_directives,
            "put @include and @skip on fragments instead of on single fields",
        )?;
        LimitError::check(
            "QUERY_MAX_ROOT_FIELDS",
            "The number of fields of the mutation",
            self.root_fields,
            limits.max_root_fields,
            "send one request for each change, or use a mutation that takes a list",
        )
    }

    /// Combines the shapes of adjacent selections.
    fn combine(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            depth: self.depth.max(other.depth),
            nesting: self.nesting.max(other.nesting),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            top_level_fields: self.top_level_fields.saturating_add(other.top_level_fields),
            root_fields: 0,
            nodes: 0,
            has_introspection: false,
            has_federation: false,
        }
    }
}

struct ShapeWalker<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// The shapes of fragments; `None` for those being measured.
    shapes: HashMap<&'a Name, Option<Shape>>,
    nodes: u64,
    has_introspection: bool,
    has_federation: bool,
}

impl<'a> ShapeWalker<'a> {
    fn selection_set(&mut self, set: &'a SelectionSet, nesting: u64) -> Result<Shape, ShapeError> {
        check_nesting(nesting)?;
        let mut total = Shape::default();
        for selection in &set.items {
            self.nodes += 1;
            let directives = self.directives(selection.node.directives())?;
            let mut shape = match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.name.node.as_str();
                    self.has_introspection |= matches!(name, "__schema" | "__type" | "_service");
                    self.has_federation |= matches!(name, "_service" | "_entities");
                    for (_, value) in &field.node.arguments {
                        self.value(&value.node, value.pos)?;
                    }
                    let mut shape = self.selection_set(&field.node.selection_set.node, nesting + 1)?;
                    shape.fields = shape.fields.saturating_add(1);
                    shape.top_level_fields = 1;
                    shape.depth += 1;
                    shape.aliases = shape.aliases.saturating_add(u64::from(field.node.alias.is_some()));
                    shape
                }
                Selection::InlineFragment(fragment) => {
                    self.selection_set(&fragment.node.selection_set.node, nesting + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    match self.fragments.get_key_value(name) {
                        Some((name, fragment)) => self.fragment(name, fragment, nesting + 1)?,
                        None => return Err(ShapeError::UnknownFragment(name.clone(), spread.pos)),
                    }
                }
            };
            shape.nesting += 1;
            shape.directives = shape.directives.saturating_add(directives);
            total = total.combine(shape);
        }
        check_nesting(nesting + total.nesting)?;
        Ok(total)
    }

    fn fragment(
        &mut self,
        name: &'a Name,
        fragment: &'a Positioned<FragmentDefinition>,
        nesting: u64,
    ) -> Result<Shape, ShapeError> {
        match self.shapes.get(name) {
            Some(Some(shape)) => {
                check_nesting(nesting + shape.nesting)?;
                return Ok(*shape);
            }
            Some(None) => return Err(ShapeError::Cycle(name.clone())),
            None => {}
        }
        self.shapes.insert(name, None);
        self.nodes += 1;
        let mut shape = self.selection_set(&fragment.node.selection_set.node, nesting)?;
        shape.directives = shape.directives.saturating_add(self.directives(&fragment.node.directives)?);
        self.shapes.insert(name, Some(shape));
        Ok(shape)
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) -> Result<u64, ShapeError> {
        for directive in directives {
            self.nodes += 1;
            for (_, value) in &directive.node.arguments {
                self.value(&value.node, value.pos)?;
            }
        }
        Ok(directives.len() as u64)
    }

    /// Counts the nodes of a value, whose nesting was limited with the brackets of the text, and
    /// looks for NUL in its texts.
    fn value(&mut self, value: &Value, pos: Pos) -> Result<(), ShapeError> {
        self.nodes += 1;
        match value {
            Value::List(items) => items.iter().try_for_each(|item| self.value(item, pos)),
            Value::Object(fields) => fields.values().try_for_each(|field| self.value(field, pos)),
            Value::String(text) if text.contains('\0') => Err(ShapeError::Nul(pos)),
            _ => Ok(()),
        }
    }
}

fn check_nesting(nesting: u64) -> Result<(), ShapeError> {
    if nesting <= MAX_SELECTION_NESTING as u64 {
        return Ok(());
    }
    Err(ShapeError::Limit(LimitError {
        setting: None,
        subject: "The nesting of the document's selections, with fragments expanded,",
        value: None,
        limit: MAX_SELECTION_NESTING as u64,
        remedy: "spread fewer fragments within fragments",
    }))
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn shape(text: &str) -> Result<Shape, ShapeError> {
        Shape::measure(&parse_query(text).unwrap())
    }

    #[test]
    fn fragments_count_once_per_spread() {
        let text = "mutation { a { ...F } b: c { ...F ... @skip(if: true) { d } } } \
                    fragment F on X { e f: g { h } }";
        let shape = shape(text).unwrap();
        assert_eq!((shape.fields, shape.depth, shape.aliases), (9, 3, 3));
        assert_eq!((shape.directives, shape.root_fields), (1, 2));
    }

    #[test]
    fn introspection_is_detected_anywhere_in_a_document() {
        for document in [
            "{ __schema { types { name } } }",
            "{ shop { name } kind: __type(name: \"Shop\") { name } }",
            "query { ... on QueryRoot { __schema { queryType { name } } } }",
            "query A { shop { name } } query B { ...F } fragment F on QueryRoot { __type(name: \"A\") { name } }",
            "{ shop { name } schema: _service { sdl } }",
        ] {
            assert!(shape(document).unwrap().has_introspection, "{document}");
        }
        let plain = "query A { __typename shop { __typename name } } query schema { type: shop { id } }";
        assert!(!shape(plain).unwrap().has_introspection);
    }

    #[test]
    fn fields_for_gateways_are_detected_anywhere_in_a_document() {
        for document in [
            "{ found: _entities(representations: []) { __typename } }",
            "query A { shop { name } } query B { ...F } fragment F on QueryRoot { _service { sdl } }",
        ] {
            assert!(shape(document).unwrap().has_federation, "{document}");
        }
        assert!(
            !shape("{ _entities: shop { _service: name } __schema { types { name } } }")
                .unwrap()
                .has_federation
        );
    }

    #[test]
    fn only_root_fields_of_mutations_are_counted() {
        assert_eq!(shape("{ a b c }").unwrap().root_fields, 0);
        let spread =
            "mutation { ...F ...F } fragment F on Mutation { a b ...G } fragment G on Mutation { c }";
        assert_eq!(shape(spread).unwrap().root_fields, 6);
    }

    #[test]
    fn exponential_expansions_are_counted_without_expanding_them() {
        let mut text = "{ ...F0 }".to_owned();
        for n in 0..40 {
            let next = format!("...F{} ", n + 1).repeat(6);
            text.push_str(&format!(" fragment F{n} on QueryRoot {{ {next} }}"));
        }
        text.push_str(" fragment F40 on QueryRoot { a }");
        assert_eq!(shape(&text).unwrap().fields, u64::MAX);
    }

    #[test]
    fn unused_fragments_count_and_undefined_ones_are_rejected() {
        let doubled = |last: &str| -> String {
            let next = |n: usize| format!("fragment F{n} on X {{ ...F{0} ...F{0} }} ", n + 1);
            (0..30).map(next).collect::<String>() + last
        };
        let unused = format!("{{ a }} {}", doubled("fragment F30 on X { a }"));
        assert!(shape(&unused).unwrap().fields > 1 << 30);
        let missing = shape(&format!("{{ ...F0 }} {}", doubled("")));
        assert!(matches!(missing, Err(ShapeError::UnknownFragment(name, _)) if name == "F30"));
    }

    #[test]
    fn cycles_and_long_chains_of_fragments_are_rejected() {
        let cycle = "{ ...A } fragment A on X { a { ...B } } fragment B on X { b { ...A } }";
        assert!(matches!(shape(cycle), Err(ShapeError::Cycle(_))));
        let mut chain = "{ ...F0 }".to_owned();
        for n in 0..3_000 {
            chain.push_str(&format!(" fragment F{n} on X {{ ...F{} }}", n + 1));
        }
        assert!(matches!(shape(&chain), Err(ShapeError::Limit(_))));
    }
}
