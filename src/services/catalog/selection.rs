//! Finds variants by selected option values.

use std::sync::Arc;

use crate::repositories::catalog::products::Product;
use crate::repositories::catalog::variants::Variant;

/// Selected option values.
#[derive(Debug, Default)]
pub struct Selection {
    /// Pairs of an option's name and a value.
    pub picked: Vec<(String, String)>,
    /// Whether options that the product lacks are ignored; otherwise nothing matches.
    pub ignore_unknown: bool,
    /// Ignores letter case.
    pub ignore_case: bool,
}

impl Selection {
    fn same(&self, a: &str, b: &str) -> bool {
        if self.ignore_case { a.to_lowercase() == b.to_lowercase() } else { a == b }
    }

    /// The selected value of each of the product's options; `None` when an unknown option was
    /// selected.
    fn for_options(&self, product: &Product) -> Option<Vec<Option<&str>>> {
        let options = &product.options.0;
        let known = |name: &str| options.iter().any(|option| self.same(&option.name, name));
        let is_default = |name: &str, value: &str| {
            use crate::domain::catalog::{DEFAULT_OPTION, DEFAULT_VARIANT_TITLE};
            options.is_empty() && self.same(name, DEFAULT_OPTION) && self.same(value, DEFAULT_VARIANT_TITLE)
        };
        let all_known = self.picked.iter().all(|(name, value)| known(name) || is_default(name, value));
        if !all_known && !self.ignore_unknown {
            return None;
        }
        let pick = |name: &str| self.picked.iter().find(|(picked, _)| self.same(picked, name));
        Some(options.iter().map(|option| pick(&option.name).map(|(_, value)| value.as_str())).collect())
    }

    /// The variant with exactly these values. A value must be selected for each option.
    #[must_use]
    pub fn exact(&self, product: &Product, variants: &[Arc<Variant>]) -> Option<Arc<Variant>> {
        let picked = self.for_options(product)?;
        variants.iter().find(|variant| self.distance(&picked, variant) == 0).cloned()
    }

    /// The variants that differ from the selection in exactly one option.
    #[must_use]
    pub fn adjacent(&self, product: &Product, variants: &[Arc<Variant>]) -> Vec<Arc<Variant>> {
        let Some(picked) = self.for_options(product) else { return Vec::new() };
        variants.iter().filter(|variant| self.distance(&picked, variant) == 1).cloned().collect()
    }

    /// The number of options in which a variant differs from the selection.
    fn distance(&self, picked: &[Option<&str>], variant: &Variant) -> usize {
        let differs = |(wanted, value): &(&Option<&str>, &String)| {
            wanted.is_none_or(|wanted| !self.same(wanted, value))
        };
        picked.iter().zip(&variant.option_values.0).filter(differs).count()
    }
}

impl Selection {
    /// The selection that matches a variant.
    #[must_use]
    pub fn of(product: &Product, variant: &Variant) -> Self {
        let names = product.options.0.iter().map(|option| option.name.clone());
        let picked = names.zip(variant.option_values.0.iter().cloned()).collect();
        Self { picked, ignore_unknown: true, ignore_case: false }
    }
}

/// Encodes existing variants in the format of storefront libraries: `v1_`, followed by the indexes
/// of the existing option values, level by level. `:` descends to the next option, `,` ends a
/// branch, a space separates values of the last option, and `-` denotes a range of them. `None` for
/// products without options.
#[must_use]
pub fn encode_variants<'a>(
    product: &Product,
    variants: impl Iterator<Item = &'a Arc<Variant>>,
) -> Option<String> {
    let options = &product.options.0;
    if options.is_empty() {
        return None;
    }
    let place = |variant: &Variant| -> Option<Vec<usize>> {
        let pairs = options.iter().zip(&variant.option_values.0);
        pairs.map(|(option, value)| option.values.iter().position(|known| known == value)).collect()
    };
    let mut places: Vec<Vec<usize>> = variants.filter_map(|variant| place(variant)).collect();
    places.sort();
    let mut text = "v1_".to_owned();
    encode_level(&mut text, &places, options.len());
    Some(text)
}

/// Encodes the values of one option, each followed by the levels below it.
fn encode_level(text: &mut String, places: &[Vec<usize>], depth: usize) {
    if depth == 1 {
        return encode_runs(text, places);
    }
    for branch in places.chunk_by(|a, b| a.first() == b.first()) {
        let Some(value) = branch.first().and_then(|place| place.first()) else { continue };
        text.push_str(&format!("{value}:"));
        let below: Vec<Vec<usize>> =
            branch.iter().filter_map(|place| Some(place.split_first()?.1.to_vec())).collect();
        encode_level(text, &below, depth - 1);
        text.push(',');
    }
}

fn encode_runs(text: &mut String, places: &[Vec<usize>]) {
    let values: Vec<usize> = places.iter().filter_map(|place| place.first().copied()).collect();
    let runs: Vec<String> = values
        .chunk_by(|a, b| a + 1 == *b)
        .filter_map(|run| match run {
            [only] => Some(only.to_string()),
            [first, .., last] => Some(format!("{first}-{last}")),
            [] => None,
        })
        .collect();
    text.push_str(&runs.join(" "));
}
