//! Settings of events: how processes notify each other of them, where they are exported to, and how
//! long they are kept.

use std::time::Duration;

use super::Problems;
use crate::db::Backend;
use crate::events::bus::BusAddress;
use crate::integrations::event_stream::StreamAddress;

/// How events are told and kept.
#[derive(Clone, Debug)]
pub struct EventConfig {
    /// `EVENT_BUS_URL`: how processes notify each other of new events.
    pub bus: BusAddress,
    /// `EVENT_EXPORT_URL`: the event stream for other services.
    pub export: Option<StreamAddress>,
    /// `EVENT_RETENTION_DAYS`: how long events are kept that are not part of an order's history.
    pub retention: Duration,
}

/// Reads the bus. By default, processes that share a database notify each other through it, or
/// beside it.
pub(super) fn read_bus(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    backend: Option<&Backend>,
) -> BusAddress {
    let default = match backend {
        #[cfg(feature = "postgres")]
        Some(Backend::Postgres(_)) => BusAddress::Postgres,
        #[cfg(all(feature = "sqlite", unix))]
        Some(Backend::Sqlite(_)) => BusAddress::Sqlite,
        _ => BusAddress::Local,
    };
    problems.parse("EVENT_BUS_URL", get("EVENT_BUS_URL"), default.clone(), |text| {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match (scheme, text) {
            (None, "local") => Ok(BusAddress::Local),
            (None, "postgres") if default == BusAddress::Postgres => Ok(BusAddress::Postgres),
            (None, "sqlite") if default == BusAddress::Sqlite => Ok(BusAddress::Sqlite),
            (Some("redis" | "redis+unix" | "unix"), url) => Ok(BusAddress::Redis(url.to_owned())),
            _ => Err("must be redis://host, local, or postgres or sqlite if that is the database".to_owned()),
        }
    })
}

/// Reads the settings other than the bus, which the rate limits need before.
pub(super) fn read(
    get: &impl Fn(&str) -> Option<String>,
    problems: &mut Problems,
    bus: BusAddress,
) -> EventConfig {
    let export = problems.parse("EVENT_EXPORT_URL", get("EVENT_EXPORT_URL"), None, |text| {
        StreamAddress::parse(text).map(Some)
    });
    let retention = problems.parse("EVENT_RETENTION_DAYS", get("EVENT_RETENTION_DAYS"), 90, |text| {
        text.parse()
            .ok()
            .filter(|days| (1..=36_500).contains(days))
            .ok_or("must be a number of days, 1 or more".into())
    });
    EventConfig { bus, export, retention: Duration::from_secs(retention * 24 * 60 * 60) }
}
