//! Attempts at what can be guessed: how often they may fail, and who waits for how long after that.
//!
//! Failures are counted by account and by address, each with some that are free and a delay after that, which doubles up to
//! a limit. An attempt is counted before it is made and taken back when it succeeds, so that many at once, under aliases
//! or on many connections, are no way around the count. Counters are in the database: neither another process nor a restart
//! forgets them.
//!
//! None of this may lock an owner out, since everybody can fail in their name:
//!
//! - An account that was signed in from an address before knows it for `KNOWN_TTL`. Attempts from there are counted for
//!   that account and address alone: what strangers do elsewhere, or to other accounts from the same address, delays none of
//!   them. Whoever shares the address and knows the account can cause a delay of up to `MAX_KNOWN_DELAY`.
//! - From a new address, an owner may meet the delay that strangers caused. A new password by mail is the way around it:
//!   asking for the mail is counted by address, never by account, and an account that was recovered knows the address.
//! - The owner is told by mail, once until a day passes without failures.
//!
//! Accounts that are not there are counted in the same way, so that the delay tells nothing.
//!
//! Callers with an API key or of the staff ask for others, as a storefront that is rendered on a server does: their address
//! is not counted, and the key itself stands for an address that an account knows.
//!
//! A row is made for two counters an attempt at most, and an address can make few of them before it waits.

use std::time::Duration;

use crate::auth::{Actor, Credential, Holder, hash_secret};
use crate::context::OpContext;
use crate::db::{Conn, Db, Tx, retrying};
use crate::domain::attempts::{AttemptLimit, FAILURES_TTL, Failures};
use crate::domain::ids::Id;
use crate::error::Error;
use crate::jobs;
use crate::repositories::attempt_counters::{self, AttemptCounter};
use crate::services::mails::SignInWarning;

/// How long an account knows an address that it was signed in from.
const KNOWN_TTL: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// The longest delay at an address that the account knows.
const MAX_KNOWN_DELAY: Duration = Duration::from_secs(60);
/// How often a customer may change their e-mail address before they wait: each time a mail goes to the new one.
const MAX_EMAIL_CHANGES: u32 = 5;

/// How often attempts may fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttemptSettings {
    /// Failed sign-ins to one account that are free.
    pub sign_ins_per_account: u32,
    /// Failed sign-ins from one address that are free.
    pub sign_ins_per_address: u32,
    /// Accounts that are made from one address without a delay.
    pub sign_ups_per_address: u32,
    /// Mails to recover an account, and uses of wrong mailed tokens, from one address without a delay.
    pub recoveries_per_address: u32,
    /// Unknown discount codes that are tried in one cart without a delay.
    pub codes_per_cart: u32,
    /// Unknown discount codes that are tried from one address without a delay.
    pub codes_per_address: u32,
    /// The longest delay.
    pub max_delay: Duration,
    /// How long after a mail with a token the next one is sent to the same account.
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
            max_delay: Duration::from_secs(15 * 60),
            mail_interval: Duration::from_secs(15 * 60),
        }
    }
}

/// What is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A customer's password, to sign in.
    CustomerSignIn,
    /// A staff member's password, to sign in.
    StaffSignIn,
    /// To make an account.
    SignUp,
    /// To have a mail sent that recovers an account or proves an address.
    Recovery,
    /// A token that is said to have come by mail.
    MailedToken,
    /// To change the e-mail address of an account.
    EmailChange,
    /// A discount code, in a cart.
    DiscountCode,
}

/// An attempt that may be made, and where it is counted.
#[derive(Clone, Debug)]
pub struct Attempt {
    purpose: Purpose,
    counters: Vec<Counter>,
    /// The row that says that the account knows the address.
    known_key: Option<String>,
    is_known: bool,
}

#[derive(Clone, Debug)]
struct Counter {
    key: String,
    limit: AttemptLimit,
    /// Whether its failures are those of one account, whose owner is told of them.
    is_of_account: bool,
}

/// Counts attempts.
pub struct Attempts {
    db: Db,
    settings: AttemptSettings,
}

impl Attempt {
    /// The attempt of an owner who has just proved who they are in another way: it is not counted.
    #[must_use]
    pub fn of_owner(op: &OpContext, purpose: Purpose, subject: &str) -> Self {
        Self { purpose, counters: Vec::new(), known_key: known_key(op, purpose, subject), is_known: true }
    }

    /// Whether the account was signed in from the same address before.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_known
    }
}

impl Attempts {
    /// The service over a database.
    #[must_use]
    pub fn new(db: Db, settings: AttemptSettings) -> Self {
        Self { db, settings }
    }

    /// How long after a mail with a token the next one is sent to the same account.
    #[must_use]
    pub fn mail_interval(&self) -> Duration {
        self.settings.mail_interval
    }

    /// Sees whether an attempt may be made now, at an account, cart or whatever else can be guessed.
    ///
    /// # Errors
    /// [`Error::Throttled`] when it must wait.
    pub async fn check(&self, op: &OpContext, purpose: Purpose, subject: &str) -> Result<Attempt, Error> {
        self.check_in(&mut self.db.read(&op.statements).await?, op, purpose, subject).await
    }

    /// The same for whoever has a connection already.
    ///
    /// # Errors
    /// [`Error::Throttled`] when it must wait.
    pub async fn check_in(
        &self,
        conn: &mut Conn,
        op: &OpContext,
        purpose: Purpose,
        subject: &str,
    ) -> Result<Attempt, Error> {
        let known_key = known_key(op, purpose, subject);
        let counters = self.counters(op, purpose, subject);
        let keys: Vec<String> =
            counters.iter().map(|counter| &counter.key).chain(&known_key).cloned().collect();
        if keys.is_empty() {
            return Ok(Attempt { purpose, counters, known_key, is_known: false });
        }
        let rows = attempt_counters::by_keys(conn, &keys).await?;
        let is_known =
            |row: &&AttemptCounter| Some(&row.key) == known_key.as_ref() && op.now() < row.expires_at;
        if let Some(known) = rows.iter().find(is_known) {
            refuse_blocked([known], op)?;
            let limit = AttemptLimit {
                free_failures: self.settings.sign_ins_per_account,
                max_delay: self.settings.max_delay.min(MAX_KNOWN_DELAY),
            };
            let counters = vec![Counter { key: known.key.clone(), limit, is_of_account: true }];
            return Ok(Attempt { purpose, counters, known_key, is_known: true });
        }
        refuse_blocked(rows.iter().filter(|row| Some(&row.key) != known_key.as_ref()), op)?;
        Ok(Attempt { purpose, counters, known_key, is_known: false })
    }

    /// Counts an attempt that is about to be made, as if it had failed. Too many at an account have its owner told, if there
    /// is one.
    ///
    /// # Errors
    /// [`Error::Throttled`] when others were faster and it must wait.
    pub async fn count(&self, op: &OpContext, attempt: &Attempt, owner: Option<Holder>) -> Result<(), Error> {
        if attempt.counters.is_empty() {
            return Ok(());
        }
        retrying(|| async {
            let mut tx = self.db.begin(&op.statements).await?;
            match self.fail(&mut tx, op, attempt, 1, owner).await {
                Ok(()) => Ok(tx.commit().await?),
                Err(error) => {
                    tx.rollback().await?;
                    Err(error)
                }
            }
        })
        .await
    }

    /// Counts attempts that failed, in the transaction that found out.
    ///
    /// # Errors
    /// [`Error::Throttled`] when others were faster and they must wait; the transaction is to be rolled back then.
    pub async fn fail(
        &self,
        tx: &mut Tx,
        op: &OpContext,
        attempt: &Attempt,
        failures: u32,
        owner: Option<Holder>,
    ) -> Result<(), Error> {
        let rows = lock(tx, op, attempt).await?;
        refuse_blocked(&rows, op)?;
        for row in rows {
            let Some(counter) = attempt.counters.iter().find(|counter| counter.key == row.key) else {
                continue;
            };
            let mut counted = row.failures().add(counter.limit, failures, op.now());
            if attempt.purpose.is_sign_in() && counter.is_of_account && counted.is_report_due(counter.limit) {
                counted.is_reported = true;
                // Also where there is no such account, so that nothing tells.
                jobs::enqueue(tx, op, [SignInWarning::of(owner).job()?]).await?;
            }
            let expires_at = row.expires_at.max(op.now().plus(FAILURES_TTL));
            attempt_counters::update(tx.conn(), &AttemptCounter::new(row.key, counted, expires_at)).await?;
        }
        Ok(())
    }

    /// Takes an attempt back that was counted and has succeeded, in the transaction of what it was for. From now on, the account
    /// knows the address.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn succeed(&self, tx: &mut Tx, op: &OpContext, attempt: &Attempt) -> Result<(), Error> {
        if !attempt.is_known {
            for row in lock(tx, op, attempt).await? {
                let failures = row.failures().take_back(op.now());
                let row = AttemptCounter::new(row.key, failures, row.expires_at);
                attempt_counters::update(tx.conn(), &row).await?;
            }
        }
        self.trust(tx, op, attempt).await
    }

    /// Has an account know the address, since its owner has proved who they are in another way than was tried.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn trust(&self, tx: &mut Tx, op: &OpContext, attempt: &Attempt) -> Result<(), Error> {
        let Some(key) = attempt.known_key.clone() else { return Ok(()) };
        let known = AttemptCounter::new(key, Failures::none(op.now()), op.now().plus(KNOWN_TTL));
        attempt_counters::lock(tx.conn(), std::slice::from_ref(&known)).await?;
        Ok(attempt_counters::update(tx.conn(), &known).await?)
    }

    /// Where an attempt of a stranger is counted.
    fn counters(&self, op: &OpContext, purpose: Purpose, subject: &str) -> Vec<Counter> {
        if op.actor == Actor::System {
            return Vec::new();
        }
        let settings = &self.settings;
        let (per_subject, per_address) = match purpose {
            Purpose::CustomerSignIn | Purpose::StaffSignIn => {
                (Some(settings.sign_ins_per_account), Some(settings.sign_ins_per_address))
            }
            Purpose::SignUp => (None, Some(settings.sign_ups_per_address)),
            Purpose::Recovery | Purpose::MailedToken => (None, Some(settings.recoveries_per_address)),
            Purpose::EmailChange => (Some(MAX_EMAIL_CHANGES), None),
            Purpose::DiscountCode => (Some(settings.codes_per_cart), Some(settings.codes_per_address)),
        };
        let counter = |key: String, free_failures, is_of_account| {
            let limit = AttemptLimit { free_failures, max_delay: settings.max_delay };
            Counter { key, limit, is_of_account }
        };
        let of_subject = per_subject.map(|free| counter(key(purpose, "subject", subject), free, true));
        let site = op.site().filter(|_| !op.actor.is_staff()).map(|site| site.to_string());
        let of_address =
            per_address.zip(site).map(|(free, site)| counter(key(purpose, "address", &site), free, false));
        of_subject.into_iter().chain(of_address).collect()
    }
}

impl Purpose {
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
        }
    }
}

/// The key of the row that says that an account knows where its owner signs in from: the address, or the API key of the
/// storefront that asks for them.
fn known_key(op: &OpContext, purpose: Purpose, subject: &str) -> Option<String> {
    let origin = match op.credential {
        _ if !purpose.is_sign_in() => return None,
        Credential::ApiKey(id) => format!("api_key:{}", id.uuid()),
        _ => op.site()?.to_string(),
    };
    Some(key(purpose, "known", &format!("{subject}\0{origin}")))
}

fn key(purpose: Purpose, scope: &str, of: &str) -> String {
    hash_secret(&format!("{}\0{scope}\0{of}", purpose.as_str()))
}

/// The counters of an attempt, kept from change by others.
async fn lock(tx: &mut Tx, op: &OpContext, attempt: &Attempt) -> Result<Vec<AttemptCounter>, Error> {
    let (none, expires_at) = (Failures::none(op.now()), op.now().plus(FAILURES_TTL));
    let missing: Vec<AttemptCounter> = attempt
        .counters
        .iter()
        .map(|counter| AttemptCounter::new(counter.key.clone(), none, expires_at))
        .collect();
    Ok(attempt_counters::lock(tx.conn(), &missing).await?)
}

fn refuse_blocked<'a>(
    rows: impl IntoIterator<Item = &'a AttemptCounter>,
    op: &OpContext,
) -> Result<(), Error> {
    match rows.into_iter().filter_map(|row| row.failures().wait(op.now())).max() {
        None => Ok(()),
        Some(wait) => Err(Error::Throttled { retry_after: whole_seconds(wait) }),
    }
}

fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}
