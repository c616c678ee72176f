//! Who may ask for the schema: `INTROSPECTION` says. Called by the GraphQL endpoint before an operation is executed.

use super::graphql::Refused;
use crate::config::Introspection;
use crate::context::OpContext;
use crate::error::ErrorCode;
use crate::graphql::document::Document;

/// Refuses a document that asks for the schema, if whoever sends it may not.
pub(super) fn check(allowed: Introspection, op: &OpContext, document: &Document) -> Result<(), Refused> {
    let message = match allowed {
        Introspection::Public => return Ok(()),
        Introspection::Staff if op.actor.is_staff() => return Ok(()),
        Introspection::Staff => {
            "the schema is for staff and services here (INTROSPECTION=staff): send their token, or read schema.graphql"
        }
        Introspection::Off => "nobody can ask for the schema here (INTROSPECTION=off): read schema.graphql",
    };
    if document.asks_for_schema() { Err((ErrorCode::Forbidden, message.to_owned())) } else { Ok(()) }
}
