//! Programs that tests use if they are installed.

use std::path::{Path, PathBuf};

use super::setting;

/// The names of Chromium's executable.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Finds a program on the path.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = setting("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|place| place.join(name)).find(|program| program.is_file())
}

/// Finds Chromium: where `CHROMIUM` says, or on the path.
pub fn chromium() -> Option<PathBuf> {
    setting("CHROMIUM").map(PathBuf::from).or_else(|| BROWSERS.iter().find_map(|name| program(name)))
}

/// The folder of the clients, where their npm packages are installed.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}
