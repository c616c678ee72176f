//! Uploads that are rejected: invalid files and forms, limits, and missing permissions.

use mercato::domain::access::permissions::Permission;
use serde_json::{Value, json};

use super::{CREATE, add_urls, encode, jpeg, media_of, pattern, upload};
use crate::support::{Database, TestApp, both, request};

/// A small PNG whose header claims a size of 50,000 by 50,000 pixels.
fn bomb() -> Vec<u8> {
    let mut bomb = encode(pattern(2, 2), image::ImageFormat::Png);
    bomb[16..20].copy_from_slice(&50_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&50_000_u32.to_be_bytes());
    let checksum = bomb[12..29].iter().fold(u32::MAX, |crc, byte| {
        let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    });
    bomb[29..33].copy_from_slice(&(!checksum).to_be_bytes());
    bomb
}

both!(invalid_images_are_rejected_at_once);
async fn invalid_images_are_rejected_at_once(app: TestApp) {
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let script = "<script>alert(document.domain)</script>";
    let svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{script}</svg>");
    let page = format!("<!doctype html><html>{script}</html>");
    for (name, content, expected) in [
        ("bomb.png", bomb(), "50000 × 50000"),
        (
            "words.png",
            b"Just words, whatever the name says.".to_vec(),
            "must be a JPEG, PNG, GIF or WebP image",
        ),
        ("mug.svg", svg.into_bytes(), "scripts"),
        ("mug.jpg", page.into_bytes(), "must be a JPEG, PNG, GIF or WebP image"),
        ("empty.jpg", Vec::new(), "must be a JPEG, PNG, GIF or WebP image"),
        ("head.jpg", jpeg(100, 100)[..40].to_vec(), "can't be read"),
    ] {
        let reply = upload(&app.admin(), &product, &[("good.jpg", &jpeg(20, 20)), (name, &content)]).await;
        let errors = reply.user_errors("productMediaCreate");
        assert_eq!((errors.len(), errors[0].field.as_str()), (1, "media.1.file"), "{name}: {errors:?}");
        assert!(errors[0].message.contains(expected), "{name}: {errors:?}");
        assert!(reply["productMediaCreate.media"].is_null());
    }
    // Valid files in the same request are not stored either.
    assert_eq!(media_of(&app.admin(), &product).await["product.media.nodes"], json!([]));
}

both!(a_truncated_image_does_not_affect_others);
async fn a_truncated_image_does_not_affect_others(app: TestApp) {
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let whole = jpeg(400, 400);
    let cut = &whole[..whole.len() / 2];
    let uploaded = upload(&app.admin(), &product, &[("cut.jpg", cut), ("whole.jpg", &whole)]).await.ok();
    app.work().await;

    let staff = media_of(&app.admin(), &product).await;
    let failed = &staff["product.media.nodes"].as_array().unwrap()[0];
    assert_eq!((&failed["alt"], &failed["status"]), (&json!("cut.jpg"), &json!("FAILED")));
    assert!(
        failed["mediaErrors"][0]["message"].as_str().unwrap().contains("the file is incomplete"),
        "{failed}"
    );
    assert!(failed["image"].is_null());
    let buyer = media_of(&app.anonymous(), &product).await;
    assert_eq!(buyer["product.media.nodes"].as_array().unwrap().len(), 1);
    assert_eq!(buyer["product.media.nodes.0.alt"], "whole.jpg");

    // The job is complete and is not retried.
    let document = "query($id: ID!) { job(id: $id) { status attemptCount } }";
    let job =
        app.admin().ask_with(document, json!({ "id": uploaded["productMediaCreate.jobIds.0"] })).await.ok();
    assert_eq!(job["job"], json!({ "status": "COMPLETED", "attemptCount": 1 }));

    let delete = "mutation($product: ID!, $ids: [ID!]!) {
        productMediaDelete(productId: $product, mediaIds: $ids) { userErrors { message } }
    }";
    app.admin().ask_with(delete, json!({ "product": product, "ids": [failed["id"]] })).await.assert_ok();
    assert_eq!(media_of(&app.admin(), &product).await["product.media.nodes"].as_array().unwrap().len(), 1);
}

both!(files_that_are_too_large_are_rejected);
async fn files_that_are_too_large_are_rejected(database: Database) {
    let app = TestApp::with(database, &[("MEDIA_MAX_BYTES", "2048"), ("BODY_LIMIT", "4096")]).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let large = upload(&app.admin(), &product, &[("large.jpg", &vec![0; 100_000])]).await;
    assert_eq!((large.status(), large.code()), (400, "BAD_USER_INPUT"));
    assert!(large.message().contains("larger than 2048 bytes"), "{}", large.message());
    upload(&app.admin(), &product, &[("small.jpg", &jpeg(8, 8))]).await.assert_ok();
    app.work().await;

    let variables = json!({ "product": product, "media": [], "key": "x".repeat(5_000) });
    let long = app.admin().upload(CREATE, variables, &[]).await;
    assert!(long.message().contains("`operations` is larger than 4096 bytes"), "{}", long.message());
}

#[tokio::test]
async fn uploads_require_permission_to_edit_products() {
    let app = TestApp::sqlite().await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let file = jpeg(8, 8);
    for (client, code) in [
        // Like a form that a browser sends for a page of another origin, without an Authorization
        // header.
        (app.anonymous(), "UNAUTHENTICATED"),
        (app.customer(), "FORBIDDEN"),
        (app.staff(&[Permission::ReadProducts]), "FORBIDDEN"),
    ] {
        assert_eq!(upload(&client, &product, &[("mug.jpg", &file)]).await.code(), code, "{client:?}");
    }
    upload(&app.staff(&[Permission::WriteProducts]), &product, &[("mug.jpg", &file)]).await.assert_ok();
    app.work().await;
}

#[tokio::test]
async fn invalid_forms_are_rejected_with_the_reason() {
    let app = TestApp::sqlite().await;
    let admin = app.admin();
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let operations =
        json!({ "query": CREATE, "variables": { "product": product, "media": [{ "file": null }] } });
    let operations = operations.to_string();
    let (one, file) = (json!({ "0": ["variables.media.0.file"] }).to_string(), jpeg(8, 8));
    let unknown = json!({ "0": ["variables.media.7.file"] }).to_string();
    let part = |name: &str| format!("name=\"{name}\"");
    let parts = |list: &[(&str, &str)]| -> Vec<(String, Vec<u8>)> {
        list.iter().map(|(name, content)| (part(name), content.as_bytes().to_vec())).collect()
    };
    let with_file = |mut list: Vec<(String, Vec<u8>)>, name: &str| {
        list.push((format!("name=\"{name}\"; filename=\"mug.jpg\""), file.clone()));
        list
    };
    let whole = parts(&[("operations", &operations), ("map", &one)]);
    for (form, expected) in [
        (with_file(whole.clone(), "1"), "which variable the file `1` is"),
        (whole.clone(), "the file `0` of `map` is missing"),
        (with_file(parts(&[("operations", &operations)]), "0"), "must come before the files"),
        (parts(&[("map", &one)]), "no field `operations`"),
        (parts(&[("operations", &operations)]), "no field `map`"),
        (parts(&[("operations", "[]"), ("map", "{}")]), "batches are not supported"),
        (parts(&[("operations", "{"), ("map", "{}")]), "`operations` is not a JSON request"),
        (parts(&[("operations", &operations), ("map", "[1]")]), "`map` is not a JSON object"),
        (
            with_file(parts(&[("operations", &operations), ("map", &unknown)]), "0"),
            "there is no such variable",
        ),
    ] {
        let borrowed: Vec<(String, &[u8])> =
            form.iter().map(|(name, content)| (name.clone(), content.as_slice())).collect();
        let reply = admin.send_form(&borrowed).await;
        assert_eq!((reply.status(), reply.code()), (400, "BAD_USER_INPUT"), "{expected}");
        assert!(reply.message().contains(expected), "{} does not contain {expected}", reply.message());
    }
    // A variable can't refer to a file that was not sent.
    let made_up = json!({ "product": product, "media": [{ "file": "#upload:0" }] });
    assert_eq!(admin.ask_with(CREATE, made_up).await.code(), "BAD_USER_INPUT");
    let both = json!({ "product": product, "media": [{ "originalSource": "https://a.example/b.png", "file": null }, {}] });
    assert_eq!(admin.ask_with(CREATE, both).await.code(), "BAD_USER_INPUT");
    let plain = request("POST", "/graphql").header("content-type", "multipart/form-data");
    let plain = plain.header("authorization", "Bearer mk_admin").body(String::new()).unwrap();
    assert_eq!(app.send(plain).await.status, 400);
}

both!(uploads_require_an_existing_product_with_fewer_than_250_images);
async fn uploads_require_an_existing_product_with_fewer_than_250_images(app: TestApp) {
    let images: Vec<Value> =
        (0..249).map(|n| json!({ "url": format!("https://images.example/{n}.png") })).collect();
    let product = app.create_product(json!({ "title": "Mug", "images": images })).await;
    let file = jpeg(8, 8);
    let errors = upload(&app.admin(), &product, &[("a", &file), ("b", &file)]).await;
    assert_eq!(errors.user_errors("productMediaCreate")[0].code, "TOO_MANY");
    upload(&app.admin(), &product, &[("a", &file)]).await.assert_ok();
    let errors = upload(&app.admin(), &product, &[("b", &file)]).await;
    assert_eq!(errors.user_errors("productMediaCreate")[0].code, "TOO_MANY");
    let nowhere = "gid://mercato/Product/00000000-0000-7000-8000-000000000000";
    let errors = upload(&app.admin(), nowhere, &[("a", &file)]).await.user_errors("productMediaCreate");
    assert_eq!((errors[0].field.as_str(), errors[0].code.as_str()), ("productId", "NOT_FOUND"));
    let errors = add_urls(&app.admin(), &product, &[]).await.user_errors("productMediaCreate");
    assert_eq!(errors[0].code, "BLANK");
    app.work().await;
}
