//! Files and processes that end with the tests, however they end: with the test process, or with
//! the test run if its runner starts a process for each test, as cargo-nextest does.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use super::setting;

/// A script that ends with this process, which holds the other end of its standard input.
const UNTIL_THIS_PROCESS_ENDS: &str = "cat >/dev/null";

/// A number that no other caller in this process has.
pub fn unique() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// Where temporary files go: `TMPDIR`, or a file system in memory if there is one with enough
/// space. Each test on PostgreSQL creates a database of several hundred files, and a file system on
/// a disk takes longer for that than most tests take.
fn temp_dir() -> PathBuf {
    const IN_MEMORY: &str = "/dev/shm";
    /// Several times what the tests use at once.
    const MIN_FREE_BYTES: u64 = 2 << 30;
    let has_space = rustix::fs::statvfs(IN_MEMORY)
        .is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) > MIN_FREE_BYTES);
    if setting("TMPDIR").is_none() && has_space { IN_MEMORY.into() } else { std::env::temp_dir() }
}

/// Creates an empty directory for this process. It is not removed here.
fn make_dir() -> PathBuf {
    let dir = temp_dir().join(format!("mercato-{}-{}", std::process::id(), unique()));
    // A leftover of an earlier process with the same id.
    fs::remove_dir_all(&dir).ok();
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Where tests keep their files: removed when the test process has ended.
pub fn dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = make_dir();
        outlive(Command::new("sh"), UNTIL_THIS_PROCESS_ENDS, &dir, &[]);
        dir
    })
}

/// A new, empty directory in [`dir`].
pub fn subdir(name: &str) -> PathBuf {
    let dir = dir().join(format!("{name}-{}", unique()));
    fs::create_dir(&dir).unwrap();
    dir
}

/// A directory for what is made once: for all processes of a test run, or for this process if it
/// runs all tests. It is locked until dropped.
pub struct SharedDir {
    /// Its path.
    pub path: PathBuf,
    /// The process that starts the others of this test run.
    runner: Option<u32>,
    lock: File,
}

impl SharedDir {
    /// Opens the directory, once no other process is filling it.
    pub fn open(name: &str) -> Self {
        let run = setting("NEXTEST_RUN_ID");
        let runner = run.is_some().then(parent_id);
        let path = run.map_or_else(make_dir, |run| temp_dir().join(format!("mercato-{run}-{name}")));
        fs::create_dir_all(&path).unwrap();
        let lock = File::create(path.join("lock")).unwrap();
        lock.lock().unwrap();
        Self { path, runner, lock }
    }

    /// A file in it that this process has made.
    pub fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Whether it has not been filled yet.
    pub fn is_new(&self) -> bool {
        !self.path.join("ready").exists()
    }

    /// Lets other processes use what is in it.
    pub fn set_ready(&self) {
        File::create(self.path.join("ready")).unwrap();
    }

    /// Removes it when the tests have ended.
    pub fn remove_at_the_end(&self) {
        self.outlive(Command::new("sh"), "await_end", &[]);
    }

    /// Lets `shell` run a script that ends the tests' affairs, and then removes the directory. In
    /// the script, `await_end` waits for the end of the tests, `$1` is the directory and `$2` the
    /// first of the arguments.
    pub fn outlive(&self, shell: Command, script: &str, arguments: &[&OsStr]) {
        let await_end = match self.runner {
            Some(runner) => format!("while ps -p {runner} >/dev/null; do sleep 0.2; done"),
            None => UNTIL_THIS_PROCESS_ENDS.to_owned(),
        };
        outlive(shell, &format!("await_end() {{ {await_end}; }}\n{script}"), &self.path, arguments);
    }
}

impl Drop for SharedDir {
    fn drop(&mut self) {
        self.lock.unlock().unwrap();
    }
}

/// Lets `shell` run a script that outlives this process, and then removes `dir`.
///
/// The script is a process group of its own, so that a Ctrl-C at the terminal doesn't end it before
/// its time. It doesn't hold the standard error of this process, for whose end a runner may wait.
fn outlive(mut shell: Command, script: &str, dir: &Path, arguments: &[&OsStr]) {
    static KEPT: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    shell.arg("-c").arg(format!("{script}\nrm -rf \"$1\"")).arg("tests").arg(dir).args(arguments);
    shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // The child's standard input stays open as long as the child is kept.
    KEPT.lock().unwrap().push(shell.spawn().unwrap());
}
