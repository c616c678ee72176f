//! Validation and normalization of addresses.

use super::Problems;
use crate::domain::codes::COUNTRIES;
use crate::domain::customers::addresses::Address;
use crate::error::UserErrorCode;

/// Trims all texts, drops empty ones, and replaces the country with its code. Problems are added
/// below `path`.
pub(crate) fn check(problems: &mut Problems, path: &[&str], input: &Address) -> Address {
    let mut line = |field: &'static str, text: &Option<String>| -> Option<String> {
        let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
        let path = [path, &[field]].concat();
        if matches!(field, "firstName" | "lastName") {
            problems.person_name(&path, text);
        } else {
            problems.line(&path, text);
        }
        Some(text.to_owned())
    };
    let mut address = Address {
        first_name: line("firstName", &input.first_name),
        last_name: line("lastName", &input.last_name),
        company: line("company", &input.company),
        address1: line("address1", &input.address1),
        address2: line("address2", &input.address2),
        city: line("city", &input.city),
        province: line("province", &input.province),
        zip: line("zip", &input.zip),
        country: line("country", &input.country),
        phone: line("phone", &input.phone),
        latitude: input.latitude,
        longitude: input.longitude,
    };
    if let Some(country) = &mut address.country {
        match country_code(country) {
            Some(code) => code.clone_into(country),
            None => problems.add(
                &[path, &["country"]].concat(),
                UserErrorCode::Invalid,
                "Country must be a two-letter code such as GB, or a country's English name",
            ),
        }
    }
    if address.latitude.is_some() != address.longitude.is_some() {
        let missing = if address.latitude.is_some() { "longitude" } else { "latitude" };
        let message = "Give both coordinates, or neither";
        problems.add(&[path, &[missing]].concat(), UserErrorCode::Blank, message);
    }
    let within = |degrees: Option<f64>, most: f64| degrees.is_none_or(|value| value.abs() <= most);
    for (field, is_right) in
        [("latitude", within(address.latitude, 90.0)), ("longitude", within(address.longitude, 180.0))]
    {
        if !is_right {
            problems.add(&[path, &[field]].concat(), UserErrorCode::Invalid, "There is no such place");
        }
    }
    address
}

/// The ISO 3166-1 alpha-2 code for a country's code or English name, ignoring case.
#[must_use]
pub(crate) fn country_code(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let is_it = |(code, name): &&(&'static str, &'static str)| {
        code.eq_ignore_ascii_case(text) || name.eq_ignore_ascii_case(text)
    };
    COUNTRIES.iter().find(is_it).map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn addresses_are_normalized_and_all_problems_are_reported() {
        let address = Address {
            first_name: Some("  Ada ".to_owned()),
            company: Some(" ".to_owned()),
            country: Some("united kingdom".to_owned()),
            ..Address::default()
        };
        let mut problems = Problems::default();
        let normalized = check(&mut problems, &["address"], &address);
        assert!(problems.check().is_ok());
        let expected = Address {
            first_name: Some("Ada".to_owned()),
            country: Some("GB".to_owned()),
            ..Address::default()
        };
        assert_eq!(normalized, expected);

        let address = Address {
            city: Some("x".repeat(256)),
            country: Some("Utopia".to_owned()),
            latitude: Some(91.0),
            longitude: Some(0.0),
            ..Address::default()
        };
        let mut problems = Problems::default();
        check(&mut problems, &["address"], &address);
        let Err(Error::Invalid(errors)) = problems.check() else { panic!("three problems") };
        let fields: Vec<String> = errors.into_iter().map(|error| error.field.join(".")).collect();
        assert_eq!(fields, ["address.city", "address.country", "address.latitude"]);
    }
}
