//! The fields that a response may have, compiled once per document. Finished responses are
//! traversed along them for two purposes: async-graphql returns fields in the order of their
//! completion, where the specification demands that of the document; and resolvers create ids in
//! Mercato's namespace, which are converted if the settings name the other one. Only fields of type
//! `ID` are converted, not texts that happen to look like ids.

use async_graphql::indexmap::{IndexMap, IndexSet};
use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Value};

use super::type_system::{TypeSystem, concrete_name};
use crate::domain::ids::Namespace;

/// The size of a field's shape in memory, in bytes.
const FIELD_BYTES: u64 = 160;

/// The fields of an object in a response, with fragments expanded, in the order of the document.
#[derive(Default)]
pub(super) struct ResponseShape {
    /// By response name.
    fields: IndexMap<Name, FieldShape>,
    /// Whether the order may be different for some objects: the document selects fields in
    /// different orders on several types, or repeatedly under conditions. Which of them an object
    /// meets is not known here, so its fields stay as they are.
    varies: bool,
}

struct FieldShape {
    is_id: bool,
    /// Without fields for scalars and enums.
    object: ResponseShape,
}

impl ResponseShape {
    /// Compiles the shape of an operation, which must be valid and within limits.
    pub(super) fn compile(
        types: &TypeSystem,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
    ) -> Self {
        let root = SelectedSet {
            on: types.root(operation.ty),
            set: &operation.selection_set.node,
            source: 0,
            is_optional: false,
        };
        ShapeCompiler { types, document }.object(&[root])
    }

    /// The size in memory, in bytes.
    pub(super) fn weight(&self) -> u64 {
        self.fields.values().map(|field| FIELD_BYTES + field.object.weight()).sum()
    }

    /// Puts the fields of a response in the order of the document, and converts its ids to a
    /// namespace.
    pub(super) fn arrange(&self, data: &mut Value, namespace: Namespace) {
        match data {
            Value::List(items) => items.iter_mut().for_each(|item| self.arrange(item, namespace)),
            Value::Object(fields) => {
                // Usually, the next field is the one after the previous field.
                let (mut next, mut is_in_order) = (0, true);
                for (name, value) in fields.iter_mut() {
                    let is_next = self.fields.get_index(next).is_some_and(|(expected, _)| expected == name);
                    let found = if is_next { Some(next) } else { self.fields.get_index_of(name) };
                    let Some((at, (_, field))) = found.and_then(|at| Some((at, self.fields.get_index(at)?)))
                    else {
                        continue;
                    };
                    is_in_order &= at >= next;
                    next = at + 1;
                    if field.is_id {
                        convert_id(value, namespace);
                    } else if !field.object.fields.is_empty() {
                        field.object.arrange(value, namespace);
                    }
                }
                if !is_in_order && !self.varies {
                    fields.sort_by_cached_key(|name, _| self.fields.get_index_of(name));
                }
            }
            _ => {}
        }
    }
}

fn convert_id(value: &mut Value, namespace: Namespace) {
    match value {
        Value::String(id) if namespace != Namespace::Mercato => {
            if let Some(rest) = id.strip_prefix(Namespace::Mercato.prefix()) {
                *id = format!("{}{rest}", namespace.prefix());
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| convert_id(item, namespace)),
        _ => {}
    }
}

/// A selection set that applies to an object.
struct SelectedSet<'a> {
    /// The object's type.
    on: &'a str,
    set: &'a SelectionSet,
    /// Which selections of its field it belongs to: sets of the same number apply to the same
    /// objects.
    source: usize,
    /// Whether it is left out under a condition, while others may apply.
    is_optional: bool,
}

/// A field that is selected in a set.
struct SelectedField<'a> {
    /// The type that it is selected on.
    on: &'a str,
    field: &'a Field,
    /// The objects that it is selected for, as an index of [`Selections::classes`].
    class: usize,
    source: usize,
    /// Whether `@skip` or `@include` may leave it out.
    is_optional: bool,
}

/// The fields that sets select, with fragments expanded.
struct Selections<'a> {
    /// The types that the object may have.
    objects: Vec<&'a str>,
    /// For each kind of fragment, which of the objects it applies to.
    classes: IndexSet<Vec<bool>>,
    fields: Vec<SelectedField<'a>>,
}

impl Selections<'_> {
    fn is_for(&self, field: &SelectedField<'_>, object: usize) -> bool {
        self.classes.get_index(field.class).and_then(|class| class.get(object)) == Some(&true)
    }
}

struct ShapeCompiler<'a> {
    types: &'a TypeSystem,
    document: &'a ExecutableDocument,
}

impl<'a> ShapeCompiler<'a> {
    /// Compiles the shape of an object from all selection sets that apply to it.
    fn object(&self, sets: &[SelectedSet<'a>]) -> ResponseShape {
        let mut objects: Vec<&str> = sets.iter().flat_map(|set| self.possible_types(set.on)).collect();
        objects.sort_unstable();
        objects.dedup();
        let all = vec![true; objects.len()];
        let mut selections = Selections { objects, classes: IndexSet::new(), fields: Vec::new() };
        for set in sets {
            self.collect(set, &all, &mut selections);
        }

        let mut groups: IndexMap<&Name, Vec<&SelectedField<'a>>> = IndexMap::new();
        let mut positions = Vec::with_capacity(selections.fields.len());
        for field in &selections.fields {
            let group = groups.entry(&field.field.response_key().node);
            positions.push((group.index(), field));
            group.or_default().push(field);
        }
        let has_optional =
            groups.values().any(|group| group.len() > 1 && group.iter().any(|field| field.is_optional));
        let is_in_order = |object: usize| {
            let of_object = positions.iter().filter(|(_, field)| selections.is_for(field, object));
            of_object.map(|(position, _)| *position).collect::<IndexSet<_>>().iter().is_sorted()
        };
        let varies = has_optional
            || !have_same_order(&positions, groups.len())
            || (selections.classes.len() > 1 && !(0..all.len()).all(is_in_order));
        let fields = groups.into_iter().map(|(name, selected)| (name.clone(), self.field(&selected)));
        let fields = fields.collect();
        ResponseShape { fields, varies }
    }

    fn field(&self, selected: &[&SelectedField<'a>]) -> FieldShape {
        let mut sources = IndexSet::new();
        let mut sets = Vec::new();
        for selection in selected {
            let Some(definition) = self.types.field(selection.on, &selection.field.name.node) else {
                continue;
            };
            let (source, _) = sources.insert_full((selection.source, selection.class));
            sets.push(SelectedSet {
                on: concrete_name(definition.ty),
                set: &selection.field.selection_set.node,
                source,
                is_optional: selection.is_optional && selected.len() > 1,
            });
        }
        // Fields with the same response name have types of the same shape.
        let is_id = sets.iter().any(|set| set.on == "ID");
        let is_object = sets.iter().any(|set| !set.set.items.is_empty());
        let object = if is_object { self.object(&sets) } else { ResponseShape::default() };
        FieldShape { is_id, object }
    }

    /// Collects the fields of a set, for the objects in `applies_to` that have the set's type.
    fn collect(&self, set: &SelectedSet<'a>, applies_to: &[bool], selections: &mut Selections<'a>) {
        let includes = |(object, applies): (&&str, &bool)| *applies && self.includes(set.on, object);
        let applies_to: Vec<bool> = selections.objects.iter().zip(applies_to).map(includes).collect();
        if !applies_to.contains(&true) {
            return;
        }
        let (class, _) = selections.classes.insert_full(applies_to.clone());
        for selection in &set.set.items {
            let is_optional = set.is_optional || !selection.node.directives().is_empty();
            let (on, fragment) = match &selection.node {
                Selection::Field(field) => {
                    let (on, field, source) = (set.on, &field.node, set.source);
                    selections.fields.push(SelectedField { on, field, class, source, is_optional });
                    continue;
                }
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    (on, &fragment.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                    let Some(fragment) = fragment else { continue };
                    let on = fragment.node.type_condition.node.on.node.as_str();
                    (Some(on), &fragment.node.selection_set.node)
                }
            };
            let nested =
                SelectedSet { on: on.unwrap_or(set.on), set: fragment, source: set.source, is_optional };
            self.collect(&nested, &applies_to, selections);
        }
    }

    /// The object types of a type: the possible types of an abstract one, or the type itself.
    fn possible_types(&self, name: &'a str) -> Vec<&'a str> {
        let possible = self.types.find(name).and_then(|ty| ty.possible_types());
        possible.map_or_else(|| vec![name], |types| types.iter().map(String::as_str).collect())
    }

    /// Whether an object has a type.
    fn includes(&self, ty: &str, object: &str) -> bool {
        ty == object || self.types.find(ty).is_some_and(|ty| ty.is_possible_type(object))
    }
}

/// Whether fields have the same order whichever sources apply to an object: each source selects
/// either all of them in the same order, or none that another one selects.
fn have_same_order(positions: &[(usize, &SelectedField<'_>)], fields: usize) -> bool {
    let mut sources: IndexMap<usize, IndexSet<usize>> = IndexMap::new();
    for (position, field) in positions {
        sources.entry(field.source).or_default().insert(*position);
    }
    let selected: usize = sources.values().map(IndexSet::len).sum();
    selected == fields
        || sources.values().all(|positions| positions.len() == fields && positions.iter().is_sorted())
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;
    use crate::graphql::request::type_system::type_system;

    /// Arranges data given as JSON, in which the order of fields matters.
    fn arrange(text: &str, namespace: Namespace, data: &str) -> String {
        let document = parse_query(text).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let mut data: Value = serde_json::from_str(data).unwrap();
        ResponseShape::compile(type_system(), &document, &operation.node).arrange(&mut data, namespace);
        serde_json::to_string(&data).unwrap()
    }

    #[test]
    fn ids_are_converted_at_any_depth_and_texts_are_not() {
        let text = "query {
                nodes(ids: []) { __typename ...P ... on Collection { key: id } }
                products(first: 1) { nodes { id title variants(first: 1) { nodes { id } } } }
            }
            fragment P on Product { key: id description }";
        let data = |namespace: &str| {
            let product = format!("\"{namespace}Product/1\"");
            format!(
                "{{\"nodes\":[{{\"__typename\":\"Product\",\"key\":{product},\"description\":\"gid://mercato/\"}},\
                 null,{{\"__typename\":\"Collection\",\"key\":\"{namespace}Collection/1\"}}],\
                 \"products\":{{\"nodes\":[{{\"id\":{product},\"title\":\"gid://mercato/Product/1\",\
                 \"variants\":{{\"nodes\":[{{\"id\":\"{namespace}ProductVariant/2\"}}]}}}}]}}}}"
            )
        };
        let mercato = data("gid://mercato/");
        assert_eq!(arrange(text, Namespace::Shopify, &mercato), data("gid://shopify/"));
        assert_eq!(arrange(text, Namespace::Mercato, &mercato), mercato);
    }

    #[test]
    fn fields_have_the_order_of_the_document() {
        let text = "query {
                b: shop { name }
                ...Rest
                products(first: 1) { nodes { title ...P id } }
            }
            fragment Rest on QueryRoot { a: shop { name id } b: shop { id } }
            fragment P on Product { vendor title handle }";
        let data = r#"{"products":{"nodes":[{"handle":1,"id":2,"title":3},{"vendor":4}]},"a":{"id":5,"name":6},"b":{"id":7,"name":8}}"#;
        let expected = r#"{"b":{"name":8,"id":7},"a":{"name":6,"id":5},"products":{"nodes":[{"title":3,"handle":1,"id":2},{"vendor":4}]}}"#;
        assert_eq!(arrange(text, Namespace::Mercato, data), expected);
    }

    #[test]
    fn fields_of_several_types_are_ordered_if_the_order_is_the_same_for_all() {
        let data = r#"{"node":{"id":1,"title":2,"handle":3}}"#;
        let swapped =
            "{ node(id: 1) { ... on Product { handle title } id ... on Collection { title handle } } }";
        assert_eq!(arrange(swapped, Namespace::Mercato, data), data);
        let same = "{ node(id: 1) { ... on Product { handle title } ... on Collection { title } id } }";
        let expected = r#"{"node":{"handle":3,"title":2,"id":1}}"#;
        assert_eq!(arrange(same, Namespace::Mercato, data), expected);
        let nested =
            "{ node(id: 1) { ... on Product { ... on Node { id } title } ... on Collection { title id } } }";
        let data = r#"{"node":{"title":1,"id":2}}"#;
        assert_eq!(arrange(nested, Namespace::Mercato, data), data);
        let below = "{ node(id: 1) { ... on Product { image: featuredImage { url altText } }
            ... on Collection { image { altText url } } } }";
        let data = r#"{"node":{"image":{"altText":1,"url":2}}}"#;
        assert_eq!(arrange(below, Namespace::Mercato, data), data);
        let concrete = "{ product(id: 1) { ... on Node { id ... on Collection { title } } handle title } }";
        let data = r#"{"product":{"title":1,"handle":2,"id":3}}"#;
        let expected = r#"{"product":{"id":3,"handle":2,"title":1}}"#;
        assert_eq!(arrange(concrete, Namespace::Mercato, data), expected);
    }

    #[test]
    fn fields_of_several_fragments_are_ordered() {
        let text = "{ product(id: 1) { ...A ...B } }
            fragment A on Product { priceRange { minVariantPrice { amount } } title }
            fragment B on Product { priceRange { maxVariantPrice { amount } minVariantPrice { currencyCode amount } } }";
        let data = r#"{"product":{"title":1,"priceRange":{"maxVariantPrice":{"amount":2},"minVariantPrice":{"currencyCode":3,"amount":4}}}}"#;
        let expected = r#"{"product":{"priceRange":{"minVariantPrice":{"amount":4,"currencyCode":3},"maxVariantPrice":{"amount":2}},"title":1}}"#;
        assert_eq!(arrange(text, Namespace::Mercato, data), expected);
    }

    #[test]
    fn repeated_fields_that_may_be_left_out_stay_where_they_are() {
        let text = "query($f: Boolean!) { product(id: 1) { ...Full @include(if: $f) id title } }
            fragment Full on Product { title vendor id }";
        let data = r#"{"product":{"id":1,"title":2}}"#;
        assert_eq!(arrange(text, Namespace::Mercato, data), data);
        let text = "query($f: Boolean!) { product(id: 1) { id @skip(if: $f) title vendor } }";
        let data = r#"{"product":{"vendor":1,"title":2}}"#;
        assert_eq!(arrange(text, Namespace::Mercato, data), r#"{"product":{"title":2,"vendor":1}}"#);
    }
}
