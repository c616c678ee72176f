//! Objects whose fields are resolved in the document's order and without a task for each.
//!
//! async-graphql makes a task of every field and gives the fields as they are ready. Most fields of a list's items are ready
//! at once: here each is polled as it is made, only what waits is kept, and the answer has the order the specification asks
//! for. What is rarer (fragments of other types, directives) is left to async-graphql. Extensions of the schema that
//! watch fields would see none of these; it has none.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::Poll;

use async_graphql::indexmap::IndexMap;
use async_graphql::indexmap::map::Entry;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::{ContainerType, resolve_container};
use async_graphql::{ContextSelectionSet, Name, OutputType, Positioned, ServerError, ServerResult, Value};

use super::limits::budget::Budget;

/// An object, resolved this way.
pub struct InOrder<T>(pub T);

impl<T: ContainerType> OutputType for InOrder<T> {
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
        if let Some(budget) = ctx.data_opt::<Budget>() {
            let spent = budget.spend(ctx.item.node.items.len()).await;
            spent.map_err(|stopped| ServerError::new(stopped.to_string(), Some(field.pos)))?;
        }
        let mut fields = Vec::with_capacity(ctx.item.node.items.len());
        if collect(ctx, &T::type_name(), &ctx.item.node, &mut fields) {
            Ok(resolve(ctx, &self.0, fields).await)
        } else {
            resolve_container(ctx, &self.0).await
        }
    }
}

/// Puts the fields selected on a type in a row; false if that is not all there is to it.
fn collect<'a>(
    ctx: &ContextSelectionSet<'a>,
    on: &str,
    selected: &'a SelectionSet,
    fields: &mut Vec<&'a Positioned<Field>>,
) -> bool {
    selected.items.iter().all(|selection| {
        let (condition, selected) = match &selection.node {
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
            && collect(ctx, on, &selected.node, fields)
    })
}

/// An object of these fields. Boxed once for all of them: types that hold one another would make a future without end.
fn resolve<'a, T: ContainerType>(
    ctx: &'a ContextSelectionSet<'a>,
    object: &'a T,
    fields: Vec<&'a Positioned<Field>>,
) -> Pin<Box<dyn Future<Output = Value> + Send + 'a>> {
    Box::pin(async move {
        // In the fields' order: what waits is null until its answer comes.
        let mut answer = IndexMap::with_capacity(fields.len());
        let mut waiting = Vec::new();
        let work = |field| {
            let ctx = ctx.clone();
            async move { object.resolve_field(&ctx.with_field(field)).await }
        };
        // A field that was ready leaves its place in memory to the next one.
        let mut place = None;
        for field in fields {
            let name = &field.node.response_key().node;
            if field.node.name.node == "__typename" {
                insert(&mut answer, name, Value::String(object.introspection_type_name().into_owned()));
                continue;
            }
            let mut resolving = match place.take() {
                None => Box::pin(work(field)),
                Some(place) => refill(place, work(field)),
            };
            match futures_util::poll!(resolving.as_mut()) {
                Poll::Ready(resolved) => {
                    put(ctx, &mut answer, name, resolved);
                    place = Some(resolving);
                }
                Poll::Pending => {
                    insert(&mut answer, name, Value::Null);
                    waiting.push((name, resolving));
                }
            }
        }
        drop(place);
        std::future::poll_fn(|context| {
            waiting.retain_mut(|(name, resolving)| match resolving.as_mut().poll(context) {
                Poll::Pending => true,
                Poll::Ready(resolved) => {
                    put(ctx, &mut answer, name, resolved);
                    false
                }
            });
            if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        Value::Object(answer)
    })
}

fn refill<F>(mut place: Pin<Box<F>>, work: F) -> Pin<Box<F>> {
    place.set(work);
    place
}

/// Puts what a field resolved to into an object. One that failed is null here; `conformance::nulls`
/// makes its parent null where it may not be.
fn put(
    ctx: &ContextSelectionSet<'_>,
    object: &mut IndexMap<Name, Value>,
    name: &Name,
    resolved: ServerResult<Option<Value>>,
) {
    match resolved {
        Ok(value) => insert(object, name, value.unwrap_or_default()),
        Err(error) => {
            insert(object, name, Value::Null);
            ctx.add_error(error);
        }
    }
}

/// Puts a field into an object; one that was selected twice gets the selections of both.
fn insert(object: &mut IndexMap<Name, Value>, name: &Name, value: Value) {
    match object.entry(name.clone()) {
        Entry::Vacant(entry) => {
            entry.insert(value);
        }
        Entry::Occupied(mut entry) => merge(entry.get_mut(), value),
    }
}

fn merge(known: &mut Value, more: Value) {
    match (known, more) {
        (Value::Object(known), Value::Object(more)) => {
            more.into_iter().for_each(|(name, value)| insert(known, &name, value));
        }
        (Value::List(known), Value::List(more)) => {
            known.iter_mut().zip(more).for_each(|(known, more)| merge(known, more));
        }
        (known @ Value::Null, more) => *known = more,
        _ => {}
    }
}
