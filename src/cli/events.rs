//! `mercato events tail`: what other services read of the stream.

use std::time::Duration;

use clap::Args;

use super::stop::stop_signal;
use super::{CommandError, print};
use crate::config::{Config, Overrides};
use crate::services::event_export::EventStream;

/// How long one look at the stream waits for something new.
const WAIT: Duration = Duration::from_secs(5);
/// How long what is being read may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Print events of the stream at EVENT_EXPORT_URL as they come, a line of JSON each, until it is told to stop.
#[derive(Args)]
pub struct TailArgs {
    /// Begin with the oldest event that the stream still has
    #[arg(long)]
    all: bool,
    /// End after so many events
    #[arg(long, value_name = "NUMBER")]
    count: Option<usize>,
}

pub(super) async fn tail(args: TailArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let config = Config::from_env(overrides)?;
    let failed =
        |error: redis::RedisError| CommandError::Failed(format!("the stream can't be read: {error}"));
    let Some(address) = &config.event_export else {
        let message = "there is no stream: set EVENT_EXPORT_URL to redis://host";
        return Err(CommandError::Failed(message.to_owned()));
    };
    let stream = EventStream::new(address).map_err(failed)?;
    let mut left = args.count.unwrap_or(usize::MAX);
    // Where the stream ends now is looked up once: what comes between two looks is missed by neither.
    let mut last =
        if args.all { EventStream::START.to_owned() } else { stream.end().await.map_err(failed)? };
    let mut stopped = std::pin::pin!(stop_signal(STOP_TIMEOUT));
    while left > 0 {
        let (events, next) = tokio::select! {
            () = &mut stopped => break,
            read = stream.read(&last, WAIT) => read.map_err(failed)?,
        };
        for event in events.iter().take(left) {
            print(&format!("{event}\n"))?;
        }
        left = left.saturating_sub(events.len());
        last = next;
    }
    Ok(())
}
