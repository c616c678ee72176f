//! Parts of the GraphQL specification that async-graphql 7.2 does not implement.
//! `graphql::request::document` calls them before and after the library's own validation and
//! execution.
//!
//! With the sections of the October 2021 specification, for reporting upstream:
//!
//! - [`merging`]: the library compares fields with the same response name only within one type
//!   condition (5.3.2), and does not validate arguments or directives of `__typename` (5.4, 5.7).
//! - [`variables`]: missing required variables are only detected by the resolver that uses them,
//!   when others have already run; `null` is accepted for required variables; `@skip` and
//!   `@include` don't see defaults (6.1.2).
//! - [`names`]: for an unknown field with arguments, the library reports errors about its parent's
//!   arguments, and it has suggestions for few misspelled names. Literals that contain variables
//!   are only checked once these have values.
//! - [`root_fragments`]: the library does not execute fields of fragments at the root of a
//!   subscription (6.2.3).
//! - [`nulls`]: a failed non-null field is omitted or null, instead of making its parent null
//!   (6.4.4).
//! - An object whose fields are all skipped is null instead of empty (6.2.1, 6.3). Fixed for the
//!   response as a whole and for objects in `inline_object`.
//! - Fields are returned in the order of their completion (7.2.2): see `response_shape`.
//! - [`directives`]: the library does not know `@defer` and `@stream` of the working draft. They
//!   are accepted, and the response is sent in one piece, which the draft allows.

pub(in crate::graphql) mod directives;
pub(super) mod merging;
pub(super) mod names;
pub(super) mod nulls;
pub(super) mod root_fragments;
pub(super) mod variables;
