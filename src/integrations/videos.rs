//! Videos: made into what every browser plays, with a picture that stands for them, by `ffmpeg` where it is installed.
//!
//! `services::media` calls it. The program gets fixed arguments and no shell; it is told which type of file it reads, so that no
//! file can make it open another or ask the network; its time and its output are limited. Where there is no such program, a video is
//! kept as it came.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::domain::media::MediaFormat;

/// How long the program may take for one step.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How much larger than what came a video may become.
const MAX_GROWTH: u64 = 4;
/// How much of its complaints is read.
const MAX_COMPLAINT: u64 = 2_000;

/// The program.
#[derive(Clone, Debug)]
pub struct Converter {
    program: Option<PathBuf>,
}

/// A video that was made.
pub struct Converted {
    /// An MP4 of H.264, at its beginning.
    pub video: File,
    /// A picture of its beginning, as PNG.
    pub poster: Vec<u8>,
}

/// Why a video can't be made.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The program can't make anything of it.
    #[error("The video can't be read: the file is damaged, or of a kind that is not supported")]
    Unreadable(String),
    /// It took too long.
    #[error("The video takes too long to convert: make it shorter or smaller")]
    TimedOut,
    /// What came out of it is too large.
    #[error("The video becomes too large when it is converted: make it shorter or smaller")]
    TooLarge,
    /// Files of this machine can't be read or written.
    #[error("a temporary file failed")]
    File(#[from] std::io::Error),
}

impl Converter {
    /// The converter that runs a program; none keeps videos as they are.
    #[must_use]
    pub fn new(program: Option<PathBuf>) -> Self {
        Self { program }
    }

    /// Makes an MP4 and a poster of a video, which stands at its beginning; `None` where there is no program to do it.
    ///
    /// # Errors
    /// [`VideoError`].
    pub async fn convert(
        &self,
        mut source: File,
        format: MediaFormat,
    ) -> Result<Option<Converted>, VideoError> {
        let Some(program) = &self.program else { return Ok(None) };
        let folder = tokio::task::spawn_blocking(TempDir::new).await.map_err(std::io::Error::other)??;
        let path = |name: &str| folder.path().join(name);
        let (input, video, poster) = (path("input"), path("video.mp4"), path("poster.png"));
        let size = tokio::io::copy(&mut source, &mut File::create(&input).await?).await?;
        let most = size.saturating_mul(MAX_GROWTH).max(1024 * 1024);
        if !run(program, &to_mp4(&input, &video, format, most)).await? {
            return Ok(None);
        }
        let made = File::open(&video).await?;
        if made.metadata().await?.len() >= most {
            return Err(VideoError::TooLarge);
        }
        if !run(program, &to_poster(&video, &poster)).await? {
            return Ok(None);
        }
        // The open file stays when its folder goes.
        Ok(Some(Converted { video: made, poster: tokio::fs::read(&poster).await? }))
    }
}

/// What the program is told for any file.
fn usual(input: &Path, demuxer: &str) -> Vec<String> {
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

/// One picture track and at most one of sound, without the notes of cameras, at most 1920 pixels wide.
fn to_mp4(input: &Path, output: &Path, format: MediaFormat, most: u64) -> Vec<String> {
    let demuxer = if format == MediaFormat::Webm { "matroska" } else { "mov" };
    let mut arguments = usual(input, demuxer);
    let fixed = "-map 0:v:0 -map 0:a:0? -map_metadata -1 -map_chapters -1 -sn -dn \
        -c:v libx264 -preset veryfast -crf 23 -pix_fmt yuv420p -vf scale=trunc(min(1920\\,iw)/2)*2:-2 \
        -c:a aac -b:a 128k -ac 2 -movflags +faststart -f mp4";
    arguments.extend(fixed.split_whitespace().map(str::to_owned));
    arguments.extend(["-fs".to_owned(), most.to_string(), output.display().to_string()]);
    arguments
}

fn to_poster(video: &Path, output: &Path) -> Vec<String> {
    let mut arguments = usual(video, "mov");
    arguments.extend("-frames:v 1 -an -f image2 -c:v png".split_whitespace().map(str::to_owned));
    arguments.push(output.display().to_string());
    arguments
}

/// Runs the program; false where there is none.
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
    let mut complaint = Vec::new();
    let ended: Result<std::io::Result<ExitStatus>, _> = tokio::time::timeout(TIMEOUT, async {
        if let Some(mut stderr) = child.stderr.take() {
            (&mut stderr).take(MAX_COMPLAINT).read_to_end(&mut complaint).await?;
            // It would wait for somebody to read the rest.
            tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
        }
        child.wait().await
    })
    .await;
    let status = ended.map_err(|_| VideoError::TimedOut)??;
    if status.success() {
        return Ok(true);
    }
    Err(VideoError::Unreadable(String::from_utf8_lossy(&complaint).into_owned()))
}
