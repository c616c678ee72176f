//! Pages, written by staff, such as "About us".

use crate::context::OpContext;
use crate::db::{Db, DbError, OnConstraint, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::catalog::handles;
use crate::domain::events::{Event, PageEvent};
use crate::domain::ids::PageId;
use crate::domain::page::{Cursor, CursorKey, PageRequest};
use crate::domain::text::html;
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::loaders::content_visibility;
use crate::repositories::content::pages::{self, Page, PageList, PageSort};
use crate::services::catalog::{Seo, find_free_handle, handle_taken};
use crate::services::input::Problems;

/// Maximum length of a summary, in characters.
const MAX_SUMMARY_CHARS: usize = 150;

/// Creates, changes, deletes and lists pages.
pub struct Pages {
    db: Db,
}

/// A new page.
#[derive(Clone, Debug, Default)]
pub struct NewPage {
    /// The title; must not be empty.
    pub title: String,
    /// The handle; derived from the title when `None`.
    pub handle: Option<String>,
    /// The text in HTML; may be empty.
    pub body: String,
    /// Title and description for search engines.
    pub seo: Seo,
    /// Whether it is published.
    pub is_published: bool,
}

/// A change of a page: `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct PagePatch {
    /// See [`NewPage`].
    pub title: Option<String>,
    /// See [`NewPage`].
    pub handle: Option<String>,
    /// See [`NewPage`].
    pub body: Option<String>,
    /// Title and description for search engines, replacing both.
    pub seo: Option<Seo>,
    /// See [`NewPage`].
    pub is_published: Option<bool>,
}

impl Pages {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Returns a page of the pages that the actor may see and whose title contains the query.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn page(
        &self,
        op: &OpContext,
        query: Option<&str>,
        sort: PageSort,
        is_reversed: bool,
        request: &PageRequest<Cursor>,
    ) -> Result<crate::domain::page::Page<(Page, CursorKey)>, Error> {
        let title = query.map(|query| query.trim().strip_prefix("title:").unwrap_or(query.trim()));
        let title =
            title.map(|title| title.trim_matches(['"', '\'', '*', ' '])).filter(|title| !title.is_empty());
        let list = PageList { visibility: content_visibility(op), title, sort, is_reversed };
        Ok(pages::page(&mut self.db.read(&op.statements).await?, &list, request).await?)
    }

    /// Creates a page.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn create(&self, op: &OpContext, new: &NewPage) -> Result<Page, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut problems = Problems::default();
        problems.required(&["page", "title"], &new.title);
        validate(&mut problems, new.handle.as_deref(), &new.body, &new.seo);
        problems.check()?;
        self.db.transaction(&op.statements, async |tx: &mut Tx| create_in(tx, op, new).await).await
    }

    /// Changes a page.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong, including that there is no such page.
    pub async fn update(&self, op: &OpContext, id: PageId, patch: &PagePatch) -> Result<Page, Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut problems = Problems::default();
        if let Some(title) = &patch.title {
            problems.required(&["page", "title"], title);
        }
        let (body, seo) = (patch.body.as_deref().unwrap_or_default(), patch.seo.clone().unwrap_or_default());
        validate(&mut problems, patch.handle.as_deref(), body, &seo);
        problems.check()?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let mut page = lock_page(tx, id, &["id"]).await?;
                patch.apply(&mut page);
                page.updated_at = op.now();
                let taken = || handle_taken(&["page", "handle"], &page.handle);
                pages::update(tx.conn(), &page).await.on_constraint("pages", "handle", taken)?;
                events::append(tx, op, [Event::PageUpdated(page_event(&page))]).await?;
                Ok(page)
            })
            .await
    }

    /// Deletes a page. Menu items that link to it are no longer shown.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such page.
    pub async fn delete(&self, op: &OpContext, id: PageId) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        self.db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let page = lock_page(tx, id, &["id"]).await?;
                pages::delete(tx.conn(), id).await?;
                Ok(events::append(tx, op, [Event::PageDeleted(page_event(&page))]).await?)
            })
            .await
    }
}

async fn create_in(tx: &mut Tx, op: &OpContext, new: &NewPage) -> Result<Page, Error> {
    let handle = match &new.handle {
        Some(handle) => handle.clone(),
        None => {
            let stem = handles::from_title(&new.title).unwrap_or("page".to_owned());
            find_free_handle(&stem, &pages::handles_like(tx.conn(), &stem).await?)
        }
    };
    let page = Page {
        id: PageId::generate(),
        handle,
        title: new.title.trim().to_owned(),
        body: new.body.clone(),
        body_summary: summarize(&new.body),
        seo_title: new.seo.title.clone(),
        seo_description: new.seo.description.clone(),
        is_published: new.is_published,
        created_at: op.now(),
        updated_at: op.now(),
    };
    let taken = || match &new.handle {
        Some(handle) => handle_taken(&["page", "handle"], handle),
        // Another page took the free handle concurrently: retry with the next.
        None => DbError::conflict().into(),
    };
    pages::insert(tx.conn(), &page).await.on_constraint("pages", "handle", taken)?;
    events::append(tx, op, [Event::PageCreated(page_event(&page))]).await?;
    Ok(page)
}

impl PagePatch {
    fn apply(&self, page: &mut Page) {
        if let Some(title) = &self.title {
            title.trim().clone_into(&mut page.title);
        }
        if let Some(handle) = &self.handle {
            page.handle.clone_from(handle);
        }
        if let Some(body) = &self.body {
            page.body.clone_from(body);
            page.body_summary = summarize(body);
        }
        if let Some(seo) = &self.seo {
            page.seo_title.clone_from(&seo.title);
            page.seo_description.clone_from(&seo.description);
        }
        page.is_published = self.is_published.unwrap_or(page.is_published);
    }
}

fn validate(problems: &mut Problems, handle: Option<&str>, body: &str, seo: &Seo) {
    if let Some(problem) = handle.and_then(handles::find_problem) {
        problems.add(&["page", "handle"], UserErrorCode::Invalid, problem);
    }
    problems.html(&["page", "body"], body);
    seo.validate(problems, "page");
}

/// The beginning of a body as plain text, cut at a word boundary.
fn summarize(body: &str) -> String {
    let text = html::to_text(body);
    if text.chars().count() <= MAX_SUMMARY_CHARS {
        return text;
    }
    let cut: String = text.chars().take(MAX_SUMMARY_CHARS - 1).collect();
    let words = cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words);
    format!("{words}…")
}

async fn lock_page(tx: &mut Tx, id: PageId, field: &[&str]) -> Result<Page, Error> {
    let missing = || Error::invalid(field, UserErrorCode::NotFound, "Page does not exist");
    pages::lock(tx.conn(), id).await?.ok_or_else(missing)
}

fn page_event(page: &Page) -> PageEvent {
    PageEvent { page_id: page.id, handle: page.handle.clone() }
}
