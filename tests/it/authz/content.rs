//! Permissions for the shop's settings, pages, menus and redirects.

use mercato::domain::access::permissions::Permission::ManageSettings;

use super::Area;

#[rustfmt::skip]
pub const AREA: Area = Area {
    public: &[
        ("localization", "{ localization { country { isoCode } } }"),
        ("menu", r#"{ menu(handle: "main-menu") { title } }"#),
        ("page", r#"{ page(handle: "about") { title } }"#),
        ("pageByHandle", r#"{ pageByHandle(handle: "about") { title } }"#),
        ("pages", "{ pages(first: 1) { nodes { title } } }"),
        ("sitemap", "{ sitemap(type: PRODUCT) { pagesCount { count } } }"),
        ("urlRedirects", "{ urlRedirects(first: 1) { nodes { target } } }"),
    ],
    guarded: &[
        ("shopUpdate", ManageSettings, r#"mutation { shopUpdate(shop: { name: "Corner shop" }) { userErrors { code } } }"#),
        ("menus", ManageSettings, "{ menus(first: 1) { nodes { title } } }"),
        ("menuCreate", ManageSettings, r#"mutation { menuCreate(menu: { title: "Side" }) { userErrors { code } } }"#),
        (
            "menuUpdate",
            ManageSettings,
            r#"mutation { menuUpdate(
                id: "gid://mercato/Menu/00000000-0000-7000-8000-000000000000", menu: { title: "Side" }
            ) { userErrors { code } } }"#,
        ),
        (
            "menuDelete",
            ManageSettings,
            r#"mutation { menuDelete(id: "gid://mercato/Menu/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#,
        ),
        ("pageCreate", ManageSettings, r#"mutation { pageCreate(page: { title: "About" }) { userErrors { code } } }"#),
        (
            "pageUpdate",
            ManageSettings,
            r#"mutation { pageUpdate(
                id: "gid://mercato/Page/00000000-0000-7000-8000-000000000000", page: { title: "About" }
            ) { userErrors { code } } }"#,
        ),
        (
            "pageDelete",
            ManageSettings,
            r#"mutation { pageDelete(id: "gid://mercato/Page/00000000-0000-7000-8000-000000000000") { userErrors { code } } }"#,
        ),
        (
            "urlRedirectCreate",
            ManageSettings,
            r#"mutation { urlRedirectCreate(urlRedirect: { path: "/old", target: "/new" }) { userErrors { code } } }"#,
        ),
        (
            "urlRedirectDelete",
            ManageSettings,
            r#"mutation {
                urlRedirectDelete(id: "gid://mercato/UrlRedirect/00000000-0000-7000-8000-000000000000") { userErrors { code } }
            }"#,
        ),
    ],
    guarded_fields: &[("Page.isPublished", ManageSettings, "{ page(id: <page>) { isPublished } }")],
};
