//! Objects whose fields are resolved inline, in the order of the document.
//!
//! async-graphql creates a boxed future for every field, and returns the fields in the order of
//! their completion. But most fields of list items are ready immediately. Here, each field is
//! polled once when its future is created, only pending futures are kept, and the result has the
//! order that the specification demands. Rare selections (fragments on other types, directives) are
//! left to async-graphql. Schema extensions that observe fields would not see these fields; there
//! are none. While a trace is recorded, fields that are slow get a span of their own.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_graphql::indexmap::IndexMap;
use async_graphql::indexmap::map::Entry;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::{ContainerType, resolve_container};
use async_graphql::{ContextSelectionSet, Name, OutputType, Positioned, ServerError, ServerResult, Value};
use tracing::level_filters::LevelFilter;

use crate::graphql::request::RequestData;

/// How long a field takes that gets a span in traces.
const SLOW_FIELD: Duration = Duration::from_millis(20);

/// An object whose fields are resolved inline.
pub(crate) struct InlineObject<T>(pub T);

impl<T: ContainerType> OutputType for InlineObject<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.introspection_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        if let Some(request) = ctx.data_opt::<RequestData>() {
            let spent = request.budget.spend(ctx.item.node.items.len()).await;
            spent.map_err(|reason| ServerError::new(reason.to_string(), Some(field.pos)))?;
        }
        let mut fields = Vec::with_capacity(ctx.item.node.items.len());
        if collect_fields(ctx, &T::type_name(), &ctx.item.node, &mut fields) {
            Ok(resolve_fields(ctx, &self.0, fields).await)
        } else {
            resolve_container(ctx, &self.0).await
        }
    }
}

/// Collects the fields selected on a type; `false` if there are directives or fragments on other
/// types.
fn collect_fields<'a>(
    ctx: &ContextSelectionSet<'a>,
    on: &str,
    selection_set: &'a SelectionSet,
    fields: &mut Vec<&'a Positioned<Field>>,
) -> bool {
    selection_set.items.iter().all(|selection| {
        let (condition, selection_set) = match &selection.node {
            Selection::Field(field) => {
                fields.push(field);
                return field.node.directives.is_empty();
            }
            Selection::FragmentSpread(spread) => {
                match ctx.query_env.fragments.get(&spread.node.fragment_name.node) {
                    Some(fragment) => (Some(&fragment.node.type_condition), &fragment.node.selection_set),
                    None => return false,
                }
            }
            Selection::InlineFragment(fragment) => {
                (fragment.node.type_condition.as_ref(), &fragment.node.selection_set)
            }
        };
        condition.is_none_or(|condition| condition.node.on.node == on)
            && collect_fields(ctx, on, &selection_set.node, fields)
    })
}

/// Resolves fields to an object. Boxed, because object types refer to each other recursively.
fn resolve_fields<'a, T: ContainerType>(
    ctx: &'a ContextSelectionSet<'a>,
    object: &'a T,
    fields: Vec<&'a Positioned<Field>>,
) -> Pin<Box<dyn Future<Output = Value> + Send + 'a>> {
    Box::pin(async move {
        // In the order of the fields. Pending fields are null until they are resolved.
        let mut values = IndexMap::with_capacity(fields.len());
        let mut pending = Vec::new();
        // Whether the trace is recorded is found out only if a field was slow: for every object,
        // that would take longer than most of them.
        let started = (LevelFilter::current() >= LevelFilter::DEBUG).then(Instant::now);
        let resolve = |field| {
            let ctx = ctx.clone();
            async move { object.resolve_field(&ctx.with_field(field)).await }
        };
        // A field that was ready leaves its allocation to the next one.
        let mut allocation = None;
        for field in fields {
            let name = &field.node.response_key().node;
            if field.node.name.node == "__typename" {
                let type_name = object.introspection_type_name().into_owned();
                insert_field(&mut values, name, Value::String(type_name));
                continue;
            }
            let mut future = match allocation.take() {
                None => Box::pin(resolve(field)),
                Some(allocation) => reuse_box(allocation, resolve(field)),
            };
            match futures_util::poll!(future.as_mut()) {
                Poll::Ready(result) => {
                    insert_result(ctx, &mut values, name, result);
                    allocation = Some(future);
                }
                Poll::Pending => {
                    insert_field(&mut values, name, Value::Null);
                    pending.push((field, future));
                }
            }
        }
        drop(allocation);
        std::future::poll_fn(|context| {
            pending.retain_mut(|(field, future)| match future.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(result) => {
                    insert_result(ctx, &mut values, &field.node.response_key().node, result);
                    let elapsed = started.map(|started| started.elapsed());
                    if let Some(elapsed) = elapsed.filter(|elapsed| *elapsed >= SLOW_FIELD) {
                        record_slow_field(&T::type_name(), &field.node.name.node, elapsed);
                    }
                    false
                }
            });
            if pending.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        Value::Object(values)
    })
}

/// Adds the span of a slow field to the current trace.
fn record_slow_field(parent_type: &str, name: &str, elapsed: Duration) {
    // The span is created after what it stands for: see `telemetry::traces`.
    drop(tracing::debug_span!(
        "resolver",
        graphql.field.coordinates = format!("{parent_type}.{name}"),
        mercato.elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
    ));
}

/// Replaces the future in a box.
fn reuse_box<F>(mut allocation: Pin<Box<F>>, future: F) -> Pin<Box<F>> {
    allocation.set(future);
    allocation
}

/// Inserts the result of a field. A failed field is null here; `conformance::nulls` propagates the
/// null if the field is non-null.
fn insert_result(
    ctx: &ContextSelectionSet<'_>,
    object: &mut IndexMap<Name, Value>,
    name: &Name,
    result: ServerResult<Option<Value>>,
) {
    match result {
        Ok(value) => insert_field(object, name, value.unwrap_or_default()),
        Err(error) => {
            insert_field(object, name, Value::Null);
            ctx.add_error(error);
        }
    }
}

/// Inserts a field, or merges it with a field of the same name.
fn insert_field(object: &mut IndexMap<Name, Value>, name: &Name, value: Value) {
    match object.entry(name.clone()) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) => merge(entry.get_mut(), value),
    }
}

fn merge(existing: &mut Value, value: Value) {
    match (existing, value) {
        (Value::Object(existing), Value::Object(fields)) => {
            fields.into_iter().for_each(|(name, value)| insert_field(existing, &name, value));
        }
        (Value::List(existing), Value::List(items)) => {
            existing.iter_mut().zip(items).for_each(|(existing, item)| merge(existing, item));
        }
        (existing @ Value::Null, value) => *existing = value,
        _ => {}
    }
}
