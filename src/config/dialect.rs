//! Settings for compatibility with Shopify's Storefront API.

use super::Problems;
use crate::domain::ids::Namespace;

/// Compatibility with Shopify's Storefront API, where clients differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DialectConfig {
    /// `ID_NAMESPACE`: the prefix of ids in responses. Both are accepted in requests.
    pub id_namespace: Namespace,
    /// `REQUIRE_STOREFRONT_KEY`: whether buyers need a storefront key.
    pub requires_storefront_key: bool,
}

/// Reads the settings.
pub(super) fn read(get: &impl Fn(&str) -> Option<String>, problems: &mut Problems) -> DialectConfig {
    let default = DialectConfig::default();
    DialectConfig {
        id_namespace: problems.parse("ID_NAMESPACE", get("ID_NAMESPACE"), default.id_namespace, |text| {
            match text {
                "mercato" => Ok(Namespace::Mercato),
                "shopify" => Ok(Namespace::Shopify),
                _ => Err("must be mercato or shopify".to_owned()),
            }
        }),
        requires_storefront_key: problems.parse(
            "REQUIRE_STOREFRONT_KEY",
            get("REQUIRE_STOREFRONT_KEY"),
            default.requires_storefront_key,
            |text| text.parse().map_err(|_error| "must be true or false".to_owned()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<DialectConfig, Vec<String>> {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Problems(Vec::new());
        let config = read(&get, &mut problems);
        if problems.0.is_empty() { Ok(config) } else { Err(problems.0) }
    }

    #[test]
    fn shopify_ids_and_required_storefront_keys_are_opt_in() {
        assert_eq!(config(&[]), Ok(DialectConfig::default()));
        let other = config(&[("ID_NAMESPACE", "shopify"), ("REQUIRE_STOREFRONT_KEY", "true")]).unwrap();
        assert_eq!(other, DialectConfig { id_namespace: Namespace::Shopify, requires_storefront_key: true });
        for (name, value) in [("ID_NAMESPACE", "saleor"), ("REQUIRE_STOREFRONT_KEY", "yes")] {
            assert!(config(&[(name, value)]).unwrap_err()[0].starts_with(name), "{name}");
        }
    }
}
