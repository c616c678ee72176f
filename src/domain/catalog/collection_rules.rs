//! Rules that put products into a collection automatically. Services evaluate
//! [`CollectionRules::matches`] whenever a product or a rule changes, and store the result as
//! membership rows.

use serde::{Deserialize, Serialize};

use super::text_enum;
use crate::domain::money::{Currency, Money};
use crate::domain::text;

text_enum! {
    /// The product attribute that a rule tests.
    RuleColumn {
        /// The product's title.
        Title = "TITLE",
        /// The product's type.
        Type = "TYPE",
        /// The product's vendor.
        Vendor = "VENDOR",
        /// Any of the product's tags.
        Tag = "TAG",
        /// Any variant's price.
        VariantPrice = "VARIANT_PRICE",
        /// Any variant's compare-at price.
        VariantCompareAtPrice = "VARIANT_COMPARE_AT_PRICE",
        /// Any variant's weight in grams.
        VariantWeight = "VARIANT_WEIGHT",
        /// Any variant's title.
        VariantTitle = "VARIANT_TITLE",
    }
}

text_enum! {
    /// How a rule compares.
    RuleRelation {
        /// Equal, ignoring letter case and accents.
        Equals = "EQUALS",
        /// Not equal.
        NotEquals = "NOT_EQUALS",
        /// Begins with the condition.
        StartsWith = "STARTS_WITH",
        /// Ends with the condition.
        EndsWith = "ENDS_WITH",
        /// Contains the condition.
        Contains = "CONTAINS",
        /// Does not contain the condition.
        NotContains = "NOT_CONTAINS",
        /// Greater than the condition.
        GreaterThan = "GREATER_THAN",
        /// Less than the condition.
        LessThan = "LESS_THAN",
        /// Has a value.
        IsSet = "IS_SET",
        /// Has no value.
        IsNotSet = "IS_NOT_SET",
    }
}

/// One condition on a product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// The attribute.
    pub column: RuleColumn,
    /// The comparison.
    pub relation: RuleRelation,
    /// The text, amount or weight in grams to compare with. Empty for `IS_SET` and `IS_NOT_SET`.
    #[serde(default)]
    pub condition: String,
}

/// The conditions of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollectionRules {
    /// Whether one matching rule is enough; otherwise all must match.
    pub any: bool,
    /// The rules, at least one.
    pub rules: Vec<Rule>,
}

/// The attributes of a product that rules can test.
#[derive(Debug, Default)]
pub struct ProductFacts<'a> {
    /// The title.
    pub title: &'a str,
    /// The type.
    pub product_type: &'a str,
    /// The vendor.
    pub vendor: &'a str,
    /// The tags.
    pub tags: Vec<&'a str>,
    /// The variants.
    pub variants: Vec<VariantFacts<'a>>,
}

/// The attributes of a variant that rules can test.
#[derive(Debug)]
pub struct VariantFacts<'a> {
    /// The title.
    pub title: &'a str,
    /// Price in minor units.
    pub price: i64,
    /// Compare-at price in minor units.
    pub compare_at_price: Option<i64>,
    /// Weight in grams.
    pub weight_grams: i64,
}

impl CollectionRules {
    /// Whether a product belongs to the collection; prices are in `currency`.
    #[must_use]
    pub fn matches(&self, product: &ProductFacts<'_>, currency: Currency) -> bool {
        let mut met = self.rules.iter().map(|rule| rule.matches(product, currency));
        if self.any { met.any(|met| met) } else { met.all(|met| met) }
    }

    /// Validates the rules; returns each problem with the rule's index.
    #[must_use]
    pub fn problems(&self, currency: Currency) -> Vec<(usize, String)> {
        self.rules.iter().enumerate().filter_map(|(at, rule)| Some((at, rule.problem(currency)?))).collect()
    }
}

impl Rule {
    fn is_numeric(&self) -> bool {
        use RuleColumn::{VariantCompareAtPrice, VariantPrice, VariantWeight};
        matches!(self.column, VariantPrice | VariantCompareAtPrice | VariantWeight)
    }

    fn number(&self, currency: Currency) -> Option<i64> {
        match self.column {
            RuleColumn::VariantWeight => self.condition.trim().parse().ok(),
            _ => Money::parse(&self.condition, currency).ok().map(Money::minor),
        }
    }

    fn problem(&self, currency: Currency) -> Option<String> {
        use RuleRelation::{
            Contains, EndsWith, Equals, GreaterThan, IsNotSet, IsSet, LessThan, NotContains, NotEquals,
            StartsWith,
        };
        let (column, relation) = (self.column.as_str(), self.relation.as_str());
        let fits = match self.relation {
            Equals | NotEquals => true,
            StartsWith | EndsWith | Contains | NotContains => !self.is_numeric(),
            GreaterThan | LessThan => self.is_numeric(),
            IsSet | IsNotSet => self.column == RuleColumn::VariantCompareAtPrice,
        };
        if !fits {
            return Some(format!("{relation} can't be used with {column}"));
        }
        if matches!(self.relation, IsSet | IsNotSet) {
            return None;
        }
        if self.is_numeric() && self.number(currency).is_none() {
            return Some(format!("`{}` is not a number {column} can be compared with", self.condition));
        }
        self.condition.trim().is_empty().then(|| "Condition can't be blank".to_owned())
    }

    fn matches(&self, product: &ProductFacts<'_>, currency: Currency) -> bool {
        let number = |value: Option<i64>| self.compare_number(value, currency);
        match self.column {
            RuleColumn::Title => self.compare_text([product.title]),
            RuleColumn::Type => self.compare_text([product.product_type]),
            RuleColumn::Vendor => self.compare_text([product.vendor]),
            RuleColumn::Tag => self.compare_text(product.tags.iter().copied()),
            RuleColumn::VariantTitle => {
                self.compare_text(product.variants.iter().map(|variant| variant.title))
            }
            RuleColumn::VariantPrice => product.variants.iter().any(|variant| number(Some(variant.price))),
            RuleColumn::VariantWeight => {
                product.variants.iter().any(|variant| number(Some(variant.weight_grams)))
            }
            RuleColumn::VariantCompareAtPrice => {
                product.variants.iter().any(|variant| number(variant.compare_at_price))
            }
        }
    }

    /// Negative relations hold if they hold for all values, positive ones if they hold for any.
    fn compare_text<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> bool {
        let condition = text::key(self.condition.trim());
        let mut values = values.into_iter().map(text::key);
        match self.relation {
            RuleRelation::Equals => values.any(|value| value == condition),
            RuleRelation::NotEquals => values.all(|value| value != condition),
            RuleRelation::StartsWith => values.any(|value| value.starts_with(&condition)),
            RuleRelation::EndsWith => values.any(|value| value.ends_with(&condition)),
            RuleRelation::Contains => values.any(|value| value.contains(&condition)),
            RuleRelation::NotContains => values.all(|value| !value.contains(&condition)),
            RuleRelation::IsSet => values.any(|value| !value.is_empty()),
            RuleRelation::IsNotSet => values.all(|value| value.is_empty()),
            RuleRelation::GreaterThan | RuleRelation::LessThan => false,
        }
    }

    fn compare_number(&self, value: Option<i64>, currency: Currency) -> bool {
        let condition = self.number(currency);
        match self.relation {
            RuleRelation::IsSet => value.is_some(),
            RuleRelation::IsNotSet => value.is_none(),
            RuleRelation::Equals => value.is_some() && value == condition,
            RuleRelation::NotEquals => value.is_some() && value != condition,
            RuleRelation::GreaterThan => value.is_some() && condition.is_some() && value > condition,
            RuleRelation::LessThan => value.is_some() && condition.is_some() && value < condition,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mug() -> ProductFacts<'static> {
        ProductFacts {
            title: "Enamel Mug",
            product_type: "Mug",
            vendor: "Kiln & Co",
            tags: vec!["Kitchen", "gift"],
            variants: vec![
                VariantFacts { title: "White", price: 1800, compare_at_price: None, weight_grams: 300 },
                VariantFacts { title: "Blue", price: 1500, compare_at_price: Some(1800), weight_grams: 310 },
            ],
        }
    }

    fn mug_matches(column: &str, relation: &str, condition: &str) -> bool {
        let rule = Rule {
            column: RuleColumn::parse(column).unwrap(),
            relation: RuleRelation::parse(relation).unwrap(),
            condition: condition.to_owned(),
        };
        let usd = Currency::parse("USD").unwrap();
        assert_eq!(rule.problem(usd), None);
        CollectionRules { any: false, rules: vec![rule] }.matches(&mug(), usd)
    }

    #[test]
    fn rules_compare_all_fields_of_a_product() {
        assert!(mug_matches("TAG", "EQUALS", "kitchen"));
        assert!(!mug_matches("TAG", "NOT_EQUALS", "gift"));
        assert!(mug_matches("TITLE", "CONTAINS", "mug"));
        assert!(mug_matches("VENDOR", "STARTS_WITH", "kiln"));
        assert!(mug_matches("VARIANT_PRICE", "LESS_THAN", "15.01"));
        assert!(!mug_matches("VARIANT_PRICE", "GREATER_THAN", "18"));
        assert!(mug_matches("VARIANT_COMPARE_AT_PRICE", "IS_SET", ""));
        assert!(mug_matches("VARIANT_WEIGHT", "EQUALS", "310"));
        assert!(mug_matches("VARIANT_TITLE", "ENDS_WITH", "lue"));
    }

    #[test]
    fn products_must_match_all_rules_or_any_rule() {
        let usd = Currency::parse("USD").unwrap();
        let rule = |tag: &str| Rule {
            column: RuleColumn::Tag,
            relation: RuleRelation::Equals,
            condition: tag.to_owned(),
        };
        let rules = |any| CollectionRules { any, rules: vec![rule("gift"), rule("garden")] };
        assert!(rules(true).matches(&mug(), usd));
        assert!(!rules(false).matches(&mug(), usd));
    }

    #[test]
    fn invalid_rules_are_reported() {
        let usd = Currency::parse("USD").unwrap();
        let problem = |column, relation, condition: &str| {
            Rule { column, relation, condition: condition.to_owned() }.problem(usd)
        };
        assert!(problem(RuleColumn::Title, RuleRelation::GreaterThan, "3").is_some());
        assert!(problem(RuleColumn::VariantPrice, RuleRelation::Contains, "3").is_some());
        assert!(problem(RuleColumn::VariantPrice, RuleRelation::LessThan, "abc").is_some());
        assert!(problem(RuleColumn::Tag, RuleRelation::IsSet, "").is_some());
        assert!(problem(RuleColumn::Tag, RuleRelation::Equals, " ").is_some());
    }
}
