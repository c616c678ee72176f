//! A browser without JavaScript: it opens pages, follows redirects, and fills in forms. Every page
//! that it shows is checked for what holds for all of them.

use crate::support::{HttpResponse, TestApp, escaped, request};

/// Maximum size of a page with its stylesheet and its script, in bytes.
const MAX_PAGE_BYTES: usize = 60 * 1024;

/// A browser with a preferred language.
pub struct Browser<'a> {
    app: &'a TestApp,
    language: &'static str,
}

/// A page as it is shown.
#[derive(Debug)]
pub struct Shown {
    pub status: u16,
    pub html: String,
    /// The path, with its parameters, to which redirects have led.
    pub path: String,
    pub policy: String,
}

/// A form of a page.
struct Form {
    path: String,
    fields: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    pub fn new(app: &'a TestApp, language: &'static str) -> Self {
        Self { app, language }
    }

    /// Opens a page, and follows redirects.
    pub async fn open(&self, path: &str) -> Shown {
        let get = request("GET", path).header("accept-language", self.language);
        let response = self.app.send(get.body(String::new()).unwrap()).await;
        self.show(path, response).await
    }

    /// Opens the checkout page of a cart, given by its global id.
    pub async fn check_out(&self, cart: &str) -> Shown {
        self.open(&checkout_path(cart)).await
    }

    /// Submits the form of a page with this value of its hidden field `action`.
    pub async fn submit(&self, page: &Shown, action: &str, changes: &[(&str, &str)]) -> Shown {
        let response = self.send_form(page, action, changes, &[("sec-fetch-site", "same-origin")]).await;
        self.show(&page.form(action).path, response).await
    }

    /// Submits a form with headers, and returns the response as it is.
    pub async fn send_form(
        &self,
        page: &Shown,
        action: &str,
        changes: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> HttpResponse {
        let mut form = page.form(action);
        for (name, value) in changes {
            form.fields.retain(|(known, _)| known != name);
            form.fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        let encode = |(name, value): &(String, String)| format!("{}={}", escaped(name), escaped(value));
        let body = form.fields.iter().map(encode).collect::<Vec<_>>().join("&");
        let mut post = request("POST", &form.path).header("accept-language", self.language);
        post = post.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            post = post.header(*name, *value);
        }
        self.app.send(post.body(body).unwrap()).await
    }

    /// Shows a response, after following redirects.
    async fn show(&self, path: &str, mut response: HttpResponse) -> Shown {
        let mut path = path.to_owned();
        while response.status == 303 {
            path = response.header("location").to_owned();
            assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
            let get = request("GET", &path).header("accept-language", self.language);
            response = self.app.send(get.body(String::new()).unwrap()).await;
        }
        let shown = Shown {
            status: response.status.as_u16(),
            html: String::from_utf8(response.body.to_vec()).unwrap(),
            path,
            policy: response.header("content-security-policy").to_owned(),
        };
        self.check(&response, &shown).await;
        shown
    }

    /// Checks what holds for every page.
    async fn check(&self, response: &HttpResponse, page: &Shown) {
        assert_eq!(response.header("content-type"), "text/html; charset=utf-8", "{page:?}");
        assert_eq!(response.header("referrer-policy"), "no-referrer");
        assert_eq!(response.header("cache-control"), "no-store");
        assert!(
            page.policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"),
            "{page:?}"
        );
        assert!(page.policy.ends_with("form-action 'self'; base-uri 'none'; frame-ancestors 'none'"));
        assert!(!page.policy.contains("unsafe") && !page.policy.contains('*') || page.has_stripe());
        assert!(page.html.contains(&format!("<html lang=\"{}\" dir=\"ltr\">", self.language)), "{page:?}");
        assert_eq!(page.html.matches("<h1>").count(), 1, "{page:?}");
        for forbidden in [" style=", " onclick=", "javascript:", "notice.", "order.title", "problem."] {
            assert!(!page.html.contains(forbidden), "{forbidden} in {}", page.html);
        }
        let mut bytes = page.html.len();
        for path in page.assets() {
            let response = self.app.send(request("GET", &path).body(String::new()).unwrap()).await;
            assert_eq!(
                (response.status.as_u16(), response.header("x-content-type-options")),
                (200, "nosniff")
            );
            assert_eq!(response.header("cache-control"), "public, max-age=31536000, immutable");
            bytes += response.body.len();
        }
        assert!(bytes < MAX_PAGE_BYTES, "{} has {bytes} bytes", page.path);
    }
}

impl Shown {
    /// Asserts that the page contains a text.
    #[track_caller]
    pub fn assert_has(&self, text: &str) {
        assert!(self.html.contains(&encode(text)), "`{text}` is not in {}: {}", self.path, self.html);
    }

    /// Asserts that the page does not contain a text.
    #[track_caller]
    pub fn assert_has_not(&self, text: &str) {
        assert!(!self.html.contains(&encode(text)), "`{text}` is in {}: {}", self.path, self.html);
    }

    /// The value of a field of a form.
    #[track_caller]
    pub fn field(&self, action: &str, name: &str) -> String {
        let fields = self.form(action).fields;
        fields.into_iter().find(|(known, _)| known == name).expect("the field exists").1
    }

    /// Whether the page loads Stripe's script.
    pub fn has_stripe(&self) -> bool {
        self.html.contains("https://js.stripe.com/v3/")
    }

    /// Where a link with this class leads.
    #[track_caller]
    pub fn button_link(&self) -> String {
        let (_, rest) = self.html.split_once("<a class=\"button\"").expect("there is a link");
        attribute(rest.split('>').next().unwrap(), "href").unwrap()
    }

    /// The paths of the stylesheet and the script.
    fn assets(&self) -> Vec<String> {
        let paths = self.html.split("\"/pages/").skip(1);
        let paths: Vec<String> =
            paths.map(|rest| format!("/pages/{}", rest.split('"').next().unwrap())).collect();
        assert_eq!(paths.len(), 2, "{}", self.html);
        paths
    }

    /// The form with this action, with the values that a browser would send.
    #[track_caller]
    fn form(&self, action: &str) -> Form {
        let marker = format!("name=\"action\" value=\"{action}\"");
        let forms = self.html.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap());
        let html = forms.map(|form| form.replace("&#x2f;", "/")).find(|form| form.contains(&marker));
        let html = html.unwrap_or_else(|| panic!("no form {action} in {}: {}", self.path, self.html));
        let path = attribute(html.split('>').next().unwrap(), "action").expect("the form has a path");
        let mut fields = Vec::new();
        for input in html.split("<input").skip(1).map(|rest| rest.split('>').next().unwrap()) {
            let is_choice =
                attribute(input, "type").is_some_and(|kind| ["radio", "checkbox"].contains(&&*kind));
            if !is_choice || input.contains(" checked") {
                let name = attribute(input, "name").expect("the input has a name");
                fields.push((name, attribute(input, "value").unwrap_or_default()));
            }
        }
        for select in html.split("<select").skip(1) {
            let name = attribute(select.split('>').next().unwrap(), "name").expect("the select has a name");
            let chosen = select.split("<option").skip(1).find(|option| option.contains(" selected"));
            let chosen = chosen.and_then(|option| attribute(option.split('>').next().unwrap(), "value"));
            fields.push((name, chosen.unwrap_or_default()));
        }
        Form { path, fields }
    }
}

/// The path of a cart's checkout page.
pub fn checkout_path(cart: &str) -> String {
    format!("/checkout/{}", cart.rsplit('/').next().unwrap())
}

/// The value of an attribute in a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(decode(rest.split('"').next()?))
}

/// A text as the templates write it.
fn encode(text: &str) -> String {
    let pairs =
        [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#x27;"), ("/", "&#x2f;")];
    pairs.iter().fold(text.to_owned(), |text, (plain, written)| text.replace(plain, written))
}

fn decode(text: &str) -> String {
    let pairs =
        [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&gt;", ">"), ("&lt;", "<"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (written, plain)| text.replace(written, plain))
}
