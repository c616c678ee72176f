//! Enforces the `INTROSPECTION` setting. Called by the GraphQL endpoint before an operation is
//! executed.

use super::Rejection;
use crate::config::Introspection;
use crate::context::OpContext;
use crate::error::ErrorCode;
use crate::graphql::request::document::Document;

/// Rejects a document with introspection fields, unless the caller may use them.
pub(super) fn check(allowed: Introspection, op: &OpContext, document: &Document) -> Result<(), Rejection> {
    let message = match allowed {
        Introspection::Public => return Ok(()),
        Introspection::Staff if op.actor.is_staff() => return Ok(()),
        Introspection::Staff => {
            "the schema is for staff and services here (INTROSPECTION=staff): send their token, or read schema.graphql"
        }
        Introspection::Off => "nobody can ask for the schema here (INTROSPECTION=off): read schema.graphql",
    };
    if document.has_introspection() { Err((ErrorCode::Forbidden, message.to_owned())) } else { Ok(()) }
}
