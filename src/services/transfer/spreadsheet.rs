//! Cells of CSV files that staff open in a spreadsheet.

use crate::domain::customers::addresses::Address;

/// A cell with a text that strangers may have written. Spreadsheets interpret a text that begins
/// like a formula as one, so it is marked as text by an apostrophe, as spreadsheets do themselves.
pub(super) fn text_cell(text: &str) -> String {
    let mut chars = text.chars();
    let is_formula = match chars.next() {
        Some('=' | '@' | '\t' | '\r') => true,
        // Amounts and phone numbers begin like this, too.
        Some('+' | '-') => chars.any(|c| !(c.is_ascii_digit() || " .,()/-".contains(c))),
        _ => false,
    };
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

/// Like [`text_cell`], for an optional text.
pub(super) fn optional_cell(text: Option<&str>) -> String {
    text_cell(text.unwrap_or_default())
}

/// The name, street, company, city, postal code, province, country and phone number of an address.
pub(super) fn address_cells(address: Option<&Address>) -> [String; 9] {
    let part =
        |part: fn(&Address) -> Option<&String>| optional_cell(address.and_then(part).map(String::as_str));
    let names = address.map(|address| [address.first_name.as_deref(), address.last_name.as_deref()]);
    let name = names.into_iter().flatten().flatten().collect::<Vec<_>>().join(" ");
    [
        text_cell(&name),
        part(|address| address.address1.as_ref()),
        part(|address| address.address2.as_ref()),
        part(|address| address.company.as_ref()),
        part(|address| address.city.as_ref()),
        part(|address| address.zip.as_ref()),
        part(|address| address.province.as_ref()),
        part(|address| address.country.as_ref()),
        part(|address| address.phone.as_ref()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_escaped() {
        for text in ["Ada", "", "+44 20 7946 0018", "-5.00", "O'Neil", "a=b"] {
            assert_eq!(text_cell(text), text);
        }
        for text in ["=1+1", "@SUM(A1)", "+HYPERLINK(\"x\")", "-1+cmd|' /C calc'!A0", "\t=1"] {
            assert_eq!(text_cell(text), format!("'{text}"));
        }
    }
}
