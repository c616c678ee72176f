//! Throttles attempts to guess passwords, tokens and codes, and other attempts that can be abused:
//! how often they may fail, and how long the caller has to wait after that.
//!
//! Failures are counted per account and per address. Some are free; after that there is a delay,
//! which doubles up to a limit. An attempt is counted before it is made and uncounted when it
//! succeeds, so that parallel attempts, under aliases or on many connections, don't evade the
//! count. Counters are in the database, so they are shared by all processes and survive restarts.
//!
//! This must not lock owners out, since anybody can cause failures for their accounts:
//!
//! - An account remembers an address it was signed in from for `KNOWN_ADDRESS_TTL`. Attempts from
//!   there are counted for that account and address alone: what strangers do elsewhere, or to other
//!   accounts from the same address, does not delay them. Somebody who shares the address and knows
//!   the account can cause a delay of up to `MAX_KNOWN_ADDRESS_DELAY`.
//! - From a new address, an owner may meet a delay caused by strangers. Recovering the account by
//!   mail avoids it: requests for the mail are counted per address, never per account, and recovery
//!   makes the address known.
//! - The owner is notified by mail, at most once until a day passes without failures.
//!
//! Unknown accounts are counted in the same way, so that the delay reveals nothing.
//!
//! Staff and callers with an API key act for others, such as a storefront rendered on a server:
//! their address is not counted, and an API key counts as a known address.
//!
//! An attempt creates at most two rows, and an address can cause only few before it has to wait.

use std::time::Duration;

use crate::auth::{Principal, hash_secret};
use crate::context::OpContext;
use crate::db::{Conn, Db, Tx};
use crate::domain::access::actors::{Actor, Credential};
use crate::domain::access::attempts::{AttemptLimit, FAILURES_TTL, Failures};
use crate::domain::ids::Id;
use crate::error::Error;
use crate::jobs::{self, NewJob};
use crate::repositories::access::attempt_counters::{self, AttemptCounter};
use crate::services::mails::SignInWarning;

/// How long an account remembers an address it was signed in from.
const KNOWN_ADDRESS_TTL: Duration = Duration::from_hours(90 * 24);
/// Maximum delay at a known address.
const MAX_KNOWN_ADDRESS_DELAY: Duration = Duration::from_mins(1);
/// Free changes of a customer's e-mail address: each sends a mail to the new one.
const MAX_EMAIL_CHANGES: u32 = 5;

/// Free attempts to save a payment method: each lets a card be tried.
const MAX_PAYMENT_SETUPS: u32 = 10;

/// How many attempts are free, and how long delays are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttemptSettings {
    /// Free failed sign-ins to one account.
    pub sign_ins_per_account: u32,
    /// Free failed sign-ins from one address.
    pub sign_ins_per_address: u32,
    /// Free sign-ups from one address.
    pub sign_ups_per_address: u32,
    /// Free recovery mails and wrong mailed tokens from one address.
    pub recoveries_per_address: u32,
    /// Free unknown codes of discounts, and of gift cards, in one cart. Those of gift cards are
    /// counted per customer if one is signed in.
    pub codes_per_cart: u32,
    /// Free unknown codes of discounts, and of gift cards, from one address.
    pub codes_per_address: u32,
    /// Maximum delay.
    pub max_delay: Duration,
    /// Minimum interval between mails with a token to the same account.
    pub mail_interval: Duration,
}

impl Default for AttemptSettings {
    fn default() -> Self {
        Self {
            sign_ins_per_account: 10,
            sign_ins_per_address: 30,
            sign_ups_per_address: 20,
            recoveries_per_address: 20,
            codes_per_cart: 10,
            codes_per_address: 50,
            max_delay: Duration::from_mins(15),
            mail_interval: Duration::from_mins(15),
        }
    }
}

/// The kind of attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttemptKind {
    /// A customer signs in with a password.
    CustomerSignIn,
    /// A staff member signs in with a password.
    StaffSignIn,
    /// Creating an account.
    SignUp,
    /// Requesting a mail to recover an account or verify an address.
    Recovery,
    /// Using a mailed token.
    MailedToken,
    /// Changing the e-mail address of an account.
    EmailChange,
    /// Entering a discount code in a cart.
    DiscountCode,
    /// Entering the code of a gift card in a cart.
    GiftCardCode,
    /// Beginning to save a payment method.
    PaymentSetup,
}

/// An attempt that is allowed, with its counters.
#[derive(Clone, Debug)]
pub struct Attempt {
    kind: AttemptKind,
    counters: Vec<Counter>,
    /// Key of the row that marks the address as known to the account.
    known_key: Option<String>,
    is_known: bool,
}

#[derive(Clone, Debug)]
struct Counter {
    key: String,
    limit: AttemptLimit,
    /// Whether it counts the failures of one account, whose owner is notified.
    is_per_account: bool,
}

/// Counts and throttles attempts.
pub struct Attempts {
    db: Db,
    settings: AttemptSettings,
}

impl Attempt {
    /// An attempt of an owner who has just been authenticated in another way: it is not counted.
    #[must_use]
    pub fn for_owner(op: &OpContext, kind: AttemptKind, subject: &str) -> Self {
        Self { kind, counters: Vec::new(), known_key: known_key(op, kind, subject), is_known: true }
    }

    /// Whether the account was signed in from this address before.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_known
    }
}

impl Attempts {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, settings: AttemptSettings) -> Self {
        Self { db, settings }
    }

    /// Minimum interval between mails with a token to the same account.
    #[must_use]
    pub fn mail_interval(&self) -> Duration {
        self.settings.mail_interval
    }

    /// Checks whether an attempt may be made now. `subject` identifies what the attempt concerns,
    /// such as an account or a cart.
    ///
    /// # Errors
    /// [`Error::Throttled`] when it must wait.
    pub async fn check(&self, op: &OpContext, kind: AttemptKind, subject: &str) -> Result<Attempt, Error> {
        self.check_with(&mut self.db.read(&op.statements).await?, op, kind, subject).await
    }

    /// Like [`Attempts::check`], on a connection of the caller.
    ///
    /// # Errors
    /// [`Error::Throttled`] when it must wait.
    pub async fn check_with(
        &self,
        conn: &mut Conn,
        op: &OpContext,
        kind: AttemptKind,
        subject: &str,
    ) -> Result<Attempt, Error> {
        let known_key = known_key(op, kind, subject);
        let counters = self.counters(op, kind, subject);
        let keys: Vec<String> =
            counters.iter().map(|counter| &counter.key).chain(&known_key).cloned().collect();
        if keys.is_empty() {
            return Ok(Attempt { kind, counters, known_key, is_known: false });
        }
        let rows = attempt_counters::by_keys(conn, &keys).await?;
        let is_known =
            |row: &&AttemptCounter| Some(&row.key) == known_key.as_ref() && op.now() < row.expires_at;
        if let Some(known) = rows.iter().find(is_known) {
            ensure_not_blocked([known], op)?;
            let limit = AttemptLimit {
                free_failures: self.settings.sign_ins_per_account,
                max_delay: self.settings.max_delay.min(MAX_KNOWN_ADDRESS_DELAY),
            };
            let counters = vec![Counter { key: known.key.clone(), limit, is_per_account: true }];
            return Ok(Attempt { kind, counters, known_key, is_known: true });
        }
        ensure_not_blocked(rows.iter().filter(|row| Some(&row.key) != known_key.as_ref()), op)?;
        Ok(Attempt { kind, counters, known_key, is_known: false })
    }

    /// Counts an attempt that is about to be made, as if it had failed. After too many failed
    /// sign-ins to an account, its owner is notified, if there is one.
    ///
    /// # Errors
    /// [`Error::Throttled`] when concurrent attempts were counted first and this one must wait.
    pub async fn count(
        &self,
        op: &OpContext,
        attempt: &Attempt,
        owner: Option<Principal>,
    ) -> Result<(), Error> {
        if attempt.counters.is_empty() {
            return Ok(());
        }
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                self.record_failures(tx, op, attempt, 1, owner).await
            })
            .await
    }

    /// Waits for parallel attempts that count towards the same limits, and keeps others waiting
    /// until the transaction ends.
    ///
    /// # Errors
    /// [`Error::Throttled`] when concurrent attempts were counted first and this one must wait.
    pub async fn take_turn(tx: &mut Tx, op: &OpContext, attempt: &Attempt) -> Result<(), Error> {
        if attempt.counters.is_empty() {
            return Ok(());
        }
        ensure_not_blocked(&lock(tx, op, attempt).await?, op)
    }

    /// Counts failed attempts, in the transaction that detected them.
    ///
    /// # Errors
    /// [`Error::Throttled`] when concurrent attempts were counted first and these must wait; the
    /// transaction must fail with it.
    pub async fn record_failures(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        attempt: &Attempt,
        failures: u32,
        owner: Option<Principal>,
    ) -> Result<(), Error> {
        let rows = lock(tx, op, attempt).await?;
        ensure_not_blocked(&rows, op)?;
        for row in rows {
            let Some(counter) = attempt.counters.iter().find(|counter| counter.key == row.key) else {
                continue;
            };
            let mut counted = row.failures().add(counter.limit, failures, op.now());
            if attempt.kind.is_sign_in() && counter.is_per_account && counted.is_report_due(counter.limit) {
                counted.is_reported = true;
                // Also for unknown accounts, so that nothing reveals whether one exists.
                jobs::enqueue(tx, op, [NewJob::new(&SignInWarning::for_owner(owner))?]).await?;
            }
            let expires_at = row.expires_at.max(op.now().plus(FAILURES_TTL));
            attempt_counters::update(tx.conn(), &AttemptCounter::new(row.key, counted, expires_at)).await?;
        }
        Ok(())
    }

    /// Uncounts an attempt that has succeeded, in the caller's transaction. From now on, the
    /// account knows the address.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn succeed(&self, tx: &mut Tx, op: &OpContext, attempt: &Attempt) -> Result<(), Error> {
        if !attempt.is_known {
            for row in lock(tx, op, attempt).await? {
                let failures = row.failures().retract(op.now());
                let row = AttemptCounter::new(row.key, failures, row.expires_at);
                attempt_counters::update(tx.conn(), &row).await?;
            }
        }
        self.trust(tx, op, attempt).await
    }

    /// Marks the address as known to the account, after its owner was authenticated in another way.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn trust(&self, tx: &mut Tx, op: &OpContext, attempt: &Attempt) -> Result<(), Error> {
        let Some(key) = attempt.known_key.clone() else { return Ok(()) };
        let known = AttemptCounter::new(key, Failures::none(op.now()), op.now().plus(KNOWN_ADDRESS_TTL));
        attempt_counters::lock(tx.conn(), std::slice::from_ref(&known)).await?;
        Ok(attempt_counters::update(tx.conn(), &known).await?)
    }

    /// The counters of an attempt from an unknown address.
    fn counters(&self, op: &OpContext, kind: AttemptKind, subject: &str) -> Vec<Counter> {
        if op.actor == Actor::System {
            return Vec::new();
        }
        let settings = &self.settings;
        let (per_subject, per_address) = match kind {
            AttemptKind::CustomerSignIn | AttemptKind::StaffSignIn => {
                (Some(settings.sign_ins_per_account), Some(settings.sign_ins_per_address))
            }
            AttemptKind::SignUp => (None, Some(settings.sign_ups_per_address)),
            AttemptKind::Recovery | AttemptKind::MailedToken => (None, Some(settings.recoveries_per_address)),
            AttemptKind::EmailChange => (Some(MAX_EMAIL_CHANGES), None),
            AttemptKind::PaymentSetup => (Some(MAX_PAYMENT_SETUPS), None),
            AttemptKind::DiscountCode | AttemptKind::GiftCardCode => {
                (Some(settings.codes_per_cart), Some(settings.codes_per_address))
            }
        };
        let counter = |key: String, free_failures, is_per_account| {
            let limit = AttemptLimit { free_failures, max_delay: settings.max_delay };
            Counter { key, limit, is_per_account }
        };
        let subject_counter = per_subject.map(|free| counter(key(kind, "subject", subject), free, true));
        let network = op.client_network().filter(|_| !op.actor.is_staff()).map(|network| network.to_string());
        let address_counter = per_address
            .zip(network)
            .map(|(free, network)| counter(key(kind, "address", &network), free, false));
        subject_counter.into_iter().chain(address_counter).collect()
    }
}

impl AttemptKind {
    fn is_sign_in(self) -> bool {
        matches!(self, Self::CustomerSignIn | Self::StaffSignIn)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::CustomerSignIn => "customer_sign_in",
            Self::StaffSignIn => "staff_sign_in",
            Self::SignUp => "sign_up",
            Self::Recovery => "recovery",
            Self::MailedToken => "mailed_token",
            Self::EmailChange => "email_change",
            Self::DiscountCode => "discount_code",
            Self::GiftCardCode => "gift_card_code",
            Self::PaymentSetup => "payment_setup",
        }
    }
}

/// The key of the row that marks where an account is signed in from as known: the address, or the
/// API key of a storefront.
fn known_key(op: &OpContext, kind: AttemptKind, subject: &str) -> Option<String> {
    let origin = match op.credential {
        _ if !kind.is_sign_in() => return None,
        Credential::ApiKey(id) => format!("api_key:{}", id.uuid()),
        _ => op.client_network()?.to_string(),
    };
    Some(key(kind, "known", &format!("{subject}\0{origin}")))
}

fn key(kind: AttemptKind, scope: &str, value: &str) -> String {
    hash_secret(&format!("{}\0{scope}\0{value}", kind.as_str()))
}

/// Locks the counters of an attempt.
async fn lock(tx: &mut Tx, op: &OpContext, attempt: &Attempt) -> Result<Vec<AttemptCounter>, Error> {
    let (none, expires_at) = (Failures::none(op.now()), op.now().plus(FAILURES_TTL));
    let missing: Vec<AttemptCounter> = attempt
        .counters
        .iter()
        .map(|counter| AttemptCounter::new(counter.key.clone(), none, expires_at))
        .collect();
    Ok(attempt_counters::lock(tx.conn(), &missing).await?)
}

fn ensure_not_blocked<'a>(
    rows: impl IntoIterator<Item = &'a AttemptCounter>,
    op: &OpContext,
) -> Result<(), Error> {
    match rows.into_iter().filter_map(|row| row.failures().retry_delay(op.now())).max() {
        None => Ok(()),
        Some(wait) => Err(Error::Throttled { retry_after: ceil_to_seconds(wait) }),
    }
}

fn ceil_to_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}
