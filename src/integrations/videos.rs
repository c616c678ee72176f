//! Converts videos to MP4 and extracts a poster image, with `ffmpeg` where it is installed.
//!
//! Called by `services::media`. The program is run with fixed arguments and without a shell, and
//! the input format is given explicitly, so that no file can make it open other files or the
//! network; its time and output are limited. Without `ffmpeg`, videos are kept unchanged.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::domain::media::MediaFormat;

/// Timeout of one run of the program.
const TIMEOUT: Duration = Duration::from_mins(10);
/// Maximum size of the output in multiples of the input.
const MAX_GROWTH: u64 = 4;
/// Maximum number of bytes of error output that are kept.
const MAX_DIAGNOSTICS_BYTES: u64 = 2_000;

/// Runs `ffmpeg`.
#[derive(Clone, Debug)]
pub struct VideoConverter {
    program: Option<PathBuf>,
}

/// A converted video.
pub struct ConvertedVideo {
    /// An MP4 with H.264, rewound to the start.
    pub video: File,
    /// A frame from the beginning, as PNG.
    pub poster: Vec<u8>,
}

/// Why a video can't be converted.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The program can't decode it.
    #[error("The video can't be read: the file is damaged, or of a kind that is not supported")]
    Unreadable(String),
    /// Conversion timed out.
    #[error("The video takes too long to convert: make it shorter or smaller")]
    TimedOut,
    /// The output is too large.
    #[error("The video becomes too large when it is converted: make it shorter or smaller")]
    TooLarge,
    /// A local file can't be read or written.
    #[error("a temporary file failed")]
    File(#[from] std::io::Error),
}

impl VideoConverter {
    /// Creates a converter that runs `program`; without one, videos are kept unchanged.
    #[must_use]
    pub fn new(program: Option<PathBuf>) -> Self {
        Self { program }
    }

    /// Converts a video, read from its start, to MP4 and extracts a poster; `None` if the program
    /// is not available.
    ///
    /// # Errors
    /// [`VideoError`].
    pub async fn convert(
        &self,
        mut source: File,
        format: MediaFormat,
    ) -> Result<Option<ConvertedVideo>, VideoError> {
        let Some(program) = &self.program else { return Ok(None) };
        let folder = tokio::task::spawn_blocking(TempDir::new).await.map_err(std::io::Error::other)??;
        let path = |name: &str| folder.path().join(name);
        let (input, video, poster) = (path("input"), path("video.mp4"), path("poster.png"));
        let size = tokio::io::copy(&mut source, &mut File::create(&input).await?).await?;
        let max_bytes = size.saturating_mul(MAX_GROWTH).max(1024 * 1024);
        if !run(program, &mp4_arguments(&input, &video, format, max_bytes)).await? {
            return Ok(None);
        }
        let converted = File::open(&video).await?;
        if converted.metadata().await?.len() >= max_bytes {
            return Err(VideoError::TooLarge);
        }
        if !run(program, &poster_arguments(&video, &poster)).await? {
            return Ok(None);
        }
        // An open file survives the deletion of its folder.
        Ok(Some(ConvertedVideo { video: converted, poster: tokio::fs::read(&poster).await? }))
    }
}

/// The arguments for any input.
fn base_arguments(input: &Path, demuxer: &str) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "-nostdin",
        "-hide_banner",
        "-loglevel",
        "error",
        "-y",
        "-protocol_whitelist",
        "file",
        "-f",
        demuxer,
        "-i",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(input.display().to_string());
    arguments
}

/// One video track and at most one audio track, without metadata, at most 1920 pixels wide.
fn mp4_arguments(input: &Path, output: &Path, format: MediaFormat, max_bytes: u64) -> Vec<String> {
    let demuxer = if format == MediaFormat::Webm { "matroska" } else { "mov" };
    let mut arguments = base_arguments(input, demuxer);
    let fixed = "-map 0:v:0 -map 0:a:0? -map_metadata -1 -map_chapters -1 -sn -dn \
        -c:v libx264 -preset veryfast -crf 23 -pix_fmt yuv420p -vf scale=trunc(min(1920\\,iw)/2)*2:-2 \
        -c:a aac -b:a 128k -ac 2 -movflags +faststart -f mp4";
    arguments.extend(fixed.split_whitespace().map(str::to_owned));
    arguments.extend(["-fs".to_owned(), max_bytes.to_string(), output.display().to_string()]);
    arguments
}

fn poster_arguments(video: &Path, output: &Path) -> Vec<String> {
    let mut arguments = base_arguments(video, "mov");
    arguments.extend("-frames:v 1 -an -f image2 -c:v png".split_whitespace().map(str::to_owned));
    arguments.push(output.display().to_string());
    arguments
}

/// Runs the program; `false` if it is not installed.
async fn run(program: &Path, arguments: &[String]) -> Result<bool, VideoError> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let mut diagnostics = Vec::new();
    let result: Result<std::io::Result<ExitStatus>, _> = tokio::time::timeout(TIMEOUT, async {
        if let Some(mut stderr) = child.stderr.take() {
            (&mut stderr).take(MAX_DIAGNOSTICS_BYTES).read_to_end(&mut diagnostics).await?;
            // Drain the rest, or the program blocks on a full pipe.
            tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
        }
        child.wait().await
    })
    .await;
    let status = result.map_err(|_error| VideoError::TimedOut)??;
    if status.success() {
        return Ok(true);
    }
    Err(VideoError::Unreadable(String::from_utf8_lossy(&diagnostics).into_owned()))
}
