//! Downloads files from URLs given by users: from the public internet only, up to a maximum size,
//! into a temporary file.
//!
//! Called by `services::media` in a job. Redirects are followed here, up to a limit, and each
//! target is checked like the first URL.

use std::time::Duration;

use reqwest::{Method, StatusCode, header};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use super::outgoing;
use super::public_http::{HttpError, PublicHttp};
use super::storage::temporary_file;

/// Timeout of a download, redirects included.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of redirects.
const MAX_REDIRECTS: usize = 5;

/// Why a file can't be downloaded. The text is for the user who gave the URL.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Permanent: there is no such file, or the URL is not allowed.
    #[error("The file can't be fetched: {0}")]
    Refused(String),
    /// Temporary: the file may be available later.
    #[error("The file can't be fetched: {0}")]
    Failed(String),
    /// A local temporary file can't be written.
    #[error("a temporary file failed")]
    File(#[from] std::io::Error),
}

impl From<HttpError> for DownloadError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::BadUrl(_) | HttpError::NotPublic(_) => Self::Refused(error.to_string()),
            HttpError::TimedOut | HttpError::Unreachable(_) => Self::Failed(error.to_string()),
        }
    }
}

/// Downloads a file of up to `max_bytes` into an unnamed temporary file, rewound to the start.
///
/// # Errors
/// [`DownloadError`].
pub async fn download(http: &PublicHttp, url: &str, max_bytes: u64) -> Result<File, DownloadError> {
    let fetched = tokio::time::timeout(TIMEOUT, fetch(http, url, max_bytes)).await;
    fetched.unwrap_or_else(|_| Err(HttpError::TimedOut.into()))
}

async fn fetch(http: &PublicHttp, url: &str, max_bytes: u64) -> Result<File, DownloadError> {
    let too_large = || DownloadError::Refused(format!("it is larger than {max_bytes} bytes"));
    let mut url = url.to_owned();
    let mut left = MAX_REDIRECTS;
    let mut response = loop {
        let response = outgoing::send(http.request(Method::GET, &url)?).await.map_err(HttpError::from)?;
        let target = response.headers().get(header::LOCATION).filter(|_| response.status().is_redirection());
        let Some(target) = target.and_then(|target| target.to_str().ok()) else { break response };
        left = left
            .checked_sub(1)
            .ok_or_else(|| DownloadError::Refused("it is redirected too often".to_owned()))?;
        let target = response.url().join(target);
        url = target
            .map_err(|_error| DownloadError::Refused("it is redirected to nowhere".to_owned()))?
            .to_string();
    };
    match response.status() {
        StatusCode::OK => {}
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(DownloadError::Failed(format!("the server answers {status}")));
        }
        status => return Err(DownloadError::Refused(format!("the server answers {status}"))),
    }
    if response.content_length().is_some_and(|length| length > max_bytes) {
        return Err(too_large());
    }
    let mut file = temporary_file().await?;
    let mut size = 0;
    while let Some(chunk) = response.chunk().await.map_err(HttpError::from)? {
        size += chunk.len() as u64;
        if size > max_bytes {
            return Err(too_large());
        }
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    file.rewind().await?;
    Ok(file)
}
