//! Small types of the catalog: statuses, policies, units, options.

pub mod collection_rules;
pub mod handles;
pub mod inventory;
pub mod reorder;
pub mod search;

use serde::{Deserialize, Serialize};

use crate::domain::text::html;

/// Defines an enum that is stored and written as text, with one table of its spellings.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The text stored in the database and in files.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Parses a value's text, ignoring letter case.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str().eq_ignore_ascii_case(text.trim()))
            }
        }
    };
}
pub(crate) use text_enum;

/// The tax class of products without a special one.
pub const DEFAULT_TAX_CLASS: &str = "standard";

/// The description of a product or a collection. Stored with it, but read separately, because most
/// lists don't show it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Description {
    /// The HTML without its tags.
    pub text: String,
    /// As written by staff.
    pub html: String,
}

impl Description {
    /// The description with this HTML.
    #[must_use]
    pub fn from_html(html: &str) -> Self {
        Self { text: html::to_text(html), html: html.to_owned() }
    }
}

text_enum! {
    /// Who can see a product.
    ProductStatus {
        /// Everyone.
        Active = "active",
        /// Staff only: it is not published yet.
        Draft = "draft",
        /// Staff only: it is no longer sold.
        Archived = "archived",
    }
}

text_enum! {
    /// What happens when more is ordered than is in stock.
    InventoryPolicy {
        /// The order is refused.
        Deny = "deny",
        /// The order is accepted.
        Continue = "continue",
    }
}

text_enum! {
    /// The unit a variant's weight is shown in; weights are stored in grams.
    WeightUnit {
        /// Grams.
        Grams = "g",
        /// Kilograms.
        Kilograms = "kg",
        /// Ounces.
        Ounces = "oz",
        /// Pounds.
        Pounds = "lb",
    }
}

impl WeightUnit {
    /// Grams per unit.
    #[must_use]
    pub fn grams(self) -> f64 {
        match self {
            Self::Grams => 1.0,
            Self::Kilograms => 1000.0,
            Self::Ounces => 28.349_523_125,
            Self::Pounds => 453.592_37,
        }
    }
}

text_enum! {
    /// The default order of a collection's products.
    CollectionSortOrder {
        /// In the order set by staff.
        Manual = "manual",
        /// By title, A to Z.
        AlphaAsc = "alpha_asc",
        /// By title, Z to A.
        AlphaDesc = "alpha_desc",
        /// Best-selling first.
        BestSelling = "best_selling",
        /// Oldest first.
        Created = "created",
        /// Newest first.
        CreatedDesc = "created_desc",
        /// Cheapest first.
        PriceAsc = "price_asc",
        /// Most expensive first.
        PriceDesc = "price_desc",
    }
}

/// A product option, such as Size, and its values.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProductOption {
    /// The name, unique within the product.
    pub name: String,
    /// The values in display order.
    pub values: Vec<String>,
}

/// Maximum number of options of a product, as in Shopify.
pub const MAX_OPTIONS: usize = 3;
/// Maximum number of variants of a product.
pub const MAX_VARIANTS: usize = 250;
/// Maximum number of tags of a product.
pub const MAX_TAGS: usize = 250;

/// The name of the only option of a product without options, as storefronts expect it.
pub const DEFAULT_OPTION: &str = "Title";
/// The value of that option, and the title of the product's only variant.
pub const DEFAULT_VARIANT_TITLE: &str = "Default Title";

/// A variant's title: its option values, or [`DEFAULT_VARIANT_TITLE`] if the product has no
/// options.
#[must_use]
pub fn variant_title(option_values: &[String]) -> String {
    if option_values.is_empty() { DEFAULT_VARIANT_TITLE.to_owned() } else { option_values.join(" / ") }
}

/// A product's title, followed by the variant's title if it has one of its own.
#[must_use]
pub fn full_title(product: &str, variant: &str) -> String {
    if variant.is_empty() || variant == DEFAULT_VARIANT_TITLE {
        product.to_owned()
    } else {
        format!("{product} ({variant})")
    }
}
