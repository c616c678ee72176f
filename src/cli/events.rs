//! `mercato events tail`: prints the event stream for other services.

use std::time::Duration;

use clap::Args;

use super::stop::stop_signal;
use super::{CommandError, print};
use crate::config::{Config, Overrides};
use crate::services::transfer::event_export::EventStream;

/// How long one read of the stream waits for new events.
const POLL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a read in progress may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Print events of the stream at EVENT_EXPORT_URL as they arrive, one line of JSON each, until it
/// is stopped.
#[derive(Args)]
pub(super) struct TailArgs {
    /// Start with the oldest event in the stream
    #[arg(long)]
    all: bool,
    /// Stop after this number of events
    #[arg(long, value_name = "NUMBER")]
    count: Option<usize>,
}

pub(super) async fn tail(args: TailArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let config = Config::from_env(overrides)?;
    let failed =
        |error: redis::RedisError| CommandError::Failed(format!("the stream can't be read: {error}"));
    let Some(address) = &config.events.export else {
        let message = "there is no stream: set EVENT_EXPORT_URL to redis://host";
        return Err(CommandError::Failed(message.to_owned()));
    };
    let stream = EventStream::new(address).map_err(failed)?;
    let mut left = args.count.unwrap_or(usize::MAX);
    // The end of the stream is looked up once, so that events between two reads are not missed.
    let mut last =
        if args.all { EventStream::START.to_owned() } else { stream.end().await.map_err(failed)? };
    let mut stopped = std::pin::pin!(stop_signal(STOP_TIMEOUT));
    while left > 0 {
        let (events, next) = tokio::select! {
            () = &mut stopped => break,
            read = stream.read(&last, POLL_TIMEOUT) => read.map_err(failed)?,
        };
        for event in events.iter().take(left) {
            print(&format!("{event}\n"))?;
        }
        left = left.saturating_sub(events.len());
        last = next;
    }
    Ok(())
}
