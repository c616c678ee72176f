//! The catalogue's small types: states, policies, units, options.

use serde::{Deserialize, Serialize};

/// Defines an enum that is stored and written as text, with the one table of its spellings.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The text that stands for the value in databases and files.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The value a text stands for, in either case.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str().eq_ignore_ascii_case(text.trim()))
            }
        }
    };
}
pub(crate) use text_enum;

/// The tax class of products that have no special one.
pub const DEFAULT_TAX_CLASS: &str = "standard";

text_enum! {
    /// Who can see a product.
    ProductStatus {
        /// Everyone.
        Active = "active",
        /// Staff only: it is being written.
        Draft = "draft",
        /// Staff only: it is no longer sold.
        Archived = "archived",
    }
}

text_enum! {
    /// What happens when more is asked for than is in stock.
    InventoryPolicy {
        /// The sale is refused.
        Deny = "deny",
        /// The sale goes on.
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
    /// How many grams the unit has.
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
    /// The order a collection's products are shown in unless the reader asks for another.
    CollectionSortOrder {
        /// The order staff gave them.
        Manual = "manual",
        /// By title, A to Z.
        AlphaAsc = "alpha_asc",
        /// By title, Z to A.
        AlphaDesc = "alpha_desc",
        /// Most sold first.
        BestSelling = "best_selling",
        /// Oldest first.
        Created = "created",
        /// Newest first.
        CreatedDesc = "created_desc",
        /// Cheapest first.
        PriceAsc = "price_asc",
        /// Dearest first.
        PriceDesc = "price_desc",
    }
}

/// A product's option, such as Size, and the values its variants may have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProductOption {
    /// Its name, unique within the product.
    pub name: String,
    /// Its values, in the order they are shown.
    pub values: Vec<String>,
}

/// How many options a product may have, as in Shopify.
pub const MAX_OPTIONS: usize = 3;
/// How many variants a product may have.
pub const MAX_VARIANTS: usize = 250;
/// How many tags a product may have.
pub const MAX_TAGS: usize = 250;

/// The name of the one option shown for a product that has none, as storefronts expect it.
pub const DEFAULT_OPTION: &str = "Title";
/// The value of that option, and the title of the product's one variant.
pub const DEFAULT_VARIANT_TITLE: &str = "Default Title";

/// A variant's title: its option values, or the default one where the product has no options.
#[must_use]
pub fn variant_title(option_values: &[String]) -> String {
    if option_values.is_empty() { DEFAULT_VARIANT_TITLE.to_owned() } else { option_values.join(" / ") }
}

/// A product's title with its variant's, where there are several.
#[must_use]
pub fn full_title(product: &str, variant: &str) -> String {
    if variant.is_empty() || variant == DEFAULT_VARIANT_TITLE {
        product.to_owned()
    } else {
        format!("{product} ({variant})")
    }
}
