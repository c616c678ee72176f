//! Files and processes that end with the test process, however it ends.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// A number that no other caller in this process has.
pub fn unique() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// A new, empty directory for this process; not yet anybody's to remove.
pub fn make_dir() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("mercato-{}-{}", std::process::id(), unique()));
    // What is there was left by a process of the same id that is long gone.
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Where tests keep their files: removed when the test process has ended.
pub fn dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = make_dir();
        outlive(Command::new("sh"), "cat >/dev/null", &dir, &[]);
        dir
    })
}

/// Lets `shell` run a script that goes on until its standard input ends, which is when this process ends, by whatever death.
/// Then `dir` is removed. To the script, `$1` is that directory and `$2` the first of the arguments.
///
/// The script is a process group of its own, so that a Ctrl-C at the terminal doesn't end it before its time.
pub fn outlive(mut shell: Command, script: &str, dir: &Path, arguments: &[&OsStr]) {
    static KEPT: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    shell.arg("-c").arg(format!("{script}\nrm -rf \"$1\"")).arg("tests").arg(dir).args(arguments);
    let child = shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // Its standard input stays open as long as the child is kept.
    KEPT.lock().unwrap().push(child);
}
