//! Tests which files the reader accepts, the messages with which it rejects others, and that
//! products that are written and read again are unchanged.

mod random;

use super::*;
use crate::domain::catalog::handles;
use crate::domain::money::Currency;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/online-retail-sample.csv");

const CLASSIC_HEADER: &str = concat!(
    "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,",
    "Option3 Name,Option3 Value,Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,",
    "Variant Inventory Policy,Variant Fulfillment Service,Variant Price,Variant Compare At Price,",
    "Variant Requires Shipping,Variant Taxable,Variant Barcode,Image Src,Image Position,Image Alt Text,Gift Card,",
    "SEO Title,SEO Description,Variant Image,Variant Weight Unit,Status\n",
);

type ProductResult = Result<ProductRecord, Vec<RowError>>;

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

/// Reads a file as new products.
fn products(reader: ProductReader<impl std::io::Read>) -> Vec<ProductResult> {
    reader.map(|outcome| outcome.map(|rows| rows.product)).collect()
}

fn read(file: impl AsRef<[u8]>) -> Vec<ProductResult> {
    products(ProductReader::new(file.as_ref(), usd()).unwrap())
}

/// The notes on adjusted values, as printed.
fn notes(file: impl AsRef<[u8]>) -> Vec<String> {
    let reader = ProductReader::new(file.as_ref(), usd()).unwrap();
    reader.filter_map(Result::ok).flat_map(|rows| rows.notes).map(|note| note.to_string()).collect()
}

fn read_ok(file: impl AsRef<[u8]>) -> Vec<ProductRecord> {
    read(file).into_iter().collect::<Result<_, _>>().unwrap()
}

fn read_one(file: impl AsRef<[u8]>) -> ProductRecord {
    let mut products = read_ok(file);
    assert_eq!(products.len(), 1);
    products.remove(0)
}

/// All problems of a file, as displayed.
fn problems(file: impl AsRef<[u8]>) -> Vec<String> {
    read(file).into_iter().filter_map(Result::err).flatten().map(|error| error.to_string()).collect()
}

/// Each product's handle, or the lines of its problems.
fn summary(rows: impl AsRef<[u8]>) -> Vec<Result<String, Vec<u64>>> {
    let header = b"Handle,Title,Option1 Name,Option1 Value,Variant Price\n";
    let lines = |errors: Vec<RowError>| errors.iter().map(|error| error.line).collect();
    let outcomes = read([header, rows.as_ref()].concat()).into_iter();
    outcomes.map(|outcome| outcome.map(|product| product.handle).map_err(lines)).collect()
}

fn file_error(file: impl AsRef<[u8]>) -> FileError {
    ProductReader::new(file.as_ref(), usd()).err().unwrap()
}

/// A file with one product and one variant, with some cells of its row replaced.
fn classic(cells: &[(&str, &str)]) -> String {
    let mut row = vec![("Handle", "mug"), ("Title", "Mug"), ("Variant Price", "12.50")];
    for &(name, text) in cells {
        row.retain(|(known, _)| *known != name);
        row.push((name, text));
    }
    let line = |cell: fn(&(&str, &str)) -> String| row.iter().map(cell).collect::<Vec<_>>().join(",");
    format!("{}\n{}\n", line(|(name, _)| (*name).to_owned()), line(|(_, text)| format!("\"{text}\"")))
}

/// The only problem of a file made by [`classic`], without its line.
fn only_problem(cells: &[(&str, &str)]) -> String {
    let problems = problems(classic(cells));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].strip_prefix("line 2: ").unwrap().to_owned()
}

fn write(products: &[ProductRecord]) -> Vec<u8> {
    let mut writer = ProductWriter::new(Vec::new(), usd()).unwrap();
    for product in products {
        writer.write(product).unwrap();
    }
    writer.finish().unwrap()
}

fn without_lines(products: &[ProductRecord]) -> Vec<ProductRecord> {
    let mut products = products.to_vec();
    for product in &mut products {
        product.line = 0;
        product.variants.iter_mut().for_each(|variant| variant.line = 0);
    }
    products
}

#[test]
fn a_real_file_is_read_without_problems_and_round_trips() {
    let file = std::fs::read(SAMPLE).unwrap();
    let products = read_ok(&file);
    assert_eq!(
        (products.len(), products.iter().map(|product| product.variants.len()).sum::<usize>()),
        (30, 44)
    );
    let plain = &products[1];
    assert_eq!((plain.handle.as_str(), plain.title.as_str()), ("doggy-rubber-10120", "Doggy Rubber"));
    assert_eq!(plain.tags, ["doggy", "rubber"]);
    assert_eq!((plain.options.len(), plain.variants.len()), (0, 1));
    assert_eq!((plain.variants[0].price, plain.variants[0].weight_grams), (Some(21), 344));
    assert_eq!((plain.variants[0].quantity, plain.variants[0].inventory_tracked), (Some(40), true));

    let tape = &products[3];
    assert_eq!((tape.line, tape.variants[0].line, tape.variants[1].line), (5, 5, 6));
    assert_eq!(tape.options[0].name, "Style");
    let values = ["Spots On Red Bookcover Tape (10124A)", "Army Camo Bookcover Tape (10124G)"];
    assert_eq!(tape.options[0].values, values);
    assert_eq!(tape.variants[1].option_values, values[1..]);

    assert_eq!(without_lines(&read_ok(write(&products))), without_lines(&products));
}

/// A product with values for all columns of the classic header.
const CLASSIC_ROWS: &str = concat!(
    "mug,Mug,\"<p>Two\nlines</p>\",Ada,Cups,\"blue, Red,, BLUE ,new\",TRUE,Colour,Red,Size,S,,,M-R,350,shopify,7,",
    "continue,manual,12.50,15,FALSE,TRUE,0123,https://cdn.example/b.jpg,2,Back,FALSE,Mug!,A mug,",
    "https://cdn.example/r.jpg,kg,archived\n",
    "mug,,,,,,,,Blue,,S,,,,0.6,,-2,deny,manual,0,,,,,/a.jpg,1,,,,,,,\n",
    "mug,,,,,,,,,,,,,,,,,,,,,,,,HTTPS://cdn.example/c.jpg,,,,,,,,\n",
    "mug,,,,,,,,,,,,,,,,,,,,,,,,/a.jpg,3,,,,,,,\n",
);

#[test]
fn all_columns_of_the_classic_header_are_read() {
    assert_eq!(read_one([CLASSIC_HEADER, CLASSIC_ROWS].concat()), classic_mug());
}

/// The product in [`CLASSIC_ROWS`].
fn classic_mug() -> ProductRecord {
    let image = |url: &str, alt: Option<&str>| ImageRecord { url: url.into(), alt_text: alt.map(Into::into) };
    let option = |name: &str, values: &[&str]| OptionRecord {
        name: name.into(),
        values: values.iter().map(|value| (*value).into()).collect(),
    };
    let red = VariantRecord {
        line: 2,
        option_values: vec!["Red".into(), "S".into()],
        sku: Some("M-R".into()),
        barcode: Some("0123".into()),
        price: Some(1250),
        compare_at_price: Some(1500),
        weight_grams: 350,
        weight_unit: WeightUnit::Kilograms,
        taxable: true,
        requires_shipping: false,
        inventory_tracked: true,
        inventory_policy: InventoryPolicy::Continue,
        quantity: Some(7),
        image_url: Some("https://cdn.example/r.jpg".into()),
    };
    let blue = VariantRecord {
        line: 4,
        option_values: vec!["Blue".into(), "S".into()],
        sku: None,
        barcode: None,
        price: Some(0),
        compare_at_price: None,
        weight_grams: 1,
        weight_unit: WeightUnit::Grams,
        requires_shipping: true,
        inventory_tracked: false,
        inventory_policy: InventoryPolicy::Deny,
        quantity: Some(0),
        image_url: None,
        ..red.clone()
    };
    ProductRecord {
        line: 2,
        handle: "mug".into(),
        title: "Mug".into(),
        body_html: "<p>Two\nlines</p>".into(),
        vendor: "Ada".into(),
        product_type: "Cups".into(),
        tags: vec!["blue".into(), "Red".into(), "new".into()],
        status: ProductStatus::Archived,
        is_gift_card: false,
        seo_title: Some("Mug!".into()),
        seo_description: Some("A mug".into()),
        options: vec![option("Colour", &["Red", "Blue"]), option("Size", &["S"])],
        variants: vec![red, blue],
        images: vec![
            image("/a.jpg", None),
            image("https://cdn.example/b.jpg", Some("Back")),
            image("HTTPS://cdn.example/c.jpg", None),
        ],
    }
}

#[test]
fn the_new_header_is_read() {
    let file = concat!(
        "Title,URL handle,Description,Vendor,Product category,Type,Tags,Published on online store,Status,SKU,Barcode,",
        "Option1 name,Option1 value,Option1 Linked To,Price,Compare-at price,Cost per item,Charge tax,",
        "Inventory tracker,Inventory quantity,Continue selling when out of stock,Weight value (grams),",
        "Weight unit for display,Requires shipping,Fulfillment service,Product image URL,Image position,",
        "Image alt text,Variant image URL,Gift card,SEO title,SEO description\n",
        "Crème brûlée!,,<b>x</b>,Ada,Food,Dessert,sweet,TRUE,Active,CB,1,Size,S,,3,4,1,FALSE,shopify,5,DENY,220,g,",
        "TRUE,manual,https://x.example/1.png,1,One,,FALSE,T,D\n",
        "Soup,soup,,,,,,TRUE,Active,,,Size,S,,2,,,TRUE,shopify,1,CONTINUE,1,oz,TRUE,manual,,,,,,,\n",
        ",soup,,,,,,,,,,,L,,2.5,,,TRUE,shopify,1,TRUE,1,lb,TRUE,manual,,,,/v.png,,,\n",
    );
    let mut reader = ProductReader::new(file.as_bytes(), usd()).unwrap();
    assert_eq!(reader.ignored_columns(), ["Product category", "Option1 Linked To", "Cost per item"]);
    let dessert = reader.next().unwrap().unwrap().product;
    assert_eq!(Some(dessert.handle), handles::from_title("Crème brûlée!"));
    assert_eq!((dessert.body_html.as_str(), dessert.product_type.as_str()), ("<b>x</b>", "Dessert"));
    assert_eq!((dessert.seo_title.as_deref(), dessert.seo_description.as_deref()), (Some("T"), Some("D")));
    let variant = &dessert.variants[0];
    assert_eq!((variant.price, variant.compare_at_price, variant.taxable), (Some(300), Some(400), false));
    assert_eq!((variant.weight_grams, variant.quantity), (220, Some(5)));
    assert_eq!((variant.sku.as_deref(), variant.barcode.as_deref()), (Some("CB"), Some("1")));

    let soup = reader.next().unwrap().unwrap().product;
    assert_eq!(soup.variants.len(), 2);
    assert!(soup.variants.iter().all(|variant| variant.inventory_policy == InventoryPolicy::Continue));
    assert_eq!(soup.variants[1].image_url.as_deref(), Some("/v.png"));
    assert!(reader.next().is_none());

    assert_eq!(Some(read_one("Title,Price\nA mug,1\n").handle), handles::from_title("A mug"));
}

#[test]
fn the_status_follows_from_both_columns() {
    let status = |published: &str, status: &str| {
        read_one(classic(&[("Published", published), ("Status", status)])).status
    };
    assert_eq!(status("TRUE", ""), ProductStatus::Active);
    assert_eq!(status("false", ""), ProductStatus::Draft);
    assert_eq!(status("", ""), ProductStatus::Active);
    assert_eq!(status("false", "Active"), ProductStatus::Draft);
    assert_eq!(status("true", "DRAFT"), ProductStatus::Draft);
    assert_eq!(status("false", "archived"), ProductStatus::Archived);
    assert_eq!(read_one(classic(&[])).status, ProductStatus::Active);
}

#[test]
fn a_product_without_options_has_one_plain_variant() {
    for cells in [
        [("Option1 Name", "Title"), ("Option1 Value", "Default Title")],
        [("Option1 Name", "title"), ("Option1 Value", "default title")],
        [("Option1 Name", ""), ("Option1 Value", "")],
    ] {
        let product = read_one(classic(&cells));
        assert!(product.options.is_empty());
        assert!(product.variants[0].option_values.is_empty());
    }
    let titled = read_one(classic(&[("Option1 Name", "Title"), ("Option1 Value", "Dr")]));
    assert_eq!(titled.options, [OptionRecord { name: "Title".into(), values: vec!["Dr".into()] }]);
}

#[test]
fn invalid_cells_are_named() {
    for (cells, expected) in [
        (("Variant Price", "abc"), "Variant Price: `abc` is not an amount"),
        (("Variant Price", "1.999"), "Variant Price: `1.999` has more than the 2 decimals of USD"),
        (("Variant Price", "-1"), "Variant Price `-1` is negative"),
        (("Variant Price", "1,234.50"), "without thousands separators, such as 1234.50"),
        (("Variant Price", "£3.00"), "Variant Price `£3.00` is not a plain amount: write the number alone"),
        (("Variant Price", "3 EUR"), "without a currency"),
        (("Variant Compare At Price", "x"), "Variant Compare At Price: `x` is not an amount"),
        (("Variant Inventory Qty", "1.5"), "Variant Inventory Qty `1.5` is not a quantity"),
        (("Variant Inventory Qty", "4006381333931"), "is not a quantity"),
        (("Variant Grams", "-5"), "Variant Grams `-5` is not a number of grams from 0"),
        (("Variant Weight Unit", "stone"), "Variant Weight Unit `stone` is none of g, kg, oz and lb"),
        (("Variant Inventory Policy", "maybe"), "`maybe` is neither deny nor continue"),
        (("Variant Taxable", "perhaps"), "Variant Taxable `perhaps` is neither TRUE nor FALSE"),
        (("Published", "x"), "Published `x` is neither TRUE nor FALSE"),
        (("Status", "sold"), "Status `sold` is none of active, draft, archived and unlisted"),
        (("Gift Card", "x"), "Gift Card `x` is neither TRUE nor FALSE"),
        (("Title", " "), "Title is empty: the first row of a product needs it"),
        (("Handle", ""), "Handle is empty: every row needs the handle"),
        (("Image Src", "mug.jpg"), "Image Src `mug.jpg` is not one image's address"),
        (("Image Src", "https://a/1.jpg, https://a/2.jpg"), "is not one image's address"),
        (("Variant Image", "ftp://a/1.jpg"), "Variant Image `ftp://a/1.jpg` is not one image's address"),
    ] {
        let problem = only_problem(&[cells]);
        assert!(problem.contains(expected), "{cells:?}: {problem}");
    }
    let option = |name, value| only_problem(&[("Option1 Name", name), ("Option1 Value", value)]);
    assert!(option("Size", "").contains("Option1 Value is empty: every variant needs a value for Size"));
    assert!(option("", "Red").contains("Option1 Name is empty, but the option is used"));
    assert!(
        only_problem(&[("Image Src", "/a.jpg"), ("Image Position", "first")]).contains("is not a position")
    );
}

#[test]
fn options_must_be_consistent() {
    const HEADER: &str =
        "Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant Price,Image Src\n";
    for (rows, expected) in [
        ("a,A,Size,S,,,1,\na,,,S,,,1,\n", "line 3: the variant `S` is already in line 2"),
        ("a,A,Size,S,,,1,\na,,,,,,1,\n", "line 3: Option1 Value is empty: every variant needs a value"),
        ("a,A,Size,S,,,1,\na,,,M,,Red,1,\n", "line 3: Option2 Value `Red` has no name: Option2 Name"),
        ("a,A,,,,,1,\na,,,,,,1,\n", "line 3: a product without options cannot have a second variant"),
        ("a,A,,,,,1,\na,,,M,,,1,\n", "line 3: Option1 Value `M` has no name"),
        ("a,A,Size,S,size,M,1,\n", "line 2: Option2 Name `size` is the name of another option, too"),
        ("a,A,,,Size,M,1,\n", "line 2: Option1 Name is empty, but the option is used"),
        ("a,A,Size,S,,,1,\na,,Colour,M,,,1,\n", "line 3: Option1 Name `Colour` differs from that of"),
        ("a,A,Size,S,,,1,\na,B,,M,,,1,\n", "line 3: Title `B` differs from that of the same product"),
        ("a,A,Size,S,,,1,\na,,,,,,,\na,,,L,,,1,\n", "line 3: the row has no variant and no image"),
        ("a,A,Size,S,,,1,\na,,Size,,,,,\n", "line 3: the row has no variant and no image"),
    ] {
        let problems = problems(format!("{HEADER}{rows}"));
        assert_eq!(problems.len(), 1, "{rows:?}: {problems:?}");
        assert!(problems[0].starts_with(expected), "{rows:?}: {problems:?}");
    }
    // Repeating the product's columns in every row is not an error.
    let product = read_one(format!("{HEADER}a,A,Size,S,,,1,/1.jpg\na,A,Size,M,,,1,/1.jpg\n"));
    assert_eq!((product.variants.len(), product.images.len()), (2, 1));
}

#[test]
fn an_invalid_row_rejects_only_its_own_product() {
    let outcomes = summary("a,A,Size,S,1\nb,B,Size,S,x\nb,,,M,1\nb,,,M,y\nc,C,Size,S,1\n");
    assert_eq!(outcomes, [Ok("a".into()), Err(vec![3, 5, 5]), Ok("c".into())]);
}

#[test]
fn an_unreadable_row_rejects_its_product() {
    // With the product's handle, between its other rows and after them.
    assert_eq!(summary("a,A,Size,S,1\na,,,M\na,,,L,1\nb,B,,,1\n"), [Err(vec![3]), Ok("b".into())]);
    assert_eq!(summary(b"a,A,Size,S,1\na,,,M\xE9,1\n"), [Err(vec![3])]);
    // Without a handle and a title, it belongs to the previous product.
    assert_eq!(summary("a,A,Size,S,1\n,,,M,1\nb,B,,,1\n"), [Err(vec![3]), Ok("b".into())]);
    // Unrelated text between the rows of a product.
    assert_eq!(summary("a,A,Size,S,1\n</p>,x\n,X,,,1\na,,,M,1\n"), [Err(vec![3, 4])]);
    // The first row of the next product.
    let expected = [Ok("a".into()), Err(vec![3]), Ok("c".into())];
    assert_eq!(summary("a,A,Size,S,1\nb,B,Size\nb,,,M,1\nc,C,,,1\n"), expected);
    // Products of one row each, and one without a handle.
    let expected = [Ok("a".into()), Err(vec![3]), Err(vec![4]), Err(vec![5]), Ok("e".into())];
    assert_eq!(summary("a,A,,,1\nb,B\nc,C\n,D,,,1\ne,E,,,1\n"), expected);
}

#[test]
fn errors_of_unreadable_rows_give_the_reason() {
    let row = |bytes: &[u8]| problems([b"Handle,Title,Variant Price\n", bytes].concat()).join("; ");
    assert!(row(b"a,A\n").starts_with("line 2: the row has 2 cells, but the header has 3; "));
    assert!(row(b"a,A,1,x\n").starts_with("line 2: the row has 4 cells"));
    assert_eq!(row(b"a,A,1,, ,\n"), "", "blank cells after the last column are ignored");
    assert_eq!(row(b"a,Caf\xE9,1\n"), "line 2: `Caf\u{FFFD}` is not UTF-8 text; save the file as UTF-8");
    assert_eq!(row(b"a,A\0B,1\n"), "line 2: the row has binary data (a NUL byte) in it");
    let unclosed = "line 3: the quotation mark that opens Title in line 3 is never closed, so everything from there to the end \
        of the file (line 5) was read as this one cell";
    assert!(row(b"a,A,1\nb,\"B,1\nc,C,1\nd,D,1").starts_with(unclosed));
    let swallowed = row(b"a,\"A,1\nb,B,1\nc,C\",1,2,3\n");
    assert!(swallowed.contains("the row goes on to line 4"), "{swallowed}");
}

#[test]
fn repeated_handles_are_errors_that_name_the_first_line() {
    let rows = "a,A,Size,S,1\nb,B,Size,S,1\na,,,M,1\na,,,L,1\n";
    assert_eq!(summary(rows), [Ok("a".into()), Ok("b".into()), Err(vec![4])]);
    let problems = problems("Handle,Title,Variant Price\na,A,1\nb,B,1\na,A,1\n");
    assert!(problems[0].starts_with("line 4: the handle `a` is already that of the product in line 2"));
}

#[test]
fn line_numbers_are_those_of_a_text_editor() {
    for end in ["\n", "\r\n"] {
        let lines = [
            "\u{FEFF}Handle,Title,Body (HTML),Variant Price,Variant SKU",
            "a,A,\"one\ntwo\r\nthree\",1,x",
            "",
            ",,,,",
            "",
            "b,B,,1,\"y\"",
            "c,C,,bad,",
            "  ",
            "d,D,,bad,",
        ];
        let file = lines.join(end);
        for file in [file.clone(), file + end] {
            let outcomes = read(file);
            let found: Vec<u64> = outcomes
                .iter()
                .map(|outcome| outcome.as_ref().map_or_else(|errors| errors[0].line, |product| product.line))
                .collect();
            assert_eq!(found, [2, 8, 9, 11]);
            assert_eq!(outcomes[0].as_ref().unwrap().body_html, "one\ntwo\r\nthree");
            assert_eq!(outcomes[1].as_ref().unwrap().variants[0].sku.as_deref(), Some("y"));
        }
    }
}

#[test]
fn columns_may_have_any_order_case_and_delimiter() {
    let expected = without_lines(&[read_one("Handle,Title,Variant Price,Tags\nmug,Mug,12.50,\"a, b\"\n")]);
    for file in [
        "Tags,variant price, TITLE ,handle\n\"a, b\",12.50,Mug,mug\n",
        "\u{FEFF}\"Handle\";\"Title\";\"Variant Price\";\"Tags\"\r\nmug;Mug;12.50;a, b\r\n",
        "Handle\tTitle\tVariant Price\tTags\nmug\tMug\t12.50\ta, b",
        "\r\n\nHandle,Title,Variant Price,Tags,,\nmug,Mug,12.50,\"a, b\",,\n",
    ] {
        assert_eq!(without_lines(&[read_one(file)]), expected, "{file:?}");
    }
    assert!(problems("Handle;Title;Variant Price\nmug;Mug;12,50\n")[0].contains("has a comma"));
}

#[test]
fn files_other_than_product_csvs_are_rejected_with_the_reason() {
    for (file, expected) in [
        (&b""[..], "the file is empty"),
        (b"\xEF\xBB\xBF", "the file is empty"),
        (b" \r\n\n", "the file is empty"),
        (b"PK\x03\x04\x14\0\x06\0", "not a CSV file but an Excel workbook"),
        (b"\xD0\xCF\x11\xE0\xA1\xB1", "an old Excel workbook"),
        (b"Handle\0Title\n", "binary data"),
        (b"\n <!doctype html>\n<html>", "a web page"),
        (b"\xFF\xFEH\0a\0n\0", "UTF-16"),
        (b"\xFE\xFF\0H\0a", "UTF-16"),
        (b"Handle,Title,Variant Price,Gr\xF6\xDFe\n", "the header is not in UTF-8"),
        (b"Handle,Title\ra,A\r", "old Macintosh"),
        (b"Name,Email\nx,y\n", "expected columns such as Handle, Title, Body (HTML), Vendor or Title, URL"),
        (b"Name,Email\nx,y\n", "found Name, Email"),
        (b"{\"products\": []}\n", "not the header of a Shopify product CSV"),
        (b"Handle,\"Title,Vendor\na,A,B\n", "a quotation mark in the first line is never closed"),
        (b"Title,Variant Price\n", "the column `Handle` is missing"),
        (b"Handle,Title,Title,Variant Price\n", "has the column `Title` twice"),
    ] {
        let shown = file_error(file).to_string();
        assert!(shown.contains(expected), "{:?}: {shown}", String::from_utf8_lossy(file));
    }
    assert!(matches!(file_error(vec![b'x'; 100_000]), FileError::NotCsv("one endless line")));
    assert!(read("Handle,Title,Variant Price\n").is_empty());
}

#[test]
fn the_size_of_rows_and_products_is_limited() {
    let unclosed = "Handle,Title,Variant Price\na,A,1\nb,\"B,1\n".to_owned() + &"c,C,1\n".repeat(1_000_000);
    let problems = problems(unclosed);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("line 3: the file cannot be read any further: the row is too long"));

    let rows: Vec<_> = (0..20_000).map(|number| format!("a,,,{number},1")).collect();
    assert_eq!(
        summary(format!("a,A,Size,S,1\n{}\nb,B,,,1\n", rows.join("\n"))),
        [Err(vec![5002]), Ok("b".into())]
    );
}

#[test]
fn interrupted_files_do_not_yield_partial_products() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the upload was interrupted"))
        }
    }
    let start = &b"Handle,Title,Variant Price\na,A,1\nb,B,1\n"[..];
    let input = std::io::Read::chain(start, Broken);
    let outcomes = products(ProductReader::new(input, usd()).unwrap());
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes[0].is_ok());
    let error = outcomes[1].as_ref().unwrap_err()[0].to_string();
    assert_eq!(error, "line 4: the file cannot be read any further: the upload was interrupted");
}

#[test]
fn accepts_and_reports_contents_of_real_exports() {
    for (cell, expected) in [
        (("Handle", "My Shirt"), "Handle `My Shirt` is imported as `my-shirt`"),
        (("Variant SKU", "'0012"), "Variant SKU `'0012` is imported as `0012`"),
        (("Variant Barcode", "=\"\"0012\"\""), "is imported as `0012`"),
        (("Variant Inventory Qty", "-3"), "Variant Inventory Qty `-3` is imported as 0"),
        (("Status", "Unlisted"), "Status `Unlisted` is imported as draft"),
        (("Image Src", "//cdn.example/a.jpg"), "is imported as `https://cdn.example/a.jpg`"),
        (("Variant Image", "//cdn.example/a.jpg"), "is imported as `https://cdn.example/a.jpg`"),
    ] {
        let notes = notes(classic(&[cell]));
        assert!(notes.len() == 1 && notes[0].starts_with("line 2: note: "), "{cell:?}: {notes:?}");
        assert!(notes[0].contains(expected), "{cell:?}: {notes:?}");
    }
    let product =
        read_one(classic(&[("Handle", "My Shirt"), ("Variant SKU", "'0012"), ("Status", "unlisted")]));
    assert_eq!((product.handle.as_str(), product.status), ("my-shirt", ProductStatus::Draft));
    assert_eq!(product.variants[0].sku.as_deref(), Some("0012"));
    assert_eq!(read_one(classic(&[("Variant Price", "=\"\"12.50\"\"")])).variants[0].price, Some(1250));
    assert!(notes(classic(&[("Variant SKU", "'t Hart"), ("Variant Inventory Qty", "12.0")])).is_empty());
    assert_eq!(read_one(classic(&[("Variant Price", "")])).variants[0].price, None);
}

#[test]
fn the_writer_uses_the_classic_header() {
    let mug = read_one(classic(&[("Published", "false"), ("Variant Inventory Tracker", "shopify")]));
    let file = String::from_utf8(write(&[mug])).unwrap();
    let row = "mug,Mug,,,,,false,Title,Default Title,,,,,,0,shopify,,deny,manual,12.50,,true,true,,,,,false,,,,g,draft\n";
    assert_eq!(file, [CLASSIC_HEADER, row].concat());
}

#[test]
fn decimals_of_prices_depend_on_the_currency() {
    let file = "Handle,Title,Variant Price\na,A,1200\nb,B,12.5\n";
    let reader = ProductReader::new(file.as_bytes(), Currency::parse("JPY").unwrap()).unwrap();
    let outcomes = products(reader);
    assert_eq!(outcomes[0].as_ref().unwrap().variants[0].price, Some(1200));
    assert!(outcomes[1].as_ref().unwrap_err()[0].reason.contains("more than the 0 decimals of JPY"));
}
