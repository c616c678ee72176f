//! Postal addresses of customers, carts and orders. An order keeps a copy, unaffected by later
//! changes.

use serde::{Deserialize, Serialize};

use crate::domain::codes::COUNTRIES;

/// A postal address. Every field is optional; callers check for what they need.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Address {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// Street and number.
    pub address1: Option<String>,
    /// Second address line.
    pub address2: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Province, state or region: its code where it has one (`CA`, `ON`), or its name.
    pub province: Option<String>,
    /// Postal code.
    pub zip: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Degrees north, where known.
    pub latitude: Option<f64>,
    /// Degrees east, where known.
    pub longitude: Option<f64>,
}

/// How a country writes the line or lines with the city: `C` is the city, `P` the province, `Z` the
/// postal code. Separators are written only between two present parts.
fn locality_pattern(country: &str) -> &'static str {
    match country {
        "US" | "CO" | "JP" | "KR" | "CN" | "TH" | "PH" => "C, P Z",
        "CA" | "AU" | "TW" | "ID" | "ZA" | "NG" => "C P Z",
        "GB" | "IE" | "GG" | "JE" | "IM" | "GI" | "KE" | "LK" => "C\nP\nZ",
        "IN" | "PK" | "BD" | "NZ" | "SG" | "MT" | "LV" | "TR" => "C Z\nP",
        "BR" => "C - P\nZ",
        "MX" => "Z C, P",
        "IT" | "MY" => "Z C P",
        "HK" | "AE" | "QA" => "C\nP Z",
        // The most common format: most of Europe, Latin America and Africa.
        _ => "Z C\nP",
    }
}

impl Address {
    /// Formats the address as on an envelope, in the country's format, without empty lines.
    #[must_use]
    pub fn lines(&self, with_name: bool, with_company: bool) -> Vec<String> {
        let names = [&self.first_name, &self.last_name].into_iter().flatten();
        let name = names.map(String::as_str).collect::<Vec<_>>().join(" ");
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let mut lines = vec![
            if with_name { name } else { String::new() },
            if with_company { text(&self.company) } else { String::new() },
            text(&self.address1),
            text(&self.address2),
        ];
        lines.extend(self.locality());
        lines.extend(self.country_name().map(str::to_owned));
        lines.retain(|line| !line.is_empty());
        lines
    }

    /// The country's English name, or its code if the code is unknown.
    #[must_use]
    pub fn country_name(&self) -> Option<&str> {
        let code = self.country.as_deref()?;
        Some(COUNTRIES.iter().find(|(known, _)| *known == code).map_or(code, |(_, name)| *name))
    }

    fn locality(&self) -> Vec<String> {
        let pattern = locality_pattern(self.country.as_deref().unwrap_or_default());
        let format_line = |pattern: &str| {
            let (mut line, mut separator) = (String::new(), String::new());
            for c in pattern.chars() {
                let part = match c {
                    'C' => &self.city,
                    'P' => &self.province,
                    'Z' => &self.zip,
                    c => {
                        separator.push(c);
                        continue;
                    }
                };
                if let Some(part) = part.as_deref().filter(|part| !part.is_empty()) {
                    if !line.is_empty() {
                        line.push_str(&separator);
                    }
                    line.push_str(part);
                }
                // A missing part drops the separators on both sides of it.
                separator.clear();
            }
            line
        };
        pattern.split('\n').map(format_line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(city: &str, province: &str, zip: &str, country: &str) -> Address {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Address {
            first_name: text("Ada"),
            last_name: text("Lovelace"),
            address1: text("1 Main St"),
            city: text(city),
            province: text(province),
            zip: text(zip),
            country: text(country),
            ..Address::default()
        }
    }

    #[test]
    fn addresses_are_formatted_by_country() {
        for (city, province, zip, country, expected) in [
            ("Springfield", "IL", "62701", "US", vec!["Springfield, IL 62701", "United States"]),
            ("Berlin", "", "10115", "DE", vec!["10115 Berlin", "Germany"]),
            ("London", "", "SW1Y 4JH", "GB", vec!["London", "SW1Y 4JH", "United Kingdom"]),
            ("Toronto", "ON", "M5V 2T6", "CA", vec!["Toronto ON M5V 2T6", "Canada"]),
            ("Roma", "RM", "00144", "IT", vec!["00144 Roma RM", "Italy"]),
            ("São Paulo", "SP", "01310-100", "BR", vec!["São Paulo - SP", "01310-100", "Brazil"]),
            ("Madrid", "", "28001", "ES", vec!["28001 Madrid", "Spain"]),
            ("Springfield", "", "62701", "US", vec!["Springfield 62701", "United States"]),
            ("", "IL", "", "US", vec!["IL", "United States"]),
        ] {
            let lines = address(city, province, zip, country).lines(false, true);
            assert_eq!(lines[0], "1 Main St");
            assert_eq!(lines[1..], expected, "{country}");
        }
        assert_eq!(address("", "", "", "").lines(true, true), ["Ada Lovelace", "1 Main St"]);
    }
}
