//! Settings of images and videos: where files are stored, how large they may be, and how they are
//! processed.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::Problems;
use crate::services::media::{S3Config, StorageConfig};

/// Default maximum size of a file, in bytes.
const DEFAULT_MAX_BYTES: u64 = 20 * 1024 * 1024;
/// Default size of the cache of cropped images, in bytes.
const DEFAULT_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Settings of images and videos.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// `MEDIA_URL` or `STORAGE_URL`, and the `AWS_` settings that go with a bucket: where files are
    /// stored.
    pub storage: StorageConfig,
    /// `MEDIA_MAX_BYTES`: maximum size of a file, in bytes.
    pub max_bytes: u64,
    /// `MEDIA_CACHE_BYTES`: size of the in-memory cache of cropped images, in bytes.
    pub cache_bytes: u64,
    /// `FFMPEG`: the program that converts videos; `None` when it is `off`.
    pub ffmpeg: Option<PathBuf>,
    /// `MEDIA_ALLOW_PRIVATE`: whether media may be fetched from private networks and this machine.
    pub allow_private: bool,
}

/// Reads the settings; `folder` is the default storage.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    folder: PathBuf,
) -> MediaConfig {
    let name = if get("MEDIA_URL").is_some() { "MEDIA_URL" } else { "STORAGE_URL" };
    let storage =
        problems.parse(name, get(name), StorageConfig::Folder(folder), |text| parse_storage(text, get));
    if matches!(storage, StorageConfig::S3(_))
        && get("AWS_ACCESS_KEY_ID").is_some() != get("AWS_SECRET_ACCESS_KEY").is_some()
    {
        problems.add(
            "AWS_SECRET_ACCESS_KEY",
            "must be set: it goes with AWS_ACCESS_KEY_ID, and both or none are needed",
        );
    }
    let max_bytes = problems.parse("MEDIA_MAX_BYTES", get("MEDIA_MAX_BYTES"), DEFAULT_MAX_BYTES, |text| {
        let bytes = text.parse().ok().filter(|bytes| (1_024..=10 * 1024 * 1024 * 1024).contains(bytes));
        bytes.ok_or("must be a number of bytes from 1024 to 10737418240".into())
    });
    let cache_bytes =
        problems.parse("MEDIA_CACHE_BYTES", get("MEDIA_CACHE_BYTES"), DEFAULT_CACHE_BYTES, |text| {
            let bytes = text.parse().ok().filter(|bytes| *bytes <= 10 * 1024 * 1024 * 1024);
            bytes.ok_or("must be a number of bytes from 0 to 10737418240".into())
        });
    let ffmpeg = problems.parse("FFMPEG", get("FFMPEG"), Some(PathBuf::from("ffmpeg")), |text| match text {
        "off" => Ok(None),
        program if is_program(Path::new(program), get("PATH").as_deref()) => Ok(Some(PathBuf::from(program))),
        program => Err(format!(
            "names `{program}`, which is not an executable program: install it, correct the name, or set it to off"
        )),
    });
    let allow_private = problems.parse("MEDIA_ALLOW_PRIVATE", get("MEDIA_ALLOW_PRIVATE"), false, |text| {
        text.parse().map_err(|_error| "must be true or false".to_owned())
    });
    MediaConfig { storage, max_bytes, cache_bytes, ffmpeg, allow_private }
}

/// Whether the program exists. Without a `PATH` it is assumed to.
fn is_program(program: &Path, path: Option<&str>) -> bool {
    let is_one = |file: &Path| file.metadata().is_ok_and(|found| found.is_file() && is_executable(&found));
    match path {
        _ if program.components().count() > 1 => is_one(program),
        Some(path) => std::env::split_paths(path).any(|folder| is_one(&folder.join(program))),
        None => true,
    }
}

#[cfg(unix)]
fn is_executable(file: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    true
}

fn parse_storage(text: &str, get: &impl Fn(&str) -> Option<String>) -> Result<StorageConfig, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        // A single letter is a drive.
        return match text.split_once(':') {
            Some((scheme, _))
                if scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                Err(format!(
                    "must be a folder, or s3://bucket/folder: put two slashes after `{scheme}:`, or ./ before the \
                     name of a folder that begins like this"
                ))
            }
            _ => Ok(StorageConfig::Folder(PathBuf::from(text))),
        };
    };
    match scheme {
        "file" if rest.starts_with('/') => Ok(StorageConfig::Folder(PathBuf::from(rest))),
        "file" => {
            Err("must have three slashes before an absolute path: file:///var/lib/mercato/media".to_owned())
        }
        "s3" => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err("must name a bucket: s3://bucket or s3://bucket/folder".to_owned());
            }
            let first = |names: &[&str]| names.iter().find_map(|name| get(name));
            let secret = first(&["AWS_SECRET_ACCESS_KEY"]).map(SecretString::from);
            Ok(StorageConfig::S3(S3Config {
                bucket: bucket.to_owned(),
                prefix: prefix.trim_matches('/').to_owned(),
                region: first(&["AWS_REGION", "AWS_DEFAULT_REGION"])
                    .unwrap_or_else(|| "us-east-1".to_owned()),
                endpoint: first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]),
                key: first(&["AWS_ACCESS_KEY_ID"]).zip(secret),
                session_token: first(&["AWS_SESSION_TOKEN"]).map(SecretString::from),
            }))
        }
        _ => Err("must be a folder, or s3://bucket/folder".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<MediaConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems, PathBuf::from("shop.media"));
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }

    #[test]
    fn files_are_stored_in_a_folder_or_a_bucket() {
        let folder = |settings: &[(&str, &str)]| match config(settings).unwrap().storage {
            StorageConfig::Folder(folder) => folder.display().to_string(),
            StorageConfig::S3(_) => panic!("a bucket"),
        };
        assert_eq!(folder(&[]), "shop.media");
        assert_eq!(folder(&[("MEDIA_URL", "file:///var/media")]), "/var/media");
        assert_eq!(folder(&[("STORAGE_URL", "images")]), "images");

        let keys = [("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let bucket = [("MEDIA_URL", "s3://shop/a/b/"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")];
        let StorageConfig::S3(s3) = config(&[bucket.as_slice(), &keys].concat()).unwrap().storage else {
            panic!("a folder")
        };
        assert_eq!(
            (s3.bucket.as_str(), s3.prefix.as_str(), s3.region.as_str()),
            ("shop", "a/b", "us-east-1")
        );
        assert!(s3.key.is_some() && s3.endpoint.is_some());
        assert!(config(&[("MEDIA_URL", "s3://shop"), keys[0]]).is_err());
    }

    #[test]
    fn invalid_settings_are_named() {
        for (name, value) in [
            ("MEDIA_URL", "ftp://here"),
            ("MEDIA_URL", "file://here"),
            ("MEDIA_URL", "s3:/bucket"),
            ("MEDIA_URL", "s3:bucket"),
            ("FFMPEG", "/no/such/program"),
            // A folder is not a program.
            ("FFMPEG", "/tmp"),
            ("STORAGE_URL", "s3://"),
            ("MEDIA_MAX_BYTES", "20MB"),
            ("MEDIA_ALLOW_PRIVATE", "perhaps"),
        ] {
            let problems = config(&[(name, value)]).unwrap_err();
            assert!(problems[0].starts_with(name), "{problems:?}");
        }
        assert_eq!(config(&[("FFMPEG", "off")]).unwrap().ffmpeg, None);
    }
}
