//! Valid images: their sizes and formats, how they are served, and how media are edited.

use serde_json::json;

use super::{
    contains, encode, fetch, fetch_image, jpeg, jpeg_with_exif, media_of, path_of, transformed_url, upload,
};
use crate::support::{TestApp, both, request};

both!(photos_are_shown_upright_in_every_size_and_without_exif_data);
async fn photos_are_shown_upright_in_every_size_and_without_exif_data(app: TestApp) {
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let uploaded = upload(&app.admin(), &product, &[("mug.jpg", &jpeg_with_exif(1200, 800))]).await.ok();
    assert_eq!(uploaded["productMediaCreate.media.0.status"], "UPLOADED");
    assert_eq!(uploaded["productMediaCreate.media.0.mediaContentType"], "IMAGE");
    let (id, job) =
        (uploaded["productMediaCreate.media.0.id"].clone(), uploaded["productMediaCreate.jobIds.0"].clone());

    // Until it is ready, only staff see it.
    assert_eq!(media_of(&app.admin(), &product).await["product.media.nodes.0.id"], id);
    assert_eq!(media_of(&app.anonymous(), &product).await["product.media.nodes"], json!([]));
    assert!(
        app.anonymous().ask_with("query($id: ID!) { node(id: $id) { id } }", json!({ "id": id })).await.ok()
            ["node"]
            .is_null()
    );

    app.work().await;
    let document = "query($id: ID!) { job(id: $id) { status progressPercentage } }";
    let done = app.admin().ask_with(document, json!({ "id": job })).await.ok();
    assert_eq!(done["job"], json!({ "status": "COMPLETED", "progressPercentage": 100 }));

    let seen = media_of(&app.anonymous(), &product).await;
    let shown = &seen["product.media.nodes.0"];
    assert_eq!((&shown["id"], &shown["status"], &shown["alt"]), (&id, &json!("READY"), &json!("mug.jpg")));
    assert_eq!(shown["image"], shown["previewImage"]);
    // The orientation of the Exif data has been applied.
    assert_eq!((&shown["image"]["width"], &shown["image"]["height"]), (&json!(800), &json!(1200)));
    assert_eq!(seen["product.images.nodes.0.id"], id);
    let original = shown["image"]["url"].as_str().unwrap();
    let (kind, image) = fetch_image(&app, original).await;
    assert_eq!((kind.as_str(), image.width(), image.height()), ("image/jpeg", 800, 1200));

    for (transform, kind, width) in [
        (json!({}), "image/jpeg", 800),
        (json!({ "maxWidth": 640 }), "image/jpeg", 640),
        (json!({ "maxWidth": 700, "preferredContentType": "WEBP" }), "image/webp", 640),
        (json!({ "maxWidth": 200, "scale": 2, "preferredContentType": "WEBP" }), "image/webp", 320),
        (json!({ "maxHeight": 480, "preferredContentType": "JPG" }), "image/jpeg", 320),
        (json!({ "maxWidth": 5000, "preferredContentType": "WEBP" }), "image/webp", 800),
        (json!({ "maxWidth": 1, "preferredContentType": "PNG" }), "image/jpeg", 160),
    ] {
        let url = transformed_url(&app, &product, transform.clone()).await;
        let (found, image) = fetch_image(&app, &url).await;
        assert_eq!(
            (found.as_str(), image.width(), image.height()),
            (kind, width, width * 3 / 2),
            "{transform}"
        );
        let file = fetch(&app, &url).await.body;
        assert!(!contains(&file, b"SECRET-PLACE") && !contains(&file, b"Exif"), "{transform}");
    }
    assert!(!contains(&fetch(&app, original).await.body, b"Exif"));
}

both!(transparency_is_preserved);
async fn transparency_is_preserved(app: TestApp) {
    let product = app.create_product(json!({ "title": "Glass" })).await;
    let clear =
        image::RgbaImage::from_fn(400, 200, |x, _| image::Rgba([200, 20, 20, if x < 200 { 0 } else { 255 }]));
    upload(&app.admin(), &product, &[("glass.png", &encode(clear, image::ImageFormat::Png))])
        .await
        .assert_ok();
    app.work().await;
    for (wanted, expected) in [("WEBP", "image/webp"), ("PNG", "image/png"), ("JPG", "image/png")] {
        let url =
            transformed_url(&app, &product, json!({ "maxWidth": 320, "preferredContentType": wanted })).await;
        let (kind, image) = fetch_image(&app, &url).await;
        assert_eq!((kind.as_str(), image.width()), (expected, 320));
        let image = image.into_rgba8();
        assert_eq!((image.get_pixel(10, 10).0[3], image.get_pixel(310, 10).0[3]), (0, 255), "{wanted}");
    }
}

both!(files_are_cached_forever_and_served_only_under_their_own_type);
async fn files_are_cached_forever_and_served_only_under_their_own_type(app: TestApp) {
    let product = app.create_product(json!({ "title": "Mug" })).await;
    upload(&app.admin(), &product, &[("mug.jpg", &jpeg(300, 200))]).await.assert_ok();
    app.work().await;
    let url =
        transformed_url(&app, &product, json!({ "maxWidth": 160, "preferredContentType": "WEBP" })).await;
    let whole = fetch(&app, &url).await;
    assert_eq!(whole.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(whole.header("content-type"), "image/webp");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert_eq!(whole.header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    let tag = whole.header("etag");
    assert_eq!(tag.len(), 66);

    let get = |path: String, header: &'static str, value: String| {
        let app = &app;
        async move { app.send(request("GET", &path).header(header, value).body(String::new()).unwrap()).await }
    };
    let path = path_of(&app, &url).to_owned();
    let known = get(path.clone(), "if-none-match", format!("\"other\", W/{tag}")).await;
    assert_eq!((known.status.as_u16(), known.body.len(), known.header("etag")), (304, 0, tag));
    let part = get(path.clone(), "range", "bytes=8-11".to_owned()).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, b"WEBP".as_slice()));
    assert_eq!(part.header("content-range"), format!("bytes 8-11/{}", whole.body.len()));
    let end = get(path.clone(), "range", "bytes=-5".to_owned()).await;
    assert_eq!((end.status.as_u16(), &end.body[..]), (206, &whole.body[whole.body.len() - 5..]));
    for range in ["9999999-", "18446744073709551615-18446744073709551615", "-0"] {
        let beyond = get(path.clone(), "range", format!("bytes={range}")).await;
        assert_eq!(
            (beyond.status.as_u16(), beyond.header("content-range")),
            (416, &*format!("bytes */{}", whole.body.len()))
        );
    }
    let head = app.send(request("HEAD", &path).body(String::new()).unwrap()).await;
    assert_eq!((head.status.as_u16(), head.body.len(), head.header("etag")), (200, 0, tag));

    let hash = path.split('/').nth(2).unwrap();
    for path in [
        format!("/media/{hash}/160x107.jpg"),
        format!("/media/{hash}/160x107.html"),
        format!("/media/{hash}/160x107.svg"),
        format!("/media/{hash}/160x107"),
        format!("/media/{hash}"),
        format!("/media/{}/160x107.webp", "0".repeat(64)),
        format!("/media/{}/160x107.webp", hash.to_uppercase()),
        format!("/media/..%2F..%2Fuploads/{hash}.webp"),
        format!("/media/{hash}/..%2F..%2F160x107.webp"),
        format!("/media/{hash}/../../../etc/passwd"),
    ] {
        let answer = app.send(request("GET", &path).body(String::new()).unwrap()).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    // The last part of the path is for people. Any name serves the original size.
    let named =
        app.send(request("GET", &format!("/media/{hash}/blue-mug.webp")).body(String::new()).unwrap()).await;
    assert_eq!((named.status.as_u16(), named.body), (200, whole.body.clone()));
}

both!(identical_images_share_one_file);
async fn identical_images_share_one_file(app: TestApp) {
    let (first, second) = (
        app.create_product(json!({ "title": "Mug" })).await,
        app.create_product(json!({ "title": "Cup" })).await,
    );
    let file = jpeg(500, 400);
    for product in [&first, &second, &second] {
        upload(&app.admin(), product, &[("mug.jpg", &file)]).await.assert_ok();
    }
    app.work().await;
    let small = json!({ "maxWidth": 320, "preferredContentType": "WEBP" });
    assert_eq!(
        transformed_url(&app, &first, small.clone()).await,
        transformed_url(&app, &second, small.clone()).await
    );
    let seen = media_of(&app.anonymous(), &second).await;
    assert_eq!(seen["product.images.nodes"].as_array().unwrap().len(), 2);
    assert_ne!(seen["product.images.nodes.0.id"], seen["product.images.nodes.1.id"]);

    // An import may refer to an image by its URL on this server, which shares the file as well.
    let url = seen["product.images.nodes.0.url"].as_str().unwrap();
    let third =
        app.create_product(json!({ "title": "Jug", "images": [{ "url": path_of(&app, url) }] })).await;
    assert_eq!(
        transformed_url(&app, &third, small.clone()).await,
        transformed_url(&app, &first, small).await
    );
    assert_eq!(media_of(&app.anonymous(), &third).await["product.images.nodes.0.width"], 500);
}

both!(images_on_other_servers_are_not_transformed);
async fn images_on_other_servers_are_not_transformed(app: TestApp) {
    let url = "https://images.example/mug.png";
    let product = app.create_product(json!({ "title": "Mug", "images": [{ "url": url }] })).await;
    assert_eq!(
        transformed_url(&app, &product, json!({ "maxWidth": 100, "preferredContentType": "WEBP" })).await,
        url
    );
    let document = "query($id: ID!, $t: ImageTransformInput) { product(id: $id) { featuredImage { url(transform: $t) } } }";
    for transform in [json!({ "maxWidth": 0 }), json!({ "maxHeight": 5761 }), json!({ "scale": 4 })] {
        let reply = app.anonymous().ask_with(document, json!({ "id": product, "t": transform })).await;
        assert_eq!(reply.code(), "BAD_USER_INPUT", "{transform}");
    }
}

both!(the_sizes_of_many_images_take_one_statement);
async fn the_sizes_of_many_images_take_one_statement(app: TestApp) {
    for n in 0..6 {
        let product = app.create_product(json!({ "title": format!("Mug {n}") })).await;
        upload(&app.admin(), &product, &[("mug.jpg", &jpeg(200 + n, 200))]).await.assert_ok();
    }
    app.work().await;
    let statements = async |first: i32| {
        let document = "query($first: Int!) {
            products(first: $first) { nodes { images(first: 5) { nodes { url(transform: { maxWidth: 160 }) } } } }
        }";
        let reply = app.anonymous().ask_with(document, json!({ "first": first })).await.ok();
        let small = reply["products.nodes.0.images.nodes.0.url"].as_str().unwrap();
        assert!(small.contains("/160x"), "{small}");
        reply.statements()
    };
    assert_eq!(statements(1).await, statements(6).await);
}

both!(images_of_both_kinds_are_listed_in_order_and_can_be_removed);
async fn images_of_both_kinds_are_listed_in_order_and_can_be_removed(app: TestApp) {
    let url = "https://images.example/first.png";
    let product = app.create_product(json!({ "title": "Mug", "images": [{ "url": url }] })).await;
    let files = [jpeg(200, 200), jpeg(210, 200)];
    upload(&app.admin(), &product, &[("second", &files[0]), ("third", &files[1])]).await.assert_ok();
    app.work().await;
    let seen = media_of(&app.anonymous(), &product).await;
    let widths: Vec<&serde_json::Value> =
        seen["product.images.nodes"].as_array().unwrap().iter().map(|image| &image["width"]).collect();
    assert_eq!(widths, [&json!(null), &json!(200), &json!(210)]);

    let delete = "mutation($product: ID!, $ids: [ID!]!) {
        productMediaDelete(productId: $product, mediaIds: $ids) {
            deletedMediaIds userErrors { field code message }
        }
    }";
    let id = |at: usize| seen[&format!("product.media.nodes.{at}.id")].clone();
    let gone = app.admin().ask_with(delete, json!({ "product": product, "ids": [id(0), id(1)] })).await.ok();
    assert_eq!(gone["productMediaDelete.deletedMediaIds"], json!([id(0), id(1)]));
    let again = app.admin().ask_with(delete, json!({ "product": product, "ids": [id(2), id(1)] })).await;
    let errors = again.user_errors("productMediaDelete");
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("mediaIds.1", "NOT_FOUND"));
    let left = media_of(&app.admin(), &product).await;
    assert_eq!(left["product.media.nodes"].as_array().unwrap().len(), 1);

    // Replacing all images also deletes the media of those that are not among the new ones.
    let document = "mutation($id: ID!, $product: ProductUpdateInput!) {
        productUpdate(id: $id, product: $product) { userErrors { message } }
    }";
    let empty = json!({ "id": product, "product": { "images": [] } });
    app.admin().ask_with(document, empty).await.assert_ok();
    assert_eq!(media_of(&app.admin(), &product).await["product.media.nodes"], json!([]));
}

both!(a_repeated_upload_with_the_same_key_is_done_once);
async fn a_repeated_upload_with_the_same_key_is_done_once(app: TestApp) {
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let (file, other) = (jpeg(200, 200), jpeg(201, 200));
    let send = async |file: &[u8]| {
        let variables = json!({ "product": product, "media": [{ "file": null }], "key": "once" });
        app.admin().upload(super::CREATE, variables, &[("variables.media.0.file", "mug.jpg", file)]).await
    };
    let first = send(&file).await.ok();
    let second = send(&file).await.ok();
    assert_eq!(first["productMediaCreate"], second["productMediaCreate"]);
    assert_eq!(send(&other).await.code(), "CONFLICT");
    app.work().await;
    assert_eq!(send(&file).await.ok()["productMediaCreate.media.0.status"], "READY");
    app.work().await;
    let seen = media_of(&app.anonymous(), &product).await;
    assert_eq!(seen["product.media.nodes"].as_array().unwrap().len(), 1);
}

both!(deleting_a_product_deletes_its_media);
async fn deleting_a_product_deletes_its_media(app: TestApp) {
    let product = app.create_product(json!({ "title": "Mug" })).await;
    upload(&app.admin(), &product, &[("mug.jpg", &jpeg(200, 200))]).await.assert_ok();
    let document = "mutation($id: ID!) { productDelete(id: $id) { userErrors { message } } }";
    app.admin().ask_with(document, json!({ "id": product })).await.assert_ok();
    // The job that would process the image finds nothing to do.
    app.work().await;
}
