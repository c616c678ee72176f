//! `mercato reports rebuild`.

use super::{CommandError, print_status, start_app};
use crate::config::Overrides;
use crate::error::with_causes;

/// Rebuilds the figures from all events until now.
pub(super) async fn rebuild(overrides: &Overrides) -> Result<(), CommandError> {
    let app = start_app(overrides).await?;
    // Relays events that were committed while no server was running.
    loop {
        match app.relay.relay().await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Err(CommandError::Failed(with_causes(&error))),
        }
    }
    let rebuilt = app.services.reports.rebuild(&app.system()).await;
    let events = rebuilt.map_err(|error| CommandError::Failed(with_causes(&error)))?;
    print_status(&format!("reports: rebuilt from {events} events"));
    Ok(())
}
