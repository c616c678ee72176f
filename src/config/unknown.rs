//! Variables of the environment that are no settings, and look like misspelt ones.

use std::collections::BTreeSet;

use crate::domain::spelling::distance;

/// How long a name must be to be taken for a misspelt one: short ones are near to too many.
const MIN_LENGTH: usize = 6;
/// How many letters of a name there are for one that may be wrong.
const LETTERS_PER_SLIP: usize = 6;

/// The ends of names that are easily left out.
const UNITS: [&str; 2] = ["_MS", "_BYTES"];

/// A sentence about each variable that is set, is none of the settings, and is near to one of them
/// that is not set.
pub(super) fn misspelt(settings: &BTreeSet<String>, set: impl Iterator<Item = String>) -> Vec<String> {
    let set: BTreeSet<String> = set.collect();
    let unknown = set.difference(settings).filter(|name| name.len() >= MIN_LENGTH);
    unknown
        .filter_map(|name| {
            let near = settings.difference(&set).map(|setting| (distance(name, setting), setting));
            let (distance, setting) = near.min()?;
            let unit = setting.strip_prefix(name.as_str()).unwrap_or_default();
            let is_near = distance <= name.len() / LETTERS_PER_SLIP || UNITS.contains(&unit);
            is_near.then(|| format!("there is no setting {name}: did you mean {setting}?"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(set: &[&str]) -> Vec<String> {
        let settings = ["PUBLIC_URL", "PORT", "HOST", "HTTP_BODY_TIMEOUT_MS", "JWT_SECRET", "SHOP_NAME"];
        misspelt(&settings.map(str::to_owned).into(), set.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn only_what_looks_like_a_setting_is_told() {
        assert_eq!(told(&["JWT_SECRT"]), ["there is no setting JWT_SECRT: did you mean JWT_SECRET?"]);
        assert_eq!(told(&["HTTP_BODY_TIMEOUT", "PUBLIC-URL", "public_url"]).len(), 3);
        let others = ["PATH", "HOME", "HOSTNAME", "HTTP_PROXY", "PGPORT", "SHOP_PORT", "PORTS", "PUBLIC_URL"];
        assert_eq!(told(&others), Vec::<String>::new());
        assert_eq!(told(&["SHOP_NAME", "SHOP_NAMES"]), Vec::<String>::new(), "the setting is there, too");
    }
}
