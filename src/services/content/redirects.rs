//! Redirects from old paths, for shops that moved here or renamed pages.

use crate::context::OpContext;
use crate::db::{Db, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::content::redirects::{self, RedirectQuery};
use crate::domain::events::{Event, UrlRedirectEvent};
use crate::domain::ids::UrlRedirectId;
use crate::domain::page::{Cursor, Page, PageRequest};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::content::url_redirects::{self, UrlRedirect};
use crate::services::input::Problems;

/// Creates and deletes redirects, and looks them up for storefronts.
pub struct Redirects {
    db: Db,
}

impl Redirects {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Returns a page of redirects, in the order they were created. Everybody may read them, since
    /// storefronts follow them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn page(
        &self,
        op: &OpContext,
        query: Option<&str>,
        is_reversed: bool,
        request: &PageRequest<Cursor>,
    ) -> Result<Page<UrlRedirect>, Error> {
        let wanted = RedirectQuery::parse(query.unwrap_or_default());
        let mut conn = self.db.read(&op.statements).await?;
        Ok(url_redirects::page(&mut conn, &wanted, is_reversed, request).await?)
    }

    /// Creates a redirect.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn create(&self, op: &OpContext, path: &str, target: &str) -> Result<UrlRedirect, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut problems = Problems::default();
        let decoded = redirects::normalize_path(path);
        if decoded.is_none() {
            let message = "Path must be a path of the storefront such as /old-page, other than /";
            problems.add(&["urlRedirect", "path"], UserErrorCode::Invalid, message);
        }
        let target = target.trim();
        problems.url(&["urlRedirect", "target"], target);
        if target.starts_with("//") {
            let message = "Target must be a path such as /new-page, or an https:// address";
            problems.add(&["urlRedirect", "target"], UserErrorCode::Invalid, message);
        } else if decoded.is_some() && redirects::normalize_path(target) == decoded {
            let message = "Target must differ from the path that is redirected";
            problems.add(&["urlRedirect", "target"], UserErrorCode::Invalid, message);
        }
        problems.check()?;
        let redirect = UrlRedirect {
            id: UrlRedirectId::generate(),
            path: decoded.unwrap_or_default(),
            target: target.to_owned(),
            created_at: op.now(),
        };
        self.db.transaction(&op.statements, async |tx: &mut Tx| create_in(tx, op, &redirect).await).await?;
        Ok(redirect)
    }

    /// Deletes a redirect.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such redirect.
    pub async fn delete(&self, op: &OpContext, id: UrlRedirectId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let Some(redirect) = url_redirects::lock(tx.conn(), id).await? else {
                    return Err(Error::invalid(&["id"], UserErrorCode::NotFound, "Redirect does not exist"));
                };
                url_redirects::delete(tx.conn(), id).await?;
                Ok(events::append(tx, op, [Event::UrlRedirectDeleted(redirect_event(&redirect))]).await?)
            })
            .await
    }
}

async fn create_in(tx: &mut Tx, op: &OpContext, redirect: &UrlRedirect) -> Result<(), Error> {
    let taken = || {
        let message = format!("'{}' is redirected already: delete that redirect first", redirect.path);
        Error::invalid(&["urlRedirect", "path"], UserErrorCode::Taken, message)
    };
    url_redirects::insert(tx.conn(), redirect).await.on_constraint("url_redirects", "path", taken)?;
    Ok(events::append(tx, op, [Event::UrlRedirectCreated(redirect_event(redirect))]).await?)
}

fn redirect_event(redirect: &UrlRedirect) -> UrlRedirectEvent {
    UrlRedirectEvent { url_redirect_id: redirect.id, path: redirect.path.clone() }
}
