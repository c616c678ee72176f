//! Administration of tax rates. For the calculation of taxes see `services::checkout::pricing`.

use crate::context::OpContext;
use crate::db::{Db, DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::DEFAULT_TAX_CLASS;
use crate::domain::checkout::taxes;
use crate::domain::events::{Event, TaxRateEvent};
use crate::domain::ids::TaxRateId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::checkout::tax_rates::{self, TaxRate};
use crate::services::input::Problems;
use crate::services::set;

/// The maximum rate, in millionths: ten times the price.
const MAX_RATE: i64 = 10_000_000;
/// Maximum length of a province code, in characters.
const MAX_PROVINCE: usize = 50;

/// Creates, updates and deletes tax rates.
pub struct Taxes {
    db: Db,
}

/// The fields of a rate. `None` keeps a field (or uses its default, on creation), `Some(None)`
/// clears it.
#[derive(Clone, Debug, Default)]
pub struct TaxRatePatch {
    /// Name shown to buyers.
    pub name: Option<String>,
    /// Country, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Province code; `None` for the whole country.
    pub province: Option<Option<String>>,
    /// Tax class; defaults to `standard`.
    pub tax_class: Option<String>,
    /// Percentage, such as `8.875`.
    pub percentage: Option<String>,
}

impl Taxes {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// A page of rates.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without the permission to manage settings.
    pub async fn page(&self, op: &OpContext, request: &PageRequest<Cursor>) -> Result<Page<TaxRate>, Error> {
        op.authorize(Permission::ManageSettings)?;
        Ok(tax_rates::page(&mut self.db.read(&op.statements).await?, request).await?)
    }

    /// Creates a rate.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems.
    pub async fn create(&self, op: &OpContext, new: &TaxRatePatch) -> Result<TaxRate, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut rate = TaxRate {
            id: TaxRateId::generate(),
            name: String::new(),
            country: String::new(),
            province: None,
            tax_class: DEFAULT_TAX_CLASS.to_owned(),
            rate_micros: 0,
            created_at: op.now(),
            updated_at: op.now(),
        };
        let mut problems = Problems::default();
        new.apply(&mut problems, &mut rate);
        problems.check()?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                tax_rates::insert(tx.conn(), &rate).await.map_err(|error| rate_taken(error, &rate))?;
                Ok::<_, Error>(events::append(tx, op, [Event::TaxRateCreated(event(&rate))]).await?)
            })
            .await?;
        Ok(rate)
    }

    /// Updates a rate. Existing orders keep their taxes.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all problems, or for an unknown id.
    pub async fn update(
        &self,
        op: &OpContext,
        id: TaxRateId,
        patch: &TaxRatePatch,
    ) -> Result<TaxRate, Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| update_in(tx, op, id, patch).await).await
    }

    /// Deletes a rate. Existing orders keep their taxes.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unknown id.
    pub async fn delete(&self, op: &OpContext, id: TaxRateId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| delete_in(tx, op, id).await).await
    }
}

async fn update_in(
    tx: &mut Tx,
    op: &OpContext,
    id: TaxRateId,
    patch: &TaxRatePatch,
) -> Result<TaxRate, Error> {
    let Some(mut rate) = tax_rates::lock(tx.conn(), id).await? else {
        return Err(not_found(&["id"]));
    };
    let mut problems = Problems::default();
    patch.apply(&mut problems, &mut rate);
    problems.check()?;
    rate.updated_at = op.now();
    tax_rates::update(tx.conn(), &rate).await.map_err(|error| rate_taken(error, &rate))?;
    events::append(tx, op, [Event::TaxRateUpdated(event(&rate))]).await?;
    Ok(rate)
}

async fn delete_in(tx: &mut Tx, op: &OpContext, id: TaxRateId) -> Result<(), Error> {
    let Some(rate) = tax_rates::lock(tx.conn(), id).await? else {
        return Err(not_found(&["id"]));
    };
    tax_rates::delete(tx.conn(), id).await?;
    events::append(tx, op, [Event::TaxRateDeleted(event(&rate))]).await?;
    Ok(())
}

impl TaxRatePatch {
    fn apply(&self, problems: &mut Problems, rate: &mut TaxRate) {
        if let Some(name) = &self.name {
            name.trim().clone_into(&mut rate.name);
        }
        set(&mut rate.country, self.country.as_ref());
        if let Some(province) = &self.province {
            let province = province.as_deref().map(taxes::province_key);
            rate.province = province.filter(|province| !province.is_empty());
        }
        set(&mut rate.tax_class, self.tax_class.as_deref().map(taxes::class_key).as_ref());
        if let Some(percentage) = &self.percentage {
            rate.rate_micros = problems.percentage(&["taxRate", "percentage"], percentage, MAX_RATE);
        }
        problems.required(&["taxRate", "name"], &rate.name);
        problems.required(&["taxRate", "taxClass"], &rate.tax_class);
        let province = rate.province.as_deref().unwrap_or_default();
        if province.chars().count() > MAX_PROVINCE {
            let message =
                format!("Province code must be a code of up to {MAX_PROVINCE} characters, such as CA");
            problems.add(&["taxRate", "provinceCode"], UserErrorCode::Invalid, message);
        }
    }
}

/// The unique index is on expressions, for which SQLite reports the index name and no columns.
fn rate_taken(error: DbError, rate: &TaxRate) -> Error {
    match error {
        DbError::Unique(..) => {
            let message =
                format!("There is a rate called '{}' for this place and tax class already", rate.name);
            Error::invalid(&["taxRate", "name"], UserErrorCode::Taken, message)
        }
        other => other.into(),
    }
}

fn not_found(field: &[&str]) -> Error {
    Error::invalid(field, UserErrorCode::NotFound, "Tax rate does not exist")
}

fn event(rate: &TaxRate) -> TaxRateEvent {
    TaxRateEvent { tax_rate_id: rate.id, name: rate.name.clone(), rate_micros: rate.rate_micros }
}
