//! Completing carts as in the dialect: choosing a payment, submitting the cart, and polling for the
//! result.

mod codes;
mod input;

use std::time::Duration;

use async_graphql::{Context, ID, Object, Result, SimpleObject, Union};

use super::Cart;
use super::mutation::parse_cart_ref;
use super::payload::{CartPaymentUpdatePayload, CartUserError};
use crate::domain::ids::OrderId;
use crate::domain::time::Timestamp;
use crate::error::{Error, UserError};
use crate::graphql::request::RequestContext;
use crate::graphql::types::scalars::{DateTime, Url, gid};
use crate::services::checkout::{Completion, CompletionState, Readiness, Submission};
use codes::{CompletionErrorCode, SubmissionErrorCode};
use input::CartPaymentInput;

/// How long clients should wait before they poll again, in milliseconds.
const POLL_DELAY_MS: i32 = 1_000;

/// Mutations that complete carts.
#[derive(Default)]
pub(crate) struct CartCompletionMutation;

/// An error that keeps a cart from being completed.
#[derive(SimpleObject)]
struct CartOperationError {
    /// The error code, one of the names of `SubmissionErrorCode`.
    code: String,
    /// What is wrong and how to fix it.
    message: Option<String>,
}

/// A cart that can be submitted.
#[derive(SimpleObject)]
struct CartStatusReady {
    /// The cart.
    cart: Option<Cart>,
}

/// A cart that can't be submitted yet.
#[derive(SimpleObject)]
struct CartStatusNotReady {
    /// The cart.
    cart: Option<Cart>,
    /// Everything that keeps the cart from being submitted.
    errors: Vec<CartOperationError>,
}

/// The shop is too busy to check the cart.
#[derive(SimpleObject)]
struct CartThrottled {
    /// The cart. Always null.
    cart: Option<Cart>,
    /// When to try again.
    poll_after: DateTime,
}

/// Whether a cart can be submitted.
#[derive(Union)]
enum CartPrepareForCompletionResult {
    NotReady(CartStatusNotReady),
    Ready(CartStatusReady),
    Throttled(CartThrottled),
}

/// The result of `cartPrepareForCompletion`.
#[derive(SimpleObject)]
struct CartPrepareForCompletionPayload {
    /// Whether the cart can be submitted. Null if there is no such cart.
    result: Option<CartPrepareForCompletionResult>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<CartUserError>,
}

/// An error that kept a cart from being submitted.
#[derive(SimpleObject)]
struct SubmissionError {
    /// The error code.
    code: SubmissionErrorCode,
    /// What is wrong and how to fix it.
    message: Option<String>,
}

/// The cart was submitted: its order is placed, and the payment requested.
#[derive(SimpleObject)]
struct SubmitSuccess {
    /// The ID of the attempt, for `cartCompletionAttempt`. Keep it secret.
    attempt_id: String,
    /// The page of the order, where the buyer can also pay. It contains the order's token.
    redirect_url: Url,
}

/// The cart was submitted with the same attempt token before.
#[derive(SimpleObject)]
struct SubmitAlreadyAccepted {
    /// The ID of the attempt, for `cartCompletionAttempt`. Keep it secret.
    attempt_id: String,
}

/// The cart was not submitted. Nothing was ordered or charged.
#[derive(SimpleObject)]
struct SubmitFailed {
    /// The checkout page of the cart.
    checkout_url: Option<Url>,
    /// Everything that kept the cart from being submitted.
    errors: Vec<SubmissionError>,
}

/// The shop is too busy to accept the cart.
#[derive(SimpleObject)]
struct SubmitThrottled {
    /// When to try again, with the same attempt token.
    poll_after: DateTime,
}

/// The result of submitting a cart.
#[derive(Union)]
enum CartSubmitForCompletionResult {
    AlreadyAccepted(SubmitAlreadyAccepted),
    Failed(SubmitFailed),
    Success(SubmitSuccess),
    Throttled(SubmitThrottled),
}

/// The result of `cartSubmitForCompletion`.
#[derive(SimpleObject)]
struct CartSubmitForCompletionPayload {
    /// The result of the submission. Null if there is no such cart.
    result: Option<CartSubmitForCompletionResult>,
    /// Errors in the input. Empty when the mutation succeeded.
    user_errors: Vec<CartUserError>,
}

/// An error that caused an attempt to complete a cart to fail.
#[derive(SimpleObject)]
struct CompletionError {
    /// The error code.
    code: CompletionErrorCode,
    /// What went wrong.
    message: Option<String>,
}

/// A step that the buyer must complete for the payment, such as 3-D Secure or an approval.
#[derive(SimpleObject)]
struct CompletePaymentChallenge {
    /// The page where the buyer completes the step: either a page of the payment provider, which
    /// then returns the buyer to the page of the order, or the page of the order itself.
    redirect_url: Option<Url>,
}

/// A step that must be taken before an attempt to complete a cart can continue.
#[derive(Union)]
enum CartCompletionAction {
    CompletePaymentChallenge(CompletePaymentChallenge),
}

/// The buyer must complete a step before the cart is completed.
#[derive(SimpleObject)]
pub(super) struct CartCompletionActionRequired {
    /// The step.
    action: Option<CartCompletionAction>,
    /// The ID of the attempt.
    id: String,
}

/// The attempt has failed: the payment was declined, or the order was canceled or not paid in time.
/// Choose a payment method with `cartPaymentUpdate`, and submit the cart again with a new attempt
/// token.
#[derive(SimpleObject)]
pub(super) struct CartCompletionFailed {
    /// The errors that caused the attempt to fail.
    errors: Vec<CompletionError>,
    /// The ID of the attempt.
    id: String,
}

/// The payment is being processed.
#[derive(SimpleObject)]
pub(super) struct CartCompletionProcessing {
    /// The ID of the attempt.
    id: String,
    /// How long to wait before polling again, in milliseconds.
    poll_delay: i32,
}

/// The cart is completed. Its order is paid, or will be paid outside of the shop.
#[derive(SimpleObject)]
pub(super) struct CartCompletionSuccess {
    /// When the cart was completed.
    completed_at: Option<DateTime>,
    /// The ID of the attempt.
    id: String,
    /// The ID of the order.
    order_id: ID,
    /// The page of the order. It contains the order's token.
    order_url: Url,
}

/// The result of an attempt to complete a cart.
#[derive(Union)]
pub(super) enum CartCompletionAttemptResult {
    ActionRequired(CartCompletionActionRequired),
    Failed(CartCompletionFailed),
    Processing(CartCompletionProcessing),
    Success(CartCompletionSuccess),
}

/// The base of absolute URLs, without a trailing slash.
fn base_url(ctx: &Context<'_>) -> String {
    ctx.absolute_url("/").trim_end_matches('/').to_owned()
}

/// When a caller who was refused because of load may try again; any other error is returned.
fn poll_after(now: Timestamp, error: Error) -> Result<DateTime, Error> {
    match error {
        Error::Throttled { retry_after } | Error::Overloaded { retry_after } => {
            Ok(DateTime(now.plus(retry_after.max(Duration::from_secs(1)))))
        }
        error => Err(error),
    }
}

impl CartPrepareForCompletionPayload {
    fn new(checked: Result<Readiness, Error>, now: Timestamp) -> Result<Self, Error> {
        let (result, user_errors) = match checked {
            Ok(readiness) => (Some(to_readiness(readiness)), Vec::new()),
            Err(Error::Invalid(errors)) => (None, CartUserError::all(errors)),
            Err(error) => {
                let throttled = CartThrottled { cart: None, poll_after: poll_after(now, error)? };
                (Some(CartPrepareForCompletionResult::Throttled(throttled)), Vec::new())
            }
        };
        Ok(Self { result, user_errors })
    }
}

impl CartSubmitForCompletionPayload {
    fn new(submitted: Result<CartSubmitForCompletionResult, Error>, now: Timestamp) -> Result<Self, Error> {
        let (result, user_errors) = match submitted {
            Ok(result) => (Some(result), Vec::new()),
            Err(Error::Invalid(errors)) => (None, CartUserError::all(errors)),
            Err(error) => {
                let throttled = SubmitThrottled { poll_after: poll_after(now, error)? };
                (Some(CartSubmitForCompletionResult::Throttled(throttled)), Vec::new())
            }
        };
        Ok(Self { result, user_errors })
    }
}

fn to_operation_error(problem: UserError) -> CartOperationError {
    CartOperationError { code: SubmissionErrorCode::of(&problem).name(), message: Some(problem.message) }
}

fn to_readiness(Readiness { cart, problems }: Readiness) -> CartPrepareForCompletionResult {
    let cart = Some(Cart::from_changed(cart));
    if problems.is_empty() {
        return CartPrepareForCompletionResult::Ready(CartStatusReady { cart });
    }
    let errors = problems.into_iter().map(to_operation_error).collect();
    CartPrepareForCompletionResult::NotReady(CartStatusNotReady { cart, errors })
}

/// The page of an order, which the holder of an attempt may see.
fn order_url(ctx: &Context<'_>, order: OrderId) -> Url {
    Url(ctx.absolute_url(&ctx.services().checkout.order_url(order)))
}

/// Loads what became of an attempt. `None` if its ID is not one of ours.
pub(super) async fn load_attempt(
    ctx: &Context<'_>,
    id: String,
) -> Result<Option<CartCompletionAttemptResult>> {
    use CartCompletionAttemptResult as Attempt;
    let Some(Completion { order, state }) = ctx.services().checkout.completion(ctx.op(), &id).await? else {
        return Ok(None);
    };
    let page = order_url(ctx, order.id);
    Ok(Some(match state {
        CompletionState::Processing => {
            Attempt::Processing(CartCompletionProcessing { id, poll_delay: POLL_DELAY_MS })
        }
        CompletionState::ActionRequired { url } => {
            let challenge = CompletePaymentChallenge { redirect_url: Some(url.map_or(page, Url)) };
            let action = Some(CartCompletionAction::CompletePaymentChallenge(challenge));
            Attempt::ActionRequired(CartCompletionActionRequired { action, id })
        }
        CompletionState::Failed { declined } => {
            let (code, message) = match declined {
                Some(reason) => {
                    (CompletionErrorCode::PaymentCardDeclined, format!("The payment was declined: {reason}"))
                }
                None => (
                    CompletionErrorCode::Error,
                    "The order was canceled, or it was not paid in time".to_owned(),
                ),
            };
            let errors = vec![CompletionError { code, message: Some(message) }];
            Attempt::Failed(CartCompletionFailed { errors, id })
        }
        CompletionState::Succeeded { at } => Attempt::Success(CartCompletionSuccess {
            completed_at: Some(DateTime(at)),
            id,
            order_id: gid(order.id),
            order_url: page,
        }),
    }))
}

#[Object]
impl CartCompletionMutation {
    /// Sets how a cart is paid when it is submitted with `cartSubmitForCompletion`. Replaces any
    /// earlier choice. Nothing is charged yet.
    async fn cart_payment_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
        #[graphql(desc = "How the cart is paid.")] payment: CartPaymentInput,
    ) -> Result<CartPaymentUpdatePayload> {
        let changed = async {
            let (cart, payment) = (parse_cart_ref(&cart_id)?, payment.into());
            ctx.services().checkout.choose_payment(ctx.op(), &cart, &payment, &base_url(ctx)).await
        };
        CartPaymentUpdatePayload::new(changed.await)
    }

    /// Checks whether a cart can be submitted: its contents, stock, buyer and delivery, and the
    /// payment if one was chosen with `cartPaymentUpdate`. Changes nothing.
    async fn cart_prepare_for_completion(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
    ) -> Result<CartPrepareForCompletionPayload> {
        let checked = async {
            let cart = parse_cart_ref(&cart_id)?;
            ctx.services().checkout.check_readiness(ctx.op(), &cart, &base_url(ctx)).await
        };
        Ok(CartPrepareForCompletionPayload::new(checked.await, ctx.op().now())?)
    }

    /// Places the order of a cart with the payment that was chosen with `cartPaymentUpdate`, and
    /// requests the payment. Poll `cartCompletionAttempt` for the result. If the payment fails,
    /// choose another one and submit the cart with another token.
    async fn cart_submit_for_completion(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A unique token of this attempt, at most 255 characters. Makes retries safe: \
                          with the same token, the cart is submitted only once.")]
        attempt_token: String,
        #[graphql(desc = "The ID of the cart.")] cart_id: ID,
    ) -> Result<CartSubmitForCompletionPayload> {
        let submitted = async {
            let cart = parse_cart_ref(&cart_id)?;
            let checkout = &ctx.services().checkout;
            let submission = checkout.submit(ctx.op(), &cart, &attempt_token, &base_url(ctx)).await?;
            let checkout_url = match &submission {
                Submission::Refused(_) => {
                    let open = ctx.services().carts.open(ctx.op(), &cart).await?;
                    open.map(|open| ctx.services().carts.checkout_url(&open.cart))
                }
                Submission::Accepted { .. } => None,
            };
            Ok::<_, Error>(to_result(ctx, submission, checkout_url))
        };
        Ok(CartSubmitForCompletionPayload::new(Box::pin(submitted).await, ctx.op().now())?)
    }
}

fn to_result(
    ctx: &Context<'_>,
    submission: Submission,
    checkout_url: Option<String>,
) -> CartSubmitForCompletionResult {
    match submission {
        Submission::Accepted { attempt_id, is_repeated: true, .. } => {
            CartSubmitForCompletionResult::AlreadyAccepted(SubmitAlreadyAccepted { attempt_id })
        }
        Submission::Accepted { order_id, attempt_id, .. } => {
            let redirect_url = order_url(ctx, order_id);
            CartSubmitForCompletionResult::Success(SubmitSuccess { attempt_id, redirect_url })
        }
        Submission::Refused(problems) => {
            let to_error = |problem: UserError| SubmissionError {
                code: SubmissionErrorCode::of(&problem),
                message: Some(problem.message),
            };
            CartSubmitForCompletionResult::Failed(SubmitFailed {
                checkout_url: checkout_url.map(|url| Url(ctx.absolute_url(&url))),
                errors: problems.into_iter().map(to_error).collect(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_shop_tells_when_to_try_again() {
        let now = Timestamp::EPOCH;
        let busy: [(fn() -> Error, u64); 2] = [
            (|| Error::Throttled { retry_after: Duration::from_secs(30) }, 30),
            (|| Error::Overloaded { retry_after: Duration::ZERO }, 1),
        ];
        for (error, seconds) in busy {
            let at = now.plus(Duration::from_secs(seconds));
            let payload = CartPrepareForCompletionPayload::new(Err(error()), now).unwrap();
            assert!(payload.user_errors.is_empty());
            let Some(CartPrepareForCompletionResult::Throttled(throttled)) = payload.result else {
                panic!("the cart was checked");
            };
            assert_eq!(throttled.poll_after.0, at);

            let payload = CartSubmitForCompletionPayload::new(Err(error()), now).unwrap();
            assert!(payload.user_errors.is_empty());
            let Some(CartSubmitForCompletionResult::Throttled(throttled)) = payload.result else {
                panic!("the cart was submitted");
            };
            assert_eq!(throttled.poll_after.0, at);
        }
        assert!(CartPrepareForCompletionPayload::new(Err(Error::StaffOnly), now).is_err());
        assert!(CartSubmitForCompletionPayload::new(Err(Error::StaffOnly), now).is_err());
    }
}
