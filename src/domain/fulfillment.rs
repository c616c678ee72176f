//! What becomes of an order's pieces once it is placed: they are sent, refunded, and come back.

use serde::{Deserialize, Serialize};

use super::catalog::text_enum;
use super::ids::OrderLineId;
use super::inventory::Pieces;

text_enum! {
    /// The state a fulfillment is in.
    FulfillmentState {
        /// It was sent.
        Success = "success",
        /// It was taken back before it arrived.
        Cancelled = "cancelled",
    }
}

text_enum! {
    /// The state a return is in.
    ReturnStatus {
        /// The buyer may send the pieces back.
        Open = "open",
        /// What came back is received.
        Received = "received",
    }
}

/// Pieces of a line that were sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FulfilledLine {
    /// The order's line.
    pub line_id: OrderLineId,
    /// How many pieces.
    pub quantity: i64,
    /// Where they were taken; fewer than `quantity` where stock is not counted.
    pub taken: Vec<Pieces>,
}

/// Pieces of a line whose money goes back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundedLine {
    /// The order's line.
    pub line_id: OrderLineId,
    /// How many pieces; 0 when only some of their money goes back.
    pub quantity: i64,
    /// Minor units, for all of them.
    pub amount: i64,
    /// Where pieces that had been sent were put back on the shelf.
    pub restocked: Vec<Pieces>,
}

/// Pieces of a line that come back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnedLine {
    /// The order's line.
    pub line_id: OrderLineId,
    /// How many pieces may come back.
    pub quantity: i64,
    /// How many of them came.
    pub received: i64,
}
