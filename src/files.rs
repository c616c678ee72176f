//! Creates files and folders that only their owner may access: databases, images, mails, secrets.
//! Called by whoever writes them, and at startup for those of an earlier run. Reads and writes no
//! content.
//!
//! Modes are set on existing files as well as at creation, so that access does not depend on the
//! umask. On systems without file modes this module does nothing.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

/// The mode bits of the group and of all other users.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// Creates an empty file that only its owner may access, or restricts an existing one.
///
/// # Errors
/// The error of the operating system.
pub fn create_private_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => restrict(path),
    }
}

/// Creates a folder, and its missing parents, that only their owner may access. Existing folders
/// are left as they are: they may be shared on purpose.
///
/// # Errors
/// The error of the operating system.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Revokes everybody else's access to a file or folder. Does nothing if it does not exist.
///
/// # Errors
/// The error of the operating system; only the owner may do this.
#[cfg(unix)]
pub fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let mut permissions = metadata.permissions();
    if permissions.mode() & OTHERS == 0 {
        return Ok(());
    }
    permissions.set_mode(permissions.mode() & 0o7777 & !OTHERS);
    std::fs::set_permissions(path, permissions)
}

/// Does nothing: this system has no file modes.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn restrict(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Gives a file or folder that root created to the owner of another folder, so that the user whom
/// that belongs to can use both. Does nothing for other users.
///
/// # Errors
/// The error of the operating system.
#[cfg(unix)]
pub fn adopt_owner(path: &Path, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, lchown};

    let (created, owner) = (std::fs::symlink_metadata(path)?, std::fs::metadata(folder)?);
    if created.uid() == 0 && owner.uid() != 0 {
        lchown(path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Does nothing: this system has no owners.
///
/// # Errors
/// Never.
#[cfg(not(unix))]
pub fn adopt_owner(_path: &Path, _folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether anybody but its owner may access a file or folder.
#[must_use]
pub fn is_open_to_others(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & OTHERS != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn private_files_and_folders_are_accessible_only_to_their_owner() {
        let root = tempfile::tempdir().unwrap();
        let (folder, file) = (root.path().join("a/b"), root.path().join("a/b/file"));
        create_private_folder(&folder).unwrap();
        create_private_file(&file).unwrap();
        assert_eq!((mode(&root.path().join("a")), mode(&folder), mode(&file)), (0o700, 0o700, 0o600));

        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(is_open_to_others(&file) && is_open_to_others(&folder));
        create_private_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o755, "an existing folder may be shared on purpose");
        create_private_file(&file).unwrap();
        restrict(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        assert!(!is_open_to_others(&file) && !is_open_to_others(&folder));
        restrict(&root.path().join("missing")).unwrap();
        assert!(create_private_file(&root.path().join("missing/file")).is_err());
    }

    #[test]
    fn what_root_creates_is_given_to_the_owner_of_the_folder() {
        use std::os::unix::fs::{MetadataExt, chown};

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        create_private_file(&file).unwrap();
        let owner = || std::fs::metadata(&file).unwrap().uid();
        let user = owner();
        adopt_owner(&file, folder.path()).unwrap();
        assert_eq!(owner(), user, "the folder has the same owner");
        // Nobody else can give the folder away.
        if user == 0 && chown(folder.path(), Some(65_534), Some(65_534)).is_ok() {
            adopt_owner(&file, folder.path()).unwrap();
            assert_eq!(owner(), 65_534);
        }
    }
}
