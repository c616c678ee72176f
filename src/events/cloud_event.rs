//! Events as other systems read them: CloudEvents 1.0, as JSON.

use serde_json::{Value, json};

use super::Recorded;

/// Where events come from.
const SOURCE: &str = "mercato";

/// An event as CloudEvents has it. Beside what that asks for: `sequence`, its place in the history of what it happened to, and
/// `position`, its place in the log; both rise. `dataversion` is the version of the shape of `data`.
#[must_use]
pub fn cloud_event(event: &Recorded) -> Value {
    let row = &event.row;
    json!({
        "specversion": "1.0",
        "id": row.id,
        "source": SOURCE,
        "type": row.kind,
        "subject": format!("gid://mercato/{}/{}", row.aggregate_type, row.aggregate_id.0),
        "time": row.occurred_at.to_string(),
        "datacontenttype": "application/json",
        "dataversion": row.version,
        "position": event.position,
        "sequence": event.sequence,
        "data": row.payload.0,
    })
}
