//! The lines that an input refers to: their validation, their counterparts in the order and in its
//! events, and how many of their units were returned.

use super::LineQuantity;
use crate::domain::events::LineUnits;
use crate::domain::ids::OrderLineId;
use crate::domain::orders::fulfillments::ReturnStatus;
use crate::error::UserErrorCode;
use crate::repositories::orders::OrderLine;
use crate::repositories::orders::refunds::Refund;
use crate::repositories::orders::returns::Return;
use crate::services::input::Problems;

/// The maximum number of lines in one input.
pub(super) const MAX_LINES: usize = 250;

/// Checks the lines of an input: none may be given twice, and each needs a quantity of at least
/// `min`.
pub(super) fn check_lines(problems: &mut Problems, argument: &str, lines: &[LineQuantity], min: i64) {
    if lines.len() > MAX_LINES {
        let message = format!("Send up to {MAX_LINES} lines at a time");
        problems.add(&[argument, "lineItems"], UserErrorCode::TooMany, message);
    }
    for (at, line) in lines.iter().enumerate() {
        let at = at.to_string();
        if line.quantity < min {
            let message = format!("Quantity must be at least {min}");
            problems.add(&[argument, "lineItems", &at, "quantity"], UserErrorCode::Invalid, message);
        }
        if lines
            .iter()
            .take_while(|other| !std::ptr::eq(*other, line))
            .any(|other| other.line_id == line.line_id)
        {
            let message = "The line is given twice";
            problems.add(&[argument, "lineItems", &at, "lineItemId"], UserErrorCode::Taken, message);
        }
    }
}

/// Finds the order's lines that an input refers to, each with its index in the input and the
/// requested quantity. Unknown lines are added to `problems`.
pub(super) fn match_lines<'a>(
    problems: &mut Problems,
    argument: &str,
    lines: &'a mut [OrderLine],
    wanted: &[LineQuantity],
) -> Vec<(usize, &'a mut OrderLine, i64)> {
    for (at, want) in wanted.iter().enumerate() {
        if lines.iter().all(|line| line.id != want.line_id) {
            let field = [argument, "lineItems", &at.to_string(), "lineItemId"];
            problems.add(&field, UserErrorCode::NotFound, "The order has no such line");
        }
    }
    let found = lines.iter_mut().filter_map(|line| {
        let at = wanted.iter().position(|want| want.line_id == line.id)?;
        Some((at, line, wanted.get(at)?.quantity))
    });
    found.collect()
}

/// Adds the problem that only `left` units of a line can be `what`, fewer than requested.
pub(super) fn add_excess_problem(problems: &mut Problems, argument: &str, at: usize, left: i64, what: &str) {
    let message = format!("Only {left} of its units can be {what}");
    let field = [argument, "lineItems", &at.to_string(), "quantity"];
    problems.add(&field, UserErrorCode::NotAllowed, message);
}

/// The lines of an event, from pairs of a line and a number of units.
pub(super) fn event_lines(lines: impl Iterator<Item = (OrderLineId, i64)>) -> Vec<LineUnits> {
    lines.map(|(line_id, quantity)| LineUnits { line_id, quantity }).collect()
}

/// Units of a line that have come back from the buyer, or are expected by an open return.
pub(super) fn count_returned_units(line: OrderLineId, refunds: &[Refund], returns: &[Return]) -> i64 {
    let restocked = refunds.iter().flat_map(|refund| &refund.lines.0).filter(|one| one.line_id == line);
    let restocked: i64 = restocked.flat_map(|one| &one.restocked).map(|place| place.quantity).sum();
    let returned = returns.iter().flat_map(|one| one.lines.0.iter().map(move |line| (one.status, line)));
    let returned = returned.filter(|(_, one)| one.line_id == line).map(|(status, one)| match status {
        ReturnStatus::Open => one.quantity,
        ReturnStatus::Received => one.received,
    });
    returned.sum::<i64>().saturating_add(restocked)
}
