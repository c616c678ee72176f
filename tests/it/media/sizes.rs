//! Images in the sizes that storefronts request, and animated images.

use image::AnimationDecoder;
use image::codecs::gif::{GifDecoder, GifEncoder};
use serde_json::json;

use super::{
    contains, encode, fetch, fetch_image, jpeg, jpeg_with_exif, media_of, path_of, pattern, transformed_url,
    upload,
};
use crate::support::{Database, TestApp, both, request};

/// Creates a product with one image, and returns its id and the image's URL.
async fn create_with_image(app: &TestApp, name: &str, file: &[u8]) -> (String, String) {
    let product = app.create_product(json!({ "title": "Mug" })).await;
    upload(&app.admin(), &product, &[(name, file)]).await.assert_ok();
    app.work().await;
    let seen = media_of(&app.anonymous(), &product).await;
    let url = seen["product.images.nodes.0.url"].as_str().unwrap().to_owned();
    (product, url)
}

/// The size of the image at a URL.
async fn size_at(app: &TestApp, url: &str) -> (u32, u32) {
    let (_, image) = fetch_image(app, url).await;
    (image.width(), image.height())
}

both!(requests_get_the_next_larger_size);
async fn requests_get_the_next_larger_size(app: TestApp) {
    let (_, url) = create_with_image(&app, "mug.jpg", &jpeg(1200, 800)).await;
    for (query, expected) in [
        ("width=100", (160, 107)),
        ("width=320", (320, 213)),
        ("width=400", (480, 320)),
        ("width=400&v=17", (480, 320)),
        ("height=320", (480, 320)),
        ("width=300&height=2000", (320, 213)),
        ("width=1000", (1200, 800)),
        ("width=3000", (1200, 800)),
        ("width=99999999", (1200, 800)),
        ("width=abc", (1200, 800)),
        ("width=0", (1200, 800)),
        ("width=-5&height=&crop=nowhere&format=exe", (1200, 800)),
        ("%00&&=&width", (1200, 800)),
    ] {
        assert_eq!(size_at(&app, &format!("{url}?{query}")).await, expected, "{query}");
    }
    let (kind, image) = fetch_image(&app, &format!("{url}?width=400&format=webp")).await;
    assert_eq!((kind.as_str(), image.width()), ("image/webp", 480));

    let path = format!("{}?width=400", path_of(&app, &url));
    let small = fetch(&app, &format!("{url}?width=400")).await;
    assert_eq!(small.header("cache-control"), "public, max-age=31536000, immutable");
    assert_ne!(small.header("etag"), fetch(&app, &url).await.header("etag"));
    let known = request("GET", &path).header("if-none-match", small.header("etag"));
    assert_eq!(app.send(known.body(String::new()).unwrap()).await.status, 304);
    let nothing = format!("/media/{}/1x1.jpg?width=5&height=5&crop=top", "0".repeat(64));
    assert_eq!(app.send(request("GET", &nothing).body(String::new()).unwrap()).await.status, 404);
}

both!(images_are_cropped_to_the_requested_shape);
async fn images_are_cropped_to_the_requested_shape(app: TestApp) {
    let (product, url) = create_with_image(&app, "mug.jpg", &jpeg(1200, 800)).await;
    for (query, expected) in [
        ("width=400&height=400&crop=center", (480, 480)),
        ("width=400&height=500&crop=center", (480, 600)),
        ("width=160&height=40&crop=top", (160, 40)),
        // Images are not enlarged, but keep the requested shape.
        ("width=5000&height=5000&crop=center", (800, 800)),
        ("width=99999999&height=1&crop=bottom", (1200, 1)),
        ("width=400&crop=center", (480, 320)),
    ] {
        assert_eq!(size_at(&app, &format!("{url}?{query}")).await, expected, "{query}");
    }
    // The pattern gets redder from left to right.
    let red = async |crop: &str, x: u32| {
        let (_, image) = fetch_image(&app, &format!("{url}?width=160&height=160&crop={crop}")).await;
        image.into_rgb8().get_pixel(x, 80).0[0]
    };
    assert!(red("left", 4).await < 30 && red("left", 155).await < 190);
    assert!(red("right", 4).await > 60 && red("right", 155).await > 220);

    let first = fetch(&app, &format!("{url}?width=400&height=400&crop=center")).await;
    let again = fetch(&app, &format!("{url}?width=400&height=400&crop=center")).await;
    assert_eq!((first.body.len(), first.header("etag")), (again.body.len(), again.header("etag")));
    assert_eq!(first.header("cache-control"), "public, max-age=31536000, immutable");

    let transform = json!({ "maxWidth": 320, "maxHeight": 320, "scale": 2, "crop": "CENTER" });
    let square = transformed_url(&app, &product, transform).await;
    assert_eq!(size_at(&app, &square).await, (640, 640));
    let transform =
        json!({ "maxWidth": 160, "maxHeight": 80, "crop": "LEFT", "preferredContentType": "WEBP" });
    let (kind, image) = fetch_image(&app, &transformed_url(&app, &product, transform).await).await;
    assert_eq!((kind.as_str(), image.width(), image.height()), ("image/webp", 160, 80));
}

both!(resized_photos_are_upright);
async fn resized_photos_are_upright(app: TestApp) {
    let (_, url) = create_with_image(&app, "mug.jpg", &jpeg_with_exif(1200, 800)).await;
    for (query, expected) in [("width=300", (320, 480)), ("width=320&height=160&crop=top", (320, 160))] {
        let url = format!("{url}?{query}");
        assert_eq!(size_at(&app, &url).await, expected, "{query}");
        assert!(!contains(&fetch(&app, &url).await.body, b"Exif"), "{query}");
    }
}

both!(requests_for_many_crops_at_once_all_get_an_image);
async fn requests_for_many_crops_at_once_all_get_an_image(app: TestApp) {
    let (_, url) = create_with_image(&app, "mug.jpg", &jpeg(1200, 800)).await;
    let urls: Vec<String> =
        (1..=60).map(|height| format!("{url}?width=1600&height={}&crop=center", height * 10)).collect();
    let answers = futures_util::future::join_all(urls.iter().map(|url| fetch(&app, url))).await;
    for (url, answer) in urls.iter().zip(answers) {
        assert_eq!(answer.status, 200, "{url}");
        let image = image::load_from_memory(&answer.body).unwrap();
        let is_cropped = answer.header("cache-control").contains("immutable");
        // If too many crops are in progress, the whole image is served, and cached briefly.
        assert!(is_cropped || (image.width(), image.height()) == (1200, 800), "{url}");
    }
}

both!(a_wrong_file_extension_does_not_affect_other_requests);
async fn a_wrong_file_extension_does_not_affect_other_requests(app: TestApp) {
    let (_, url) = create_with_image(&app, "mug.jpg", &jpeg(1200, 800)).await;
    let query = "width=160&height=160&crop=center";
    let (kind, _) = fetch_image(&app, &format!("{}?{query}", url.replace(".jpg", ".webp"))).await;
    assert_eq!(kind, "image/webp");
    assert_eq!(fetch_image(&app, &format!("{url}?{query}")).await.0, "image/jpeg");
}

/// The `Cache-Control` header of a URL.
async fn cache_control(app: &TestApp, url: &str) -> String {
    let answer = fetch(app, url).await;
    assert_eq!(answer.status, 200, "{url}");
    answer.header("cache-control").to_owned()
}

const FOREVER: &str = "public, max-age=31536000, immutable";

both!(only_new_crops_cost_points);
async fn only_new_crops_cost_points(database: Database) {
    // Enough points for two crops.
    let app = TestApp::with(database, &[("RATE_LIMIT_ANONYMOUS", "120000/1")]).await;
    let (_, url) = create_with_image(&app, "mug.jpg", &jpeg(1200, 800)).await;
    let crop = |height: u32| format!("{url}?width=160&height={height}&crop=center");
    for height in [100, 120, 100, 120, 100] {
        assert_eq!(cache_control(&app, &crop(height)).await, FOREVER, "{height}");
    }
    assert_eq!(cache_control(&app, &crop(140)).await, "public, max-age=10");
    assert_eq!(cache_control(&app, &crop(120)).await, FOREVER);
    assert_eq!(cache_control(&app, &format!("{url}?width=160")).await, FOREVER);
}

/// An animated WebP with two frames.
fn animated_webp() -> Vec<u8> {
    let chunk = |name: &[u8], content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap().to_le_bytes();
        let padding = vec![0; content.len() % 2];
        [name, &length, content, &padding].concat()
    };
    let image = encode(pattern(40, 30), image::ImageFormat::WebP);
    // At the upper left, 40 by 30 pixels, for a tenth of a second.
    let placement = [0_u8, 0, 0, 0, 0, 0, 39, 0, 0, 29, 0, 0, 100, 0, 0, 0];
    let frame = chunk(b"ANMF", &[placement.as_slice(), &image[12..]].concat());
    let head = chunk(b"VP8X", &[2, 0, 0, 0, 39, 0, 0, 29, 0, 0]);
    let body = [b"WEBP".to_vec(), head, chunk(b"ANIM", &[0; 6]), frame.clone(), frame].concat();
    chunk(b"RIFF", &body)
}

both!(animations_are_detected_once);
async fn animations_are_detected_once(database: Database) {
    // Enough points for one crop.
    let app = TestApp::with(database, &[("RATE_LIMIT_ANONYMOUS", "60000/1")]).await;
    let (_, url) = create_with_image(&app, "mug.webp", &animated_webp()).await;
    assert!(url.ends_with("/40x30.webp"), "{url}");
    for height in [100, 120, 140] {
        let part = format!("{url}?width=160&height={height}&crop=center");
        assert_eq!(cache_control(&app, &part).await, FOREVER, "{height}");
    }
}

/// An animated GIF with two frames and a comment.
fn animated_gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.set_repeat(image::codecs::gif::Repeat::Infinite).unwrap();
    for shade in [20_u8, 220] {
        let frame = image::RgbaImage::from_pixel(400, 300, image::Rgba([shade, shade, 60, 255]));
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
    drop(encoder);
    let end = bytes.pop().unwrap();
    bytes.extend(b"\x21\xFE\x0CSECRET-PLACE\0");
    bytes.push(end);
    bytes
}

both!(animated_images_are_served_unchanged_with_a_warning);
async fn animated_images_are_served_unchanged_with_a_warning(app: TestApp) {
    let (product, url) = create_with_image(&app, "mug.gif", &animated_gif()).await;
    assert!(url.ends_with("/400x300.gif"), "{url}");
    let staff = media_of(&app.admin(), &product).await;
    let medium = &staff["product.media.nodes.0"];
    assert_eq!((&medium["status"], &medium["mediaErrors"]), (&json!("READY"), &json!([])));
    let warning = medium["mediaWarnings"][0]["message"].as_str().unwrap();
    assert!(warning.contains("animated"), "{warning}");

    let original = fetch(&app, &url).await;
    assert_eq!(original.header("content-type"), "image/gif");
    assert!(!contains(&original.body, b"SECRET-PLACE"));
    let frames = GifDecoder::new(std::io::Cursor::new(&original.body[..])).unwrap().into_frames();
    assert_eq!(frames.collect_frames().unwrap().len(), 2);

    for query in ["width=160", "width=100&height=100&crop=center", "width=160&format=webp"] {
        let answer = fetch(&app, &format!("{url}?{query}")).await;
        assert_eq!((answer.header("content-type"), &answer.body), ("image/gif", &original.body), "{query}");
    }
    let transform =
        json!({ "maxWidth": 160, "maxHeight": 160, "crop": "TOP", "preferredContentType": "WEBP" });
    assert_eq!(transformed_url(&app, &product, transform).await, url);
}

both!(a_gif_with_one_frame_is_not_treated_as_an_animation);
async fn a_gif_with_one_frame_is_not_treated_as_an_animation(app: TestApp) {
    let mut still = Vec::new();
    let frame = image::RgbaImage::from_pixel(200, 100, image::Rgba([200, 20, 20, 255]));
    GifEncoder::new(&mut still).encode_frame(image::Frame::new(frame)).unwrap();
    let (product, url) = create_with_image(&app, "mug.gif", &still).await;
    assert!(url.ends_with(".png"), "{url}");
    assert_eq!(media_of(&app.admin(), &product).await["product.media.nodes.0.mediaWarnings"], json!([]));
    assert_eq!(size_at(&app, &format!("{url}?width=100")).await, (160, 80));
}
