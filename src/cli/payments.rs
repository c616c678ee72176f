//! `mercato payments check`: asks each payment provider whether it accepts the configured keys.

use super::{CommandError, print, start_app};
use crate::config::{Overrides, PaymentConfig};
use crate::error::with_causes;

/// Checks the keys of the enabled payment providers, and prints a line for each.
pub(super) async fn check(overrides: &Overrides) -> Result<(), CommandError> {
    let app = start_app(overrides).await?;
    let checked = app.services.payments.check_providers(&app.system()).await;
    let answers = checked.map_err(|error| CommandError::Failed(with_causes(&error)))?;
    let mut remedies = Vec::new();
    for (provider, answer) in answers {
        match answer {
            Ok(what) => print(&format!("{provider}: ok, {what}\n"))?,
            Err(error) => {
                print(&format!("{provider}: failed, {error}\n"))?;
                remedies.push(format!("{provider}: {}", PaymentConfig::remedy_of(provider)));
            }
        }
    }
    if remedies.is_empty() { Ok(()) } else { Err(CommandError::Failed(remedies.join("\n         "))) }
}
