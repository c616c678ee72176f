//! Completing a cart: checking that it can be ordered, submitting it with the payment that was
//! chosen for it, and reporting the result.
//!
//! The order is placed as in `place_order`, and paid again as in `retry`: a cart whose payment was
//! declined can be submitted once more. An attempt is identified by the order that it placed,
//! together with a secret.

use super::chosen_payment::{PAYMENT, open_order};
use super::{CART, CheckedOrder, Checkout, Placement, RetryPayment, RetryState, may_order};
use crate::context::OpContext;
use crate::db::{Conn, Tx};
use crate::domain::checkout::carts::CartRef;
use crate::domain::ids::{Id, OrderId};
use crate::domain::payments::{NextAction, PaymentKind, PaymentStatus};
use crate::domain::time::Timestamp;
use crate::error::{Error, UserError, UserErrorCode};
use crate::repositories::checkout::cart_payments;
use crate::repositories::checkout::carts::{self, Cart, CartLine};
use crate::repositories::orders::{self, Order};
use crate::repositories::payments::{self, Payment, actions};
use crate::services::checkout::carts::{ChangedCart, cart_not_found};
use crate::services::checkout::sale;
use crate::services::idempotency::IdempotentCall;
use crate::services::input::Problems;
use crate::services::payments::{OrderPayment, PaymentInput, PaymentMethod};

/// The field with the idempotency key of a submission.
const ATTEMPT_TOKEN: &str = "attemptToken";

/// Whether a cart can be ordered.
#[derive(Debug)]
pub struct Readiness {
    /// The cart.
    pub cart: ChangedCart,
    /// What keeps it from being ordered.
    pub problems: Vec<UserError>,
}

/// The result of submitting a cart.
#[derive(Debug)]
pub enum Submission {
    /// An order was placed, or is paid once more. Whether that succeeds is up to the payment.
    Accepted {
        /// The order.
        order_id: OrderId,
        /// Identifies the attempt.
        attempt_id: String,
        /// Whether the cart was submitted with the same token before.
        is_repeated: bool,
    },
    /// Nothing was done, for these reasons.
    Refused(Vec<UserError>),
}

/// What became of an attempt to complete a cart.
#[derive(Debug)]
pub struct Completion {
    /// The order that it placed.
    pub order: Order,
    /// The state.
    pub state: CompletionState,
}

/// The state of an attempt to complete a cart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CompletionState {
    /// The payment is being processed.
    Processing,
    /// The buyer has to do something.
    ActionRequired {
        /// On this page of the payment provider; `None` if it is done with the provider's script.
        url: Option<String>,
    },
    /// The payment was declined, or was not made in time.
    Failed {
        /// Why the payment was declined; `None` if it was not made in time or the order canceled.
        declined: Option<String>,
    },
    /// The order is placed, and paid unless it is to be paid outside of the shop.
    Succeeded {
        /// When that happened.
        at: Timestamp,
    },
}

/// What a submission does.
struct Submitted {
    placement: Placement,
    /// How the order is paid; `None` if the cart was submitted with the same token before.
    method: Option<PaymentMethod>,
    /// Whether this is another payment of an order that the cart already has.
    is_retry: bool,
}

impl Checkout {
    /// Checks whether a cart can be ordered and, if a payment has been chosen, whether it can be
    /// paid that way. Limits on unpaid orders are only checked when the cart is ordered.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such cart, or the caller may not order it.
    pub async fn check_readiness(
        &self,
        op: &OpContext,
        cart: &CartRef,
        base_url: &str,
    ) -> Result<Readiness, Error> {
        let mut conn = self.db.read(&op.statements).await?;
        let found = carts::by_ids(&mut conn, &[cart.id]).await?.pop();
        let (row, is_ordered) =
            found.filter(|(row, _)| may_order(op, &self.keys, row, &cart.key)).ok_or_else(cart_not_found)?;
        let lines = carts::lines(&mut conn, &[row.id]).await?;
        let checked = if is_ordered {
            let open = open_order(&mut conn, row.id).await;
            open.and_then(|open| open.map(drop).ok_or_else(cart_not_found))
        } else {
            self.check_cart(&mut conn, op, (cart, &row), &lines, base_url).await
        };
        let problems = match checked {
            Ok(()) => Vec::new(),
            Err(Error::Invalid(problems)) if !problems.iter().any(is_about_call) => problems,
            Err(error) => return Err(error),
        };
        Ok(Readiness { cart: ChangedCart { cart: row, lines, warnings: Vec::new() }, problems })
    }

    /// Checks a cart that is not ordered yet. All problems are reported at once.
    async fn check_cart(
        &self,
        conn: &mut Conn,
        op: &OpContext,
        (cart, row): (&CartRef, &Cart),
        lines: &[CartLine],
        base_url: &str,
    ) -> Result<(), Error> {
        if lines.is_empty() {
            return Err(Error::invalid(CART, UserErrorCode::Blank, "The cart is empty"));
        }
        let mut problems = Problems::default();
        let chosen = cart_payments::find(conn, row.id).await?;
        let is_chosen = chosen.is_some();
        let with_payment = is_chosen.then(|| self.order_with_payment(cart, chosen, base_url)).transpose();
        let input = match collect(&mut problems, with_payment)?.flatten() {
            Some(input) => input,
            None => self.order_of(cart)?,
        };
        let email = Self::resolve_email(conn, op, row, &input).await;
        let email = collect(&mut problems, email)?;
        let order = self.build_order(op, row, &input, email.unwrap_or_default());
        let priced = self.price(conn, op, row, &input, lines, &order).await?;
        let lines = sale::sellable_lines(lines, &priced);
        if lines.is_empty() {
            let message = "Nothing in the cart is for sale any longer: add something else";
            problems.add(CART, UserErrorCode::Blank, message);
            return problems.check();
        }
        let total = priced.quote.total;
        let credit = self.plan_credit(conn, op, row, &order, total, false).await?;
        let due = total.saturating_sub(credit.total());
        collect(&mut problems, self.check_credit(&input, &credit, due))?;
        if is_chosen && due > 0 {
            let chargeable = input.method.check_chargeable(PAYMENT, due, &order.currency);
            collect(&mut problems, chargeable)?;
        }
        collect(&mut problems, self.plan_from(&priced.levels, row, &input, &lines, &priced))?;
        problems.check()
    }

    /// Orders a cart with the payment that was chosen for it. With the same token, the cart is
    /// submitted only once. Whoever may order the cart may submit it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such cart, or the token is invalid; other problems are
    /// part of the result.
    pub async fn submit(
        &self,
        op: &OpContext,
        cart: &CartRef,
        attempt_token: &str,
        base_url: &str,
    ) -> Result<Submission, Error> {
        let call = submission_call(cart, attempt_token)?;
        // A charge that is still running may yet pay the order.
        let known = orders::find_by_cart(&mut self.db.read(&op.statements).await?, cart.id).await?;
        if let Some(order) = known {
            self.payments.wait_until_charged(order.id).await;
        }
        let retry_state = RetryState::default();
        let submitted = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.submit_in(tx, op, (cart, base_url), &call, &retry_state).await
            })
            .await;
        let (order_id, is_repeated) = match submitted {
            Ok(submitted) => Box::pin(self.charge_submitted(op, submitted, base_url)).await?,
            Err(Error::Invalid(problems)) if !problems.iter().any(is_about_call) => {
                return Ok(Submission::Refused(problems));
            }
            Err(error) => return Err(error),
        };
        let attempt_id = self.keys.completion_attempt(order_id);
        Ok(Submission::Accepted { order_id, attempt_id, is_repeated })
    }

    async fn submit_in(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        (cart_ref, base_url): (&CartRef, &str),
        call: &IdempotentCall<'_>,
        retry_state: &RetryState,
    ) -> Result<Submitted, Error> {
        let (cart, is_ordered) = self.lock_cart(tx, op, cart_ref).await?.ok_or_else(cart_not_found)?;
        if let Some(order) = call.replay(tx.conn(), op).await? {
            let placement = Placement::Replayed(order);
            return Ok(Submitted { placement, method: None, is_retry: false });
        }
        let open = if is_ordered { open_order(tx.conn(), cart.id).await? } else { None };
        if is_ordered && open.is_none() {
            let message = "The cart has already been ordered";
            return Err(Error::invalid(CART, UserErrorCode::Taken, message));
        }
        let chosen = cart_payments::find(tx.conn(), cart.id).await?;
        let input = self.order_with_payment(cart_ref, chosen, base_url)?;
        // If the order is refused, the rollback restores it.
        cart_payments::delete(tx.conn(), cart.id).await?;
        let placement = match open {
            Some((order, due)) => {
                self.check_due(due, input.expected_due)?;
                let retry = self.retry_of(order);
                Box::pin(self.retry_in(tx, op, &retry, &input.method, Some(call))).await?
            }
            None => {
                let locked = (cart, is_ordered);
                Box::pin(self.place_locked(tx, op, locked, &input, Some(call), retry_state)).await?
            }
        };
        let CheckedOrder { method, .. } = input;
        Ok(Submitted { placement, method: Some(method), is_retry: is_ordered })
    }

    /// Another payment of an order. The caller may order its cart, so the token is provided here.
    fn retry_of(&self, order: OrderId) -> RetryPayment {
        RetryPayment {
            order_id: order,
            token: Some(self.keys.order_token(order)),
            // The method is passed separately.
            payment: PaymentInput::default(),
        }
    }

    /// Charges a submitted order. Returns its id, and whether it was submitted before.
    async fn charge_submitted(
        &self,
        op: &OpContext,
        Submitted { placement, method, is_retry }: Submitted,
        base_url: &str,
    ) -> Result<(OrderId, bool), Error> {
        match (placement, method) {
            (Placement::New(order, Some((request, guard))), Some(mut method)) => {
                let id = order.id;
                method.return_url = method.return_url.map(|_| self.order_page(base_url, id));
                let charged = if is_retry {
                    Box::pin(self.payments.charge_again(op, *order, &request, &method)).await
                } else {
                    self.payments.charge(op, *order, &request, &method).await
                };
                // Lets repeated requests that wait for this charge continue.
                drop(guard);
                charged.map(|_outcome| (id, false))
            }
            (Placement::New(order, _), _) => Ok((order.id, false)),
            (Placement::Replayed(id), _) => {
                self.payments.await_outcome(op, id).await?;
                Ok((id, true))
            }
        }
    }

    /// The result of an attempt to complete a cart. Anyone who has its id may see it; `None` if the
    /// id is not that of an attempt.
    ///
    /// # Errors
    /// Database errors.
    pub async fn completion(&self, op: &OpContext, attempt_id: &str) -> Result<Option<Completion>, Error> {
        let Some(id) = self.keys.open_completion_attempt(attempt_id) else { return Ok(None) };
        let mut conn = self.db.read(&op.statements).await?;
        let Some(order) = orders::find(&mut conn, id).await? else { return Ok(None) };
        let ledger = payments::by_order_ids(&mut conn, &[id]).await?;
        let actions = actions::by_order_ids(&mut conn, &[id]).await?;
        let payment = self.payments.payment_of(&order, &ledger, actions);
        let state = completion_state(&order, &ledger, payment);
        Ok(Some(Completion { order, state }))
    }
}

/// The call by which a cart is submitted: its key is the token, in a namespace of the cart, and its
/// input is the cart alone, because the chosen payment is deleted.
fn submission_call<'a>(cart: &CartRef, attempt_token: &'a str) -> Result<IdempotentCall<'a>, Error> {
    let invalid = |message| Error::invalid(&[ATTEMPT_TOKEN], UserErrorCode::Invalid, message);
    let call = IdempotentCall::new(Some(attempt_token), "cartSubmitForCompletion", &cart.id.uuid());
    match call {
        Ok(Some(call)) => Ok(call.scoped_to(format!("completion:{}", cart.id.uuid()))),
        Ok(None) | Err(Error::Invalid(_)) => Err(invalid("Attempt token must have 1 to 255 characters")),
        Err(error) => Err(error),
    }
}

/// Whether a problem is that the call itself is wrong, rather than the contents of the cart.
fn is_about_call(problem: &UserError) -> bool {
    matches!(problem.field.as_slice(), [field] if field == "cartId" || field == ATTEMPT_TOKEN)
}

/// Collects the problems of a check, and returns its result if it has one.
fn collect<T>(problems: &mut Problems, result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Invalid(found)) => {
            for problem in found {
                let field: Vec<&str> = problem.field.iter().map(String::as_str).collect();
                problems.add(&field, problem.code, problem.message.as_str());
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn completion_state(order: &Order, ledger: &[Payment], payment: OrderPayment) -> CompletionState {
    let newest = |kind: PaymentKind| ledger.iter().rev().find(|row| row.kind == kind);
    match (payment.status, payment.next_action) {
        (PaymentStatus::Paid | PaymentStatus::Authorized, _) => {
            let captured = newest(PaymentKind::Captured).map(|row| row.occurred_at);
            CompletionState::Succeeded { at: captured.unwrap_or(order.placed_at) }
        }
        (PaymentStatus::Declined, _) => {
            let reason = newest(PaymentKind::Declined).and_then(|row| row.message.clone());
            let reason = reason.unwrap_or_else(|| "the provider gives no reason".to_owned());
            CompletionState::Failed { declined: Some(reason) }
        }
        (PaymentStatus::Canceled | PaymentStatus::Voided, _) => CompletionState::Failed { declined: None },
        (PaymentStatus::Pending, Some(NextAction::ConfirmOnClient { .. })) => {
            CompletionState::ActionRequired { url: None }
        }
        (PaymentStatus::Pending, Some(NextAction::Redirect { url })) => {
            CompletionState::ActionRequired { url: Some(url) }
        }
        (PaymentStatus::Pending, Some(NextAction::Wait)) => CompletionState::Processing,
        // Paid outside of the shop.
        (PaymentStatus::Pending, None) => CompletionState::Succeeded { at: order.placed_at },
    }
}
