//! Images and videos of products: uploaded or fetched from a URL, processed, and served with
//! unlimited caching.

mod images;
mod rejected_uploads;
mod sizes;
mod sources;
mod videos;

use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, request};

const CREATE: &str = "mutation($product: ID!, $media: [ProductMediaCreateInput!]!, $key: String) {
    productMediaCreate(productId: $product, media: $media, idempotencyKey: $key) {
        media { id alt mediaContentType status mediaErrors { message } previewImage { url } }
        jobIds userErrors { field message code }
    }
}";

const MEDIA: &str = "query($id: ID!) {
    product(id: $id) {
        images(first: 10) { nodes { id url altText width height } }
        media(first: 10) {
            nodes {
                __typename id alt mediaContentType status
                mediaErrors { message } mediaWarnings { message }
                previewImage { url width height }
                ... on MediaImage { image { url width height } }
                ... on Video { sources { url format mimeType width height } }
            }
        }
    }
}";

/// Uploads files, given by name and content, as media of a product.
async fn upload(client: &Client, product: &str, files: &[(&str, &[u8])]) -> Reply {
    let media: Vec<Value> = files.iter().map(|(name, _)| json!({ "file": null, "alt": name })).collect();
    let paths: Vec<String> = (0..files.len()).map(|at| format!("variables.media.{at}.file")).collect();
    let files: Vec<(&str, &str, &[u8])> =
        paths.iter().zip(files).map(|(path, (name, content))| (path.as_str(), *name, *content)).collect();
    client.upload(CREATE, json!({ "product": product, "media": media }), &files).await
}

/// Adds the images at some URLs to a product.
async fn add_urls(client: &Client, product: &str, urls: &[String]) -> Reply {
    let media: Vec<Value> = urls.iter().map(|url| json!({ "originalSource": url })).collect();
    client.ask_with(CREATE, json!({ "product": product, "media": media })).await
}

/// The media of a product, as the client sees them.
async fn media_of(client: &Client, product: &str) -> Reply {
    client.ask_with(MEDIA, json!({ "id": product })).await.ok()
}

/// The URL of a product's first image with a transform.
async fn transformed_url(app: &TestApp, product: &str, transform: Value) -> String {
    let document = "query($id: ID!, $transform: ImageTransformInput) {
        product(id: $id) { featuredImage { url(transform: $transform) } }
    }";
    let variables = json!({ "id": product, "transform": transform });
    let reply = app.anonymous().ask_with(document, variables).await.ok();
    reply["product.featuredImage.url"].as_str().unwrap().to_owned()
}

/// The path of a URL on the app's server.
fn path_of<'a>(app: &TestApp, url: &'a str) -> &'a str {
    url.strip_prefix(&format!("http://{}", app.address))
        .unwrap_or_else(|| panic!("`{url}` is not on this server"))
}

/// Fetches a URL of the app's server.
async fn fetch(app: &TestApp, url: &str) -> crate::support::HttpResponse {
    app.send(request("GET", path_of(app, url)).body(String::new()).unwrap()).await
}

/// Fetches an image; returns its media type as well.
async fn fetch_image(app: &TestApp, url: &str) -> (String, image::DynamicImage) {
    let answer = fetch(app, url).await;
    assert_eq!(answer.status, 200, "{url}");
    let kind = answer.header("content-type").to_owned();
    let format = image::ImageFormat::from_mime_type(&kind).unwrap();
    (kind, image::load_from_memory_with_format(&answer.body, format).unwrap())
}

/// An image with enough detail to tell its sizes and parts apart.
#[expect(clippy::cast_possible_truncation, reason = "all are below 256")]
fn pattern(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, ((x / 16 + y / 16) % 2 * 200) as u8])
    })
}

fn encode(image: impl Into<image::DynamicImage>, format: image::ImageFormat) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    encode(pattern(width, height), image::ImageFormat::Jpeg)
}

/// A JPEG from a camera that was held sideways: its Exif data has an orientation and a location.
fn jpeg_with_exif(width: u32, height: u32) -> Vec<u8> {
    let plain = jpeg(width, height);
    let mut tiff = b"II*\0\x08\0\0\0\x03\0".to_vec();
    let mut entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        tiff.extend(tag.to_le_bytes());
        tiff.extend(kind.to_le_bytes());
        tiff.extend(count.to_le_bytes());
        tiff.extend(value);
    };
    // A description, the orientation, and a pointer to the location.
    entry(0x010E, 2, 13, 50_u32.to_le_bytes());
    entry(0x0112, 3, 1, 6_u32.to_le_bytes());
    entry(0x8825, 4, 1, 63_u32.to_le_bytes());
    tiff.extend([0; 4]);
    tiff.extend(b"SECRET-PLACE\0");
    // The location: the northern hemisphere.
    tiff.extend(b"\x01\0\x01\0\x02\0\x02\0\0\0N\0\0\0\0\0\0\0");
    let body = [b"Exif\0\0".as_slice(), &tiff].concat();
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&plain[..2], &[0xFF, 0xE1], &length, &body, &plain[2..]].concat()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
