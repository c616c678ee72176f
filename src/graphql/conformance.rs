//! What the GraphQL specification demands and async-graphql 7.2 does not do. `graphql::document`
//! calls it around the library's own validation and execution.
//!
//! For upstream, each with its section of the specification of October 2021:
//!
//! - [`merging`]: fields with one response name are compared within one type condition only
//!   (5.3.2), and neither arguments nor directives of `__typename` are validated (5.4, 5.7).
//! - [`variables`]: required variables are missed by the resolver that uses them, after others have
//!   run; `null` passes for a required one; defaults are not seen by `@skip` and `@include` (6.1.2).
//! - [`names`]: an unknown field with arguments has the arguments of the field above it blamed, and
//!   few misspelt names are told with what may be meant.
//! - [`root_fragments`]: fields of fragments at the root of a subscription are not executed
//!   (6.2.3).
//! - [`nulls`]: a field that fails and may not be null is left out of its object, or is null in it,
//!   instead of making its parent null (6.4.4).
//! - An object of which conditions leave no field is null instead of empty (6.2.1, 6.3); mended for
//!   the response as a whole and for objects of `in_order`.
//! - [`directives`]: `@defer` and `@stream` of the working draft are unknown. They are accepted and
//!   answered in one piece, which the draft allows.

pub(super) mod directives;
pub(super) mod merging;
pub(super) mod names;
pub(super) mod nulls;
pub(super) mod root_fragments;
pub(super) mod variables;
