//! Server-rendered pages for buyers: checkout, and the status of an order with other ways to pay
//! it.
//!
//! Called by `http::pages`, which turns requests into [`PageRequest`]s and [`PageResponse`]s into
//! responses. The pages call the same services as the API and have no rules of their own. They work
//! without JavaScript; `assets/script.js` adds what needs it.
//!
//! A page is opened by the secret in its URL: the key of a cart, or the token of an order. There
//! are no cookies, so that another site can't act on behalf of a buyer. Another secret in the URL
//! of a checkout page signs a customer in, who may pay with saved payment methods.

mod assets;
mod checkout;
mod content_policy;
mod fields;
mod languages;
mod links;
mod notices;
mod order;
mod providers;
mod renderer;
mod summary;

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use self::assets::Assets;
use self::content_policy::ContentPolicy;
pub use self::fields::Fields;
use self::languages::choose_language;
pub use self::renderer::PageRenderError;
use self::renderer::{Layout, Renderer};
use crate::auth::Keys;
use crate::context::{Locale, OpContext};
use crate::domain::access::actors::Credential;
use crate::domain::ids::{CartId, Id};
use crate::domain::shop::accent::AccentColor;
use crate::error::Error;
use crate::services::mails::{Language, TextCatalog};
use crate::services::{Services, Shop};

/// The statuses of responses.
mod status {
    pub(super) const OK: u16 = 200;
    pub(super) const SEE_OTHER: u16 = 303;
    pub(super) const BAD_REQUEST: u16 = 400;
    pub(super) const FORBIDDEN: u16 = 403;
    pub(super) const NOT_FOUND: u16 = 404;
    pub(super) const CONFLICT: u16 = 409;
    pub(super) const UNPROCESSABLE: u16 = 422;
    pub(super) const TOO_MANY_REQUESTS: u16 = 429;
    pub(super) const INTERNAL: u16 = 500;
    pub(super) const UNAVAILABLE: u16 = 503;
}

/// Renders the pages and handles their forms.
pub struct BuyerPages {
    services: Arc<Services>,
    shop: Arc<Shop>,
    /// Derives the tokens of orders.
    keys: Arc<Keys>,
    renderer: Renderer,
    assets: Assets,
    logo: Option<String>,
}

/// What the pages look like.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PageStyle {
    /// The logo's URL; by default that of the shop's brand.
    pub logo: Option<String>,
    /// The accent color.
    pub accent: AccentColor,
}

/// A request for a page.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The parameters in the URL.
    pub query: Fields,
    /// The submitted form; `None` if the page is only shown.
    pub form: Option<Fields>,
    /// The `Accept-Language` header.
    pub accept_language: Option<String>,
    /// The base URL of this server, without a trailing slash.
    pub base_url: String,
}

/// A response to a request for a page.
#[derive(Clone, Debug)]
pub struct PageResponse {
    /// The HTTP status.
    pub status: u16,
    /// The page, or where to go instead.
    pub body: PageBody,
    /// When to try again, in seconds.
    pub retry_after: Option<u64>,
}

/// The body of a response.
#[derive(Clone, Debug)]
pub enum PageBody {
    /// A page.
    Html {
        /// The document.
        html: String,
        /// Its content security policy.
        policy: String,
    },
    /// The path of another page.
    Redirect(String),
}

/// One visit of a page: the request, and the language of the response.
struct Visit<'a> {
    op: OpContext,
    request: &'a PageRequest,
    language: Language,
    texts: &'a TextCatalog,
}

/// A page before it is rendered.
struct Page<T> {
    template: &'static str,
    status: u16,
    title: String,
    content: T,
    /// The URLs of its images.
    images: Vec<String>,
    /// Whether it loads Stripe's script.
    has_stripe: bool,
    /// Where to go at once.
    forward: Option<String>,
    /// After how many seconds to load it again, without JavaScript.
    refresh_seconds: Option<u32>,
}

impl<T> Page<T> {
    fn new(template: &'static str, title: String, content: T) -> Self {
        Self {
            template,
            status: status::OK,
            title,
            content,
            images: Vec::new(),
            has_stripe: false,
            forward: None,
            refresh_seconds: None,
        }
    }
}

impl Visit<'_> {
    /// A parameter of the form or, if it is not in there, of the URL; empty if there is none.
    fn param(&self, name: &str) -> &str {
        let of_form = self.request.form.as_ref().and_then(|form| form.get(name));
        of_form.or_else(|| self.request.query.get(name)).unwrap_or_default()
    }

    /// The language that was chosen with `?lang=`, to be kept in links.
    fn chosen_language(&self) -> Option<&'static str> {
        Language::parse(self.param(links::LANGUAGE)).map(Language::as_str)
    }

    /// What has signed the customer in, to be kept in links; `None` if nobody is signed in.
    fn sign_in(&self) -> Option<&str> {
        let customer = self.op.actor.customer();
        customer.and_then(|_| self.request.query.get(links::CUSTOMER))
    }

    /// A text in the language of the visit.
    fn text(&self, name: &str) -> String {
        self.text_with(name, &[])
    }

    /// A text with its placeholders filled in.
    fn text_with(&self, name: &str, values: &[(&str, &str)]) -> String {
        let value = |wanted: &str| {
            let found = values.iter().find(|(known, _)| *known == wanted);
            found.map(|(_, value)| (*value).to_owned())
        };
        // Tests rule out that a text is missing.
        self.texts.text(name, value).unwrap_or_else(|| name.to_owned())
    }
}

impl BuyerPages {
    /// Creates the pages.
    ///
    /// # Errors
    /// [`PageRenderError`] if a text is broken, which is a bug.
    pub fn new(
        services: Arc<Services>,
        shop: Arc<Shop>,
        keys: Arc<Keys>,
        style: &PageStyle,
    ) -> Result<Self, PageRenderError> {
        let (renderer, assets) = (Renderer::new()?, Assets::new(style.accent));
        Ok(Self { services, shop, keys, renderer, assets, logo: style.logo.clone() })
    }

    /// The content type and content of a file that pages load; `None` if there is no such file.
    #[must_use]
    pub fn asset(&self, name: &str) -> Option<(&'static str, &str)> {
        self.assets.find(name)
    }

    /// Shows the checkout page of a cart, given by its UUID, or handles one of its forms.
    pub async fn checkout(&self, mut op: OpContext, cart: &str, request: &PageRequest) -> PageResponse {
        op.credential = Credential::CheckoutLink;
        let op = match self.sign_in(&op, cart, request).await {
            Ok(signed_in) => signed_in.unwrap_or(op),
            Err(error) => return self.fail(op, request, error),
        };
        let visit = self.visit(op, request);
        let response = match &request.form {
            None => self.show_checkout(&visit, cart).await,
            // Boxed, because it is large.
            Some(form) => Box::pin(self.submit_checkout(&visit, cart, form)).await,
        };
        self.respond(&visit, response)
    }

    /// Shows an order, given by its UUID, or handles one of its forms.
    pub async fn order(&self, op: OpContext, order: &str, request: &PageRequest) -> PageResponse {
        let visit = self.visit(op, request);
        let response = match &request.form {
            None => Box::pin(self.show_order(&visit, order)).await,
            Some(form) => Box::pin(self.submit_order(&visit, order, form)).await,
        };
        self.respond(&visit, response)
    }

    /// The response to a form that another site has sent.
    #[must_use]
    pub fn refuse_foreign_form(&self, op: OpContext, request: &PageRequest) -> PageResponse {
        let visit = self.visit(op, request);
        let notice = self.notice(&visit, "foreign", status::FORBIDDEN);
        self.respond(&visit, notice)
    }

    /// The response to a form that can't be read.
    #[must_use]
    pub fn refuse_unreadable_form(&self, op: OpContext, request: &PageRequest) -> PageResponse {
        let visit = self.visit(op, request);
        let notice = self.notice(&visit, "unreadable", status::BAD_REQUEST);
        self.respond(&visit, notice)
    }

    /// The response to a request that failed.
    #[must_use]
    pub fn fail(&self, op: OpContext, request: &PageRequest, error: Error) -> PageResponse {
        self.respond(&self.visit(op, request), Err(error))
    }

    /// The context of a customer whom the link to a checkout page signs in.
    async fn sign_in(
        &self,
        op: &OpContext,
        cart: &str,
        request: &PageRequest,
    ) -> Result<Option<OpContext>, Error> {
        let (Some(sign_in), Ok(id)) = (request.query.get(links::CUSTOMER), Uuid::try_parse(cart)) else {
            return Ok(None);
        };
        self.services.carts.signed_in(op, CartId::from_uuid(id), sign_in).await
    }

    /// Begins a visit: from now on, orders are placed in the page's language.
    fn visit<'a>(&'a self, mut op: OpContext, request: &'a PageRequest) -> Visit<'a> {
        let details = self.shop.details();
        let wanted = request.form.as_ref().and_then(|form| form.get(links::LANGUAGE));
        let wanted = wanted.or_else(|| request.query.get(links::LANGUAGE));
        let accepted = request.accept_language.as_deref();
        let language = choose_language(wanted, accepted, &details.profile.language);
        op.locale = Locale { language: Some(languages::code(language)), ..op.locale };
        Visit { op, request, language, texts: self.renderer.texts(language) }
    }

    /// The response, or the page for an error.
    fn respond(&self, visit: &Visit<'_>, response: Result<PageResponse, Error>) -> PageResponse {
        let response = response.or_else(|error| self.error_notice(visit, &error));
        response.unwrap_or_else(|error| {
            notices::log(&error);
            let body = PageBody::Html { html: String::new(), policy: ContentPolicy::default().to_string() };
            PageResponse { status: status::INTERNAL, body, retry_after: None }
        })
    }

    /// Renders a page.
    fn render<T: Serialize>(&self, visit: &Visit<'_>, page: &Page<T>) -> Result<PageResponse, Error> {
        let details = self.shop.details();
        let brand_logo = details.profile.brand.logo.as_ref().map(|logo| logo.url.as_str());
        let logo = self.logo.as_deref().or(brand_logo);
        let layout = Layout {
            shop: &details.name,
            language: visit.language.as_str(),
            title: &page.title,
            logo,
            stylesheet: self.assets.stylesheet(),
            script: self.assets.script(),
            has_stripe: page.has_stripe,
            forward: page.forward.as_deref(),
            refresh_seconds: page.refresh_seconds,
        };
        let html = self.renderer.render(visit.language, page.template, &layout, &page.content);
        let html = html.map_err(|error| Error::Internal(Arc::new(error)))?;
        let images = page.images.iter().map(String::as_str).chain(logo);
        let policy = ContentPolicy::new(images, page.has_stripe).to_string();
        Ok(PageResponse { status: page.status, body: PageBody::Html { html, policy }, retry_after: None })
    }
}

/// The response that leads to another page.
fn redirect(path: String) -> PageResponse {
    PageResponse { status: status::SEE_OTHER, body: PageBody::Redirect(path), retry_after: None }
}
