//! The composition root: the one place that knows every concrete type and puts them together.

use std::sync::Arc;

use crate::auth::{AdminToken, TokenError, Tokens};
use crate::config::Config;
use crate::context::{Clock, OpContext, SystemClock};
use crate::db::{Db, DbError};
use crate::error::with_causes;
use crate::graphql::{self, Schema};
use crate::integrations::payments::{Manual, ProviderError, Providers, TestProvider};
use crate::services::{
    Catalog, Checkout, Collections, Discounts, Inventory, OrderImport, Orders, Payments, Pricing,
    ProductExport, ProductImport, Products, Services, Shipping, Shop, Taxes, Variants,
};

/// A shop that is ready to serve.
pub struct App {
    /// Its settings.
    pub config: Config,
    /// Its database.
    pub db: Db,
    /// Its use cases.
    pub services: Arc<Services>,
    /// Reads product files.
    pub import: ProductImport,
    /// Writes product files.
    pub export: ProductExport,
    /// Reads order files.
    pub order_import: OrderImport,
    /// Its schema.
    pub schema: Schema,
    /// The provider of payments that moves no money, where it is switched on: for tests to be told by.
    pub test_payments: Option<Arc<TestProvider>>,
    /// Who may do what.
    pub tokens: Tokens,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why a shop can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database can't be opened, reached or migrated.
    #[error("the database can't be used: {}", with_causes(.0))]
    Database(#[from] DbError),
    /// There is no admin token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A payment provider can't be made.
    #[error("payments can't be taken: {0}")]
    Payments(#[from] ProviderError),
}

/// What tests put in place of the real thing.
pub struct Parts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Tokens beside the admin's.
    pub tokens: Tokens,
}

impl Default for Parts {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), tokens: Tokens::default() }
    }
}

impl App {
    /// Opens the database, migrates it, and builds everything over it.
    ///
    /// # Errors
    /// [`StartError`] says what is missing.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::with(config, Parts::default()).await
    }

    /// The same, with parts of one's own.
    ///
    /// # Errors
    /// [`StartError`] says what is missing.
    pub async fn with(config: Config, parts: Parts) -> Result<Self, StartError> {
        let db = Db::open(&config.database).await?;
        for version in db.migrate().await? {
            tracing::info!(version, "migrated the database");
        }
        let op = OpContext::system(Arc::clone(&parts.clock));
        let shop = Arc::new(Shop::load_or_make(&db, &op, &config.shop).await?);
        let (providers, test_payments) = payment_providers(&config)?;
        let payments = Arc::new(Payments::new(db.clone(), providers, config.payment_timeout));
        let services = Arc::new(Services {
            catalog: Catalog::new(db.clone(), Arc::clone(&shop)),
            products: Products::new(db.clone(), Arc::clone(&shop)),
            variants: Variants::new(db.clone(), Arc::clone(&shop)),
            collections: Collections::new(db.clone(), Arc::clone(&shop)),
            inventory: Inventory::new(db.clone()),
            checkout: Checkout::new(db.clone(), Arc::clone(&shop), Arc::clone(&payments)),
            orders: Orders::new(db.clone(), Arc::clone(&shop), Arc::clone(&payments)),
            payments,
            pricing: Pricing::new(Arc::clone(&shop)),
            discounts: Discounts::new(db.clone(), Arc::clone(&shop)),
            taxes: Taxes::new(db.clone()),
            shipping: Shipping::new(db.clone(), Arc::clone(&shop)),
        });
        let mut tokens = parts.tokens;
        if let Some(token) = &config.admin_token {
            tokens = tokens.with(token, AdminToken::actor());
        }
        Ok(Self {
            schema: graphql::schema(Arc::clone(&services), Arc::clone(&shop)),
            import: ProductImport::new(db.clone(), Arc::clone(&shop)),
            export: ProductExport::new(db.clone(), Arc::clone(&shop)),
            order_import: OrderImport::new(db.clone(), Arc::clone(&shop)),
            test_payments,
            services,
            tokens,
            clock: parts.clock,
            db,
            config,
        })
    }

    /// The context of work that the shop itself does.
    #[must_use]
    pub fn system(&self) -> OpContext {
        OpContext::system(Arc::clone(&self.clock))
    }
}

/// The payment providers that a shop has switched on.
fn payment_providers(config: &Config) -> Result<(Providers, Option<Arc<TestProvider>>), ProviderError> {
    let (mut providers, mut test) = (Providers::new(), None);
    for name in &config.payment_providers {
        match *name {
            Manual::NAME => providers = providers.with(Arc::new(Manual)),
            TestProvider::NAME => {
                let provider = Arc::new(TestProvider::new()?);
                test = Some(Arc::clone(&provider));
                providers = providers.with(provider);
            }
            // The settings name none but these.
            _ => {}
        }
    }
    Ok((providers, test))
}
