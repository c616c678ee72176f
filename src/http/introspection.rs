//! Enforces the settings `INTROSPECTION` and `FEDERATION`. Called by the GraphQL endpoint before an
//! operation is executed.

use super::Rejection;
use crate::config::{ExposureConfig, Introspection};
use crate::context::OpContext;
use crate::error::ErrorCode;
use crate::graphql::request::document::Document;

/// Rejects a document with introspection fields, unless the caller may use them, and one with
/// fields for gateways, unless the server is a subgraph.
pub(super) fn check(exposure: &ExposureConfig, op: &OpContext, document: &Document) -> Result<(), Rejection> {
    if document.has_federation() && !exposure.has_federation {
        let message =
            "this server is not part of a federated graph: `_service` and `_entities` require FEDERATION=on";
        return Err((ErrorCode::BadUserInput, message.to_owned()));
    }
    let message = match exposure.introspection {
        Introspection::Public => return Ok(()),
        Introspection::Staff if op.actor.is_staff() => return Ok(()),
        Introspection::Staff => {
            "the schema is for staff and services here (INTROSPECTION=staff): send their token, or read schema.graphql"
        }
        Introspection::Off => "nobody can ask for the schema here (INTROSPECTION=off): read schema.graphql",
    };
    if document.has_introspection() { Err((ErrorCode::Forbidden, message.to_owned())) } else { Ok(()) }
}
