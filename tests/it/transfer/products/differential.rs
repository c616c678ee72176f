//! Random catalogs, imported over others, completely and with missing columns: fields with a column
//! get the file's value, all others are unchanged.
//!
//! Each database tests an eighth of `PROPTEST_CASES` catalogs: 2,000 of them if it is 16000.

use std::collections::BTreeSet;

use proptest::test_runner::Config;
use serde_json::json;

use super::{export, run};
use crate::support::{TestApp, both};

const HEADER: [&str; 18] = [
    "Handle",
    "Title",
    "Body (HTML)",
    "Vendor",
    "Type",
    "Tags",
    "Option1 Name",
    "Option1 Value",
    "Option2 Name",
    "Option2 Value",
    "Variant SKU",
    "Variant Grams",
    "Variant Inventory Tracker",
    "Variant Price",
    "Variant Compare At Price",
    "Variant Barcode",
    "SEO Title",
    "Status",
];
/// Columns that identify the variant of a row.
const IDENTIFYING: [&str; 4] = ["Option1 Name", "Option1 Value", "Option2 Name", "Option2 Value"];
/// Columns of products; the others are of variants.
const PRODUCT_COLUMNS: [&str; 7] = ["Title", "Body (HTML)", "Vendor", "Type", "Tags", "SEO Title", "Status"];

/// A small deterministic random number generator (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % bound
    }

    fn pick<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[usize::try_from(self.below(texts.len() as u64)).unwrap()]
    }

    fn text(&mut self) -> String {
        let text = self.pick(&["", "a", "Ä, b", "it's \"so\"", "-5 %", "日本", "x;y"]);
        if text.is_empty() { String::new() } else { format!("{text}{}", self.below(9)) }
    }

    fn code(&mut self) -> String {
        self.pick(&["", "0012", "''7", "A-1", "'t Hart", "=1+1"]).to_owned()
    }

    /// A random cell of a column that does not identify the row.
    fn cell(&mut self, column: &str, is_first: bool) -> String {
        match column {
            _ if !is_first && PRODUCT_COLUMNS.contains(&column) => String::new(),
            "Title" => format!("T{}", self.below(99)),
            "Tags" => self.pick(&["", "a", "a, b", "c"]).to_owned(),
            "Status" => self.pick(&["active", "draft", "archived"]).to_owned(),
            "Variant Grams" => self.below(900).to_string(),
            "Variant Inventory Tracker" => self.pick(&["", "shopify"]).to_owned(),
            "Variant Price" => format!("{}.{:02}", self.below(99), self.below(100)),
            "Variant Compare At Price" if self.below(2) == 0 => String::new(),
            "Variant Compare At Price" => format!("{}.50", self.below(99)),
            "Variant Barcode" => self.code(),
            _ => self.text(),
        }
    }

    /// The identifying columns of products and variants, which catalogs of the same shape share.
    fn shape(&mut self) -> Vec<Vec<(&'static str, String)>> {
        let mut rows = Vec::new();
        for product in 0..=self.below(3) {
            let options = self.below(3);
            let count = if options == 0 { 1 } else { 1 + self.below(4) };
            for variant in 0..count {
                let is_first = variant == 0;
                let name = |name: &str| if is_first { name.to_owned() } else { String::new() };
                let mut row =
                    vec![("Handle", format!("p{product}")), ("Variant SKU", format!("S{product}-{variant}"))];
                if options == 0 {
                    row.extend([
                        ("Option1 Name", name("Title")),
                        ("Option1 Value", "Default Title".to_owned()),
                    ]);
                } else {
                    row.extend([
                        ("Option1 Name", name("Size")),
                        ("Option1 Value", (variant % 2).to_string()),
                    ]);
                }
                if options == 2 || (options == 1 && count > 2) {
                    row.extend([
                        ("Option2 Name", name("Color")),
                        ("Option2 Value", (variant / 2).to_string()),
                    ]);
                }
                rows.push(row);
            }
        }
        rows
    }

    fn catalog(&mut self, shape: &[Vec<(&'static str, String)>]) -> String {
        let mut lines = vec![HEADER.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
        let mut last = String::new();
        for row in shape {
            let is_first = row[0].1 != last;
            last.clone_from(&row[0].1);
            let known =
                |column: &str| row.iter().find(|(name, _)| *name == column).map(|(_, text)| text.clone());
            let cell = |column: &&str| match known(column) {
                Some(text) => text,
                None if IDENTIFYING.contains(column) => String::new(),
                None => self.cell(column, is_first),
            };
            lines.push(HEADER.iter().map(cell).collect());
        }
        to_csv(&lines)
    }
}

fn to_csv(lines: &[Vec<String>]) -> String {
    let mut file = csv::Writer::from_writer(Vec::new());
    for line in lines {
        file.write_record(line).unwrap();
    }
    String::from_utf8(file.into_inner().unwrap()).unwrap()
}

fn cells(file: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(file.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// A file without some of its columns.
fn without(file: &[Vec<String>], removed: &BTreeSet<&str>) -> Vec<Vec<String>> {
    let kept = |row: &Vec<String>| {
        let pairs = file[0].iter().zip(row).filter(|(name, _)| !removed.contains(name.as_str()));
        pairs.map(|(_, cell)| cell.clone()).collect()
    };
    file.iter().map(kept).collect()
}

async fn clear(app: &TestApp) {
    let reply = app.admin().ask("{ products(first: 50) { nodes { id } } }").await.ok();
    for product in reply["products.nodes"].as_array().unwrap() {
        let delete = "mutation($id: ID!) { productDelete(id: $id) { userErrors { message } } }";
        app.admin().ask_with(delete, json!({ "id": product["id"] })).await.assert_ok();
    }
}

both!(imports_change_exactly_the_fields_that_have_columns);
async fn imports_change_exactly_the_fields_that_have_columns(app: TestApp) {
    for seed in 0..u64::from((Config::default().cases / 8).max(1)) {
        check(&app, seed).await;
        clear(&app).await;
    }
}

async fn check(app: &TestApp, seed: u64) {
    let mut random = Random(seed);
    let shape = random.shape();
    let (new, old) = (random.catalog(&shape), random.catalog(&shape));
    let count = cells(&new).iter().skip(1).map(|row| row[0].clone()).collect::<BTreeSet<_>>().len() as u64;

    // With all columns: importing its own export changes nothing.
    run(app, new.as_str(), false).await.0.unwrap();
    let new = cells(&export(app).await);
    let (again, _) = run(app, to_csv(&new), false).await;
    assert_eq!((again.as_ref().unwrap().unchanged, again.unwrap().failed), (count, 0), "seed {seed}");
    // Over another catalog, and with missing columns.
    run(app, old.as_str(), false).await.0.unwrap();
    let old = cells(&export(app).await);
    let identifying: BTreeSet<&str> = if random.below(3) == 0 { IDENTIFYING.into() } else { BTreeSet::new() };
    let optional = HEADER.iter().copied().filter(|name| *name != "Handle" && !IDENTIFYING.contains(name));
    let mut removed: BTreeSet<&str> = optional.filter(|_| random.below(2) == 0).collect();
    if !identifying.is_empty() {
        // Then the SKU identifies the variant.
        removed.remove("Variant SKU");
        removed.extend(identifying);
    }
    if !removed.contains("Status") || random.below(2) == 0 {
        removed.insert("Published");
    }
    let file = without(&new, &removed);
    let (result, messages) = run(app, to_csv(&file), false).await;
    assert_eq!(result.unwrap().failed, 0, "seed {seed}: {messages:?}\n{}", to_csv(&file));
    let after = cells(&export(app).await);
    assert_eq!(after.len(), old.len(), "seed {seed}");
    let header = &new[0];
    for ((after, old), new) in after.iter().zip(&old).zip(&new).skip(1) {
        for (at, name) in header.iter().enumerate() {
            let hides = new[at] == "false" && old[at] == "true";
            let expected = match name.as_str() {
                // Both describe the same state. Without the status, `Published` can only hide a
                // product.
                "Published" | "Status" if removed.contains("Status") => {
                    let published = file[0].iter().any(|name| name == "Published");
                    if published
                        && (hides || (name == "Status" && old[at] == "active" && new[at] != "active"))
                    {
                        if name == "Status" { "draft" } else { "false" }
                    } else {
                        old[at].as_str()
                    }
                }
                "Published" => new[at].as_str(),
                name if removed.contains(name) => old[at].as_str(),
                _ => new[at].as_str(),
            };
            assert_eq!(after[at], expected, "seed {seed}, {name}\n{}", to_csv(&file));
        }
    }
    assert_eq!(run(app, to_csv(&file), true).await.0.unwrap().unchanged, count, "seed {seed}");
}
