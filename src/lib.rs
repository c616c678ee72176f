pub mod auth;
pub mod context;
pub mod db;
pub mod domain;
pub mod error;
pub mod repositories;
