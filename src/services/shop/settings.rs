//! Changes of the shop itself by staff: its name, language, brand and policies.

use std::sync::Arc;

use super::Shop;
use crate::context::OpContext;
use crate::db::{Db, DbError, Tx};
use crate::domain::access::permissions::Permission;
use crate::domain::codes::LANGUAGES;
use crate::domain::content::policies::PolicyKind;
use crate::domain::events::{Event, ShopEvent};
use crate::domain::ids::{ImageId, PolicyId};
use crate::domain::shop::{Brand, BrandColors, BrandImage, ColorGroup, MAX_COLOR_GROUPS, is_color};
use crate::error::{Error, UserErrorCode};
use crate::events;
use crate::repositories::shop::policies::{self, ShopPolicy};
use crate::repositories::shop::shops;
use crate::services::input::Problems;

/// Changes the shop.
pub struct ShopSettings {
    db: Db,
    shop: Arc<Shop>,
}

/// A change of the shop: `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct ShopPatch {
    /// The name shown to buyers.
    pub name: Option<String>,
    /// A short description.
    pub description: Option<Option<String>>,
    /// A code of `domain::codes::LANGUAGES`.
    pub language: Option<String>,
    /// Its brand.
    pub brand: BrandPatch,
    /// Policies to write; those of other kinds stay as they are.
    pub policies: Vec<NewPolicy>,
}

/// A change of the brand.
#[derive(Clone, Debug, Default)]
pub struct BrandPatch {
    /// The slogan.
    pub slogan: Option<Option<String>>,
    /// A sentence or two about the shop.
    pub short_description: Option<Option<String>>,
    /// URL and alt text of the logo.
    pub logo: Option<Option<(String, Option<String>)>>,
    /// URL and alt text of the square logo.
    pub square_logo: Option<Option<(String, Option<String>)>>,
    /// URL and alt text of the cover image.
    pub cover_image: Option<Option<(String, Option<String>)>>,
    /// All colors, replacing the current ones.
    pub colors: Option<BrandColors>,
}

/// A policy to write.
#[derive(Clone, Debug)]
pub struct NewPolicy {
    /// The kind of policy.
    pub kind: PolicyKind,
    /// Its title; `None`: the current one, or the default for its kind.
    pub title: Option<String>,
    /// Its text in HTML; an empty one deletes the policy.
    pub body: String,
}

impl ShopSettings {
    /// Creates the service.
    #[must_use]
    pub fn new(db: Db, shop: Arc<Shop>) -> Self {
        Self { db, shop }
    }

    /// Changes the shop. This process sees it at once, others within seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub async fn update(&self, op: &OpContext, patch: &ShopPatch) -> Result<(), Error> {
        op.authorize(Permission::ManageSettings)?;
        let mut problems = Problems::default();
        patch.validate(&mut problems);
        problems.check()?;
        let row = self
            .db
            .transaction(&op.statements, async |tx: &mut Tx| {
                let row = shops::lock(tx.conn()).await?;
                let mut row = row.ok_or_else(|| DbError::corrupt("the shop's row is missing"))?;
                patch.apply(&mut row);
                row.updated_at = op.now();
                shops::update(tx.conn(), &row).await?;
                write_policies(tx, op, &patch.policies).await?;
                let event = ShopEvent { shop_id: row.id, name: row.name.clone() };
                events::append(tx, op, [Event::ShopUpdated(event)]).await?;
                Ok::<_, Error>(row)
            })
            .await?;
        self.shop.update_details(row);
        Ok(())
    }
}

/// Writes policies. The shop's row is locked, so there are no concurrent writers.
async fn write_policies(tx: &mut Tx, op: &OpContext, policies: &[NewPolicy]) -> Result<(), DbError> {
    if policies.is_empty() {
        return Ok(());
    }
    let known = policies::all(tx.conn()).await?;
    for new in policies {
        let known = known.iter().find(|policy| policy.kind == new.kind);
        match known {
            Some(policy) if new.body.trim().is_empty() => {
                policies::delete(tx.conn(), policy.id).await?;
            }
            None if new.body.trim().is_empty() => {}
            Some(policy) => {
                let mut policy =
                    ShopPolicy { body: new.body.clone(), updated_at: op.now(), ..policy.clone() };
                if let Some(title) = &new.title {
                    title.trim().clone_into(&mut policy.title);
                }
                policies::update(tx.conn(), &policy).await?;
            }
            None => {
                let title = new.title.as_deref().unwrap_or(new.kind.default_title());
                let policy = ShopPolicy {
                    id: PolicyId::generate(),
                    kind: new.kind,
                    title: title.trim().to_owned(),
                    body: new.body.clone(),
                    created_at: op.now(),
                    updated_at: op.now(),
                };
                policies::insert(tx.conn(), &policy).await?;
            }
        }
    }
    Ok(())
}

impl ShopPatch {
    fn validate(&self, problems: &mut Problems) {
        if let Some(name) = &self.name {
            problems.required(&["shop", "name"], name);
        }
        let description = self.description.as_ref().and_then(Option::as_deref);
        problems.html(&["shop", "description"], description.unwrap_or_default());
        if let Some(language) = &self.language
            && LANGUAGES.iter().all(|(code, _)| code != language)
        {
            problems.add(&["shop", "language"], UserErrorCode::Invalid, "Language must be a code such as EN");
        }
        self.brand.validate(problems);
        for (at, policy) in self.policies.iter().enumerate() {
            let at_text = at.to_string();
            let field = |name| ["shop", "policies", at_text.as_str(), name];
            if let Some(title) = &policy.title {
                problems.required(&field("title"), title);
            }
            problems.html(&field("body"), &policy.body);
            let earlier = self.policies.iter().take(at);
            if earlier.into_iter().any(|earlier| earlier.kind == policy.kind) {
                let message = "Each type of policy can be given once";
                problems.add(&field("type"), UserErrorCode::Invalid, message);
            }
        }
    }

    fn apply(&self, row: &mut shops::Shop) {
        if let Some(name) = &self.name {
            name.trim().clone_into(&mut row.name);
        }
        if let Some(description) = &self.description {
            row.description = non_blank(description.as_deref());
        }
        if let Some(language) = &self.language {
            row.profile.0.language.clone_from(language);
        }
        self.brand.apply(&mut row.profile.0.brand);
    }
}

impl BrandPatch {
    fn validate(&self, problems: &mut Problems) {
        for (name, line) in [("slogan", &self.slogan), ("shortDescription", &self.short_description)] {
            let line = line.as_ref().and_then(Option::as_deref);
            problems.line(&["shop", "brand", name], line.unwrap_or_default());
        }
        let images =
            [("logo", &self.logo), ("squareLogo", &self.square_logo), ("coverImage", &self.cover_image)];
        for (name, image) in images {
            if let Some((url, alt)) = image.as_ref().and_then(Option::as_ref) {
                problems.url(&["shop", "brand", name, "url"], url);
                problems.line(&["shop", "brand", name, "altText"], alt.as_deref().unwrap_or_default());
            }
        }
        let Some(colors) = &self.colors else { return };
        validate_colors(problems, "primary", &colors.primary);
        validate_colors(problems, "secondary", &colors.secondary);
    }

    fn apply(&self, brand: &mut Brand) {
        if let Some(slogan) = &self.slogan {
            brand.slogan = non_blank(slogan.as_deref());
        }
        if let Some(description) = &self.short_description {
            brand.short_description = non_blank(description.as_deref());
        }
        let images = [
            (&self.logo, &mut brand.logo),
            (&self.square_logo, &mut brand.square_logo),
            (&self.cover_image, &mut brand.cover_image),
        ];
        for (input, image) in images {
            if let Some(input) = input {
                *image = input.as_ref().map(|(url, alt)| BrandImage {
                    id: ImageId::generate(),
                    url: url.clone(),
                    alt_text: non_blank(alt.as_deref()),
                });
            }
        }
        if let Some(colors) = &self.colors {
            brand.colors.clone_from(colors);
        }
    }
}

fn validate_colors(problems: &mut Problems, rank: &str, groups: &[ColorGroup]) {
    let field = ["shop", "brand", "colors", rank];
    if groups.len() > MAX_COLOR_GROUPS {
        let message = format!("A brand can have up to {MAX_COLOR_GROUPS} groups of {rank} colors");
        problems.add(&field, UserErrorCode::TooMany, message);
    }
    for (at, group) in groups.iter().enumerate() {
        for (name, color) in [("background", &group.background), ("foreground", &group.foreground)] {
            if color.as_deref().is_some_and(|color| !is_color(color)) {
                let field = ["shop", "brand", "colors", rank, &at.to_string(), name];
                problems.add(&field, UserErrorCode::Invalid, "A color is written as #1A2B3C");
            }
        }
    }
}

/// Trims a text; `None` if nothing is left.
fn non_blank(text: Option<&str>) -> Option<String> {
    text.map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
}
