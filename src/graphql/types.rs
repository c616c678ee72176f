//! What the types of all areas are made of: scalars, codes, connections, errors, guards and objects
//! by their global id.
//!
//! It knows no area; only `node` lists the types that have a global id.

pub(super) mod attribute;
pub(super) mod codes;
pub(super) mod connection;
pub(super) mod errors;
pub(super) mod guard;
pub(super) mod inline_object;
pub(super) mod node;
pub(super) mod scalars;
pub(super) mod total;
