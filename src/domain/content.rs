//! Rules for menus, policies and redirects: sizes, kinds, and how paths are normalized.
//!
//! Services check their input with it.

pub mod menus;
pub mod policies;
pub mod redirects;
