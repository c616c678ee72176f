//! Writes random products and reads them again, and reads randomly corrupted files.

use super::*;

/// A deterministic random number generator (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }

    /// Random text with characters that are special in CSV. With `trimmed`, it is not empty and has
    /// no spaces around it, for columns whose cells are trimmed.
    fn text(&mut self, trimmed: bool) -> String {
        const PIECES: [&str; 18] = [
            "a", "Z", "7", " ", ",", ";", "\t", "\"", "\"\"", "\n", "\r\n", "\r", "é", "日本", "🧦", "=1+1",
            "-", "<b>",
        ];
        let text: String = (0..=self.below(12)).map(|_| self.pick(&PIECES)).collect();
        match text.trim() {
            _ if !trimmed => text,
            "" => "x".to_owned(),
            text => text.to_owned(),
        }
    }

    fn maybe(&mut self) -> Option<String> {
        self.coin().then(|| self.text(true))
    }

    /// A random code, sometimes one that looks like a cell with a text marker.
    fn code(&mut self) -> Option<String> {
        let prefix = self.pick(&["", "", "'", "''", "='", "=\""]);
        self.maybe().map(|text| format!("{prefix}{text}7\""))
    }

    fn amount(&mut self) -> i64 {
        i64::try_from(self.below(10_u64.pow(9))).unwrap()
    }

    fn product(&mut self, number: usize) -> ProductRecord {
        let options = if self.coin() { 0 } else { 1 + self.below(3) };
        let count = if options == 0 { 1 } else { 1 + self.below(6) };
        let variants: Vec<_> = (0..count).map(|count| self.variant(options, count)).collect();
        let options = (0..usize::try_from(options).unwrap()).map(|index| OptionRecord {
            name: format!("{index}{}", self.text(true)),
            values: variants.iter().fold(Vec::new(), |mut values: Vec<String>, variant| {
                let value = &variant.option_values[index];
                if !values.contains(value) {
                    values.push(value.clone());
                }
                values
            }),
        });
        let options = options.collect();
        ProductRecord {
            line: 0,
            handle: format!("h{number}"),
            title: self.text(true),
            body_html: self.text(false),
            vendor: self.text(true),
            product_type: self.text(true),
            tags: (0..self.below(4))
                .map(|tag| format!("{tag}{}", self.text(true).replace(',', "")).trim().to_owned())
                .collect(),
            status: self.pick(ProductStatus::ALL),
            is_gift_card: self.below(8) == 0,
            seo_title: self.maybe(),
            seo_description: self.maybe(),
            options,
            images: (0..self.below(4))
                .map(|image| ImageRecord { url: format!("/{image}\",;.jpg"), alt_text: self.maybe() })
                .collect(),
            variants,
        }
    }

    fn variant(&mut self, options: u64, number: u64) -> VariantRecord {
        // The first value distinguishes the variants, the others repeat.
        let value = |random: &mut Self, option| match option {
            0 => format!("{number}{}", random.text(true)),
            _ => random.pick(&["S", "M,\"L\"", "日本"]).to_owned(),
        };
        VariantRecord {
            line: 0,
            option_values: (0..options).map(|option| value(self, option)).collect(),
            sku: self.code(),
            barcode: self.code(),
            price: self.coin().then(|| self.amount()),
            compare_at_price: self.coin().then(|| self.amount()),
            weight_grams: self.amount(),
            weight_unit: self.pick(WeightUnit::ALL),
            taxable: self.coin(),
            requires_shipping: self.coin(),
            inventory_tracked: self.coin(),
            inventory_policy: self.pick(InventoryPolicy::ALL),
            quantity: self.coin().then(|| self.amount()),
            image_url: self.coin().then(|| "https://cdn.example/é,.jpg".to_owned()),
        }
    }
}

#[test]
fn random_products_round_trip() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let products: Vec<_> = (0..8).map(|number| random.product(number)).collect();
        assert_eq!(without_lines(&read_ok(write(&products))), products, "seed {seed}");
    }
}

#[test]
fn corrupted_files_are_read_without_panics() {
    let sample = std::fs::read(SAMPLE).unwrap();
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut file = sample.clone();
        let rest = file.len() - sample.split_inclusive(|byte| *byte == b'\n').next().unwrap().len();
        for _ in 0..=random.below(40) {
            let index = sample.len() - 1 - usize::try_from(random.below(rest as u64)).unwrap();
            file[index] = random.pick(b"\",\n\r\0\xFFa-");
        }
        let lines = file.split(|byte| *byte == b'\n').count() as u64;
        for error in read(&file).into_iter().filter_map(Result::err).flatten() {
            assert!((2..=lines).contains(&error.line), "seed {seed}: {error}");
        }
    }
}
