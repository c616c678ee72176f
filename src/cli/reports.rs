//! `mercato reports rebuild`.

use super::{CommandError, app, say};
use crate::config::Overrides;
use crate::error::with_causes;

/// Makes the figures anew, of all that has happened until now.
pub(super) async fn rebuild(overrides: &Overrides) -> Result<(), CommandError> {
    let app = app(overrides).await?;
    // What happened while nothing was there to put it in order.
    loop {
        match app.relay.relay().await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Err(CommandError::Failed(with_causes(&error))),
        }
    }
    let rebuilt = app.services.reports.rebuild(&app.system()).await;
    let events = rebuilt.map_err(|error| CommandError::Failed(with_causes(&error)))?;
    say(&format!("reports: made anew of {events} events"));
    Ok(())
}
