//! `mercato doctor`: examines the installation, and prints what was found and what to do.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::{CommandError, print};
use crate::app::doctor::{self, Finding, Verdict};
use crate::config::{Config, Overrides};
use crate::domain::time::{Clock, SystemClock};
use crate::telemetry;

/// Examine the installation.
#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Examines, prints, and fails if anything is wrong.
pub(super) async fn run(args: &DoctorArgs, overrides: &Overrides) -> Result<(), CommandError> {
    let findings = match Config::from_env(overrides) {
        Ok(mut config) => {
            // What is found is printed, so only errors are logged.
            "error".clone_into(&mut config.log.filter);
            telemetry::start(&config);
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            Box::pin(doctor::examine(&config, &clock)).await
        }
        Err(error) => doctor::examine_invalid(&error),
    };
    let has_failed = findings.iter().any(|finding| finding.verdict == Verdict::Failed);
    if args.json {
        let status = if has_failed { Verdict::Failed } else { Verdict::Ok };
        print(&format!("{:#}\n", json!({ "status": status, "checks": findings })))?;
    } else {
        print(&findings.iter().map(line).collect::<String>())?;
    }
    if has_failed { Err(CommandError::AlreadyReported) } else { Ok(()) }
}

/// A finding for humans: a line, and one with what to do.
fn line(finding: &Finding) -> String {
    let Finding { check, verdict, message, remedy } = finding;
    let remedy = remedy.as_ref().map(|remedy| format!("{:21}→ {remedy}\n", ""));
    format!("{:8} {check:11} {message}\n{}", verdict.as_str(), remedy.unwrap_or_default())
}
