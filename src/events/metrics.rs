//! Metrics of events. The relay updates them, since it sees each event of the shop once, whichever
//! process has written it; `app` registers them. Labels have few values: the kinds of events and
//! the payment providers.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::domain::events::Event;
use crate::repositories::events::SequencedEvent;

/// The beginning of the kinds of events of orders.
const ORDER: &str = "order.";
/// The kinds of events that are entries in ledgers of payments.
const PAYMENTS: [&str; 2] = ["order.paid", "payment.recorded"];

/// Events, and what they say about orders and payments.
#[derive(Clone, Debug, Default)]
pub struct EventMetrics {
    /// The number of events.
    pub events: Family<EventLabels, Counter>,
    /// The number of events of orders.
    pub orders: Family<OrderLabels, Counter>,
    /// The number of entries in ledgers of payments.
    pub payments: Family<PaymentLabels, Counter>,
}

/// The label of the number of events.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct EventLabels {
    kind: String,
}

/// The label of the number of events of orders: `placed`, `paid`, `expired`, …
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct OrderLabels {
    event: String,
}

/// The labels of the number of entries in ledgers of payments.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct PaymentLabels {
    provider: String,
    kind: &'static str,
}

impl EventMetrics {
    /// Counts an event that has got its position.
    pub(super) fn record(&self, sequenced: &SequencedEvent) {
        let kind = sequenced.kind.clone();
        if let Some(event) = kind.strip_prefix(ORDER) {
            self.orders.get_or_create(&OrderLabels { event: event.to_owned() }).inc();
        }
        let is_payment = PAYMENTS.contains(&kind.as_str());
        self.events.get_or_create(&EventLabels { kind }).inc();
        if !is_payment {
            return;
        }
        // One that this version can't read is counted above.
        if let Ok(Event::OrderPaid(payment) | Event::PaymentRecorded(payment)) = sequenced.event() {
            let labels = PaymentLabels { provider: payment.provider, kind: payment.kind.as_str() };
            self.payments.get_or_create(&labels).inc();
        }
    }
}
