//! Videos, with a program that converts them and without.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{encoded, fetch, give, media_of, path_of, pattern, picture_at};
use crate::support::{Database, TestApp, both, request, scratch};

/// What begins as an MP4 does, and goes on as nothing.
fn video() -> Vec<u8> {
    let head = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec();
    head.into_iter().chain((0..200_000_u32).map(|n| (n % 251) as u8)).collect()
}

/// A program in the place of ffmpeg: it copies its input as the video, and has a poster. It fails when it is told to.
fn converter(fails: bool) -> String {
    let folder = scratch::dir().join(format!("ffmpeg-{}", scratch::unique()));
    std::fs::create_dir(&folder).unwrap();
    let poster = folder.join("poster.png");
    std::fs::write(&poster, encoded(pattern(640, 360), image::ImageFormat::Png)).unwrap();
    let program = folder.join("ffmpeg");
    let end = if fails { "echo 'Invalid data found' >&2; exit 1" } else { "exit 0" };
    let script = format!(
        "#!/bin/sh
         while [ $# -gt 1 ]; do [ \"$1\" = -i ] && input=$2; shift; done
         case \"$1\" in
             *.png) cp '{}' \"$1\" ;;
             *.mp4) cp \"$input\" \"$1\" ;;
         esac
         {end}",
        poster.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.display().to_string()
}

both!(a_video_is_kept_as_it_came_where_nothing_converts_it);
async fn a_video_is_kept_as_it_came_where_nothing_converts_it(database: Database) {
    let app = TestApp::with(database, &[("FFMPEG", "off")]).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let given = give(&app.admin(), &product, &[("turning.mp4", &video())]).await.ok();
    assert_eq!(given["productMediaCreate.media.0.mediaContentType"], "VIDEO");
    assert_eq!(media_of(&app.anonymous(), &product).await["product.media.nodes"], json!([]));
    app.work().await;

    let seen = media_of(&app.anonymous(), &product).await;
    let shown = &seen["product.media.nodes.0"];
    assert_eq!((&shown["__typename"], &shown["status"]), (&json!("Video"), &json!("READY")));
    assert_eq!(shown["id"], given["productMediaCreate.media.0.id"]);
    assert!(shown["previewImage"].is_null());
    assert!(shown["mediaWarnings"][0]["message"].as_str().unwrap().contains("no ffmpeg"));
    assert_eq!(seen["product.images.nodes"], json!([]), "a video is no image");
    let source = &shown["sources"][0];
    assert_eq!((&source["format"], &source["mimeType"]), (&json!("mp4"), &json!("video/mp4")));

    // Players ask for a video in parts.
    let url = source["url"].as_str().unwrap();
    let whole = fetch(&app, url).await;
    assert_eq!((whole.header("content-type"), &whole.body[..]), ("video/mp4", video().as_slice()));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let part = request("GET", path_of(&app, url)).header("range", "bytes=100000-");
    let part = app.send(part.body(String::new()).unwrap()).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &video()[100_000..]));
    let node = "query($id: ID!) { node(id: $id) { __typename } }";
    let found = app.anonymous().ask_with(node, json!({ "id": shown["id"] })).await.ok();
    assert_eq!(found["node.__typename"], "Video");
}

both!(a_video_gets_a_poster_where_something_makes_one);
async fn a_video_gets_a_poster_where_something_makes_one(database: Database) {
    let app = TestApp::with(database, &[("FFMPEG", converter(false).as_str())]).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    give(&app.admin(), &product, &[("turning.mp4", &video())]).await.assert_ok();
    app.work().await;
    let seen = media_of(&app.anonymous(), &product).await;
    let shown = &seen["product.media.nodes.0"];
    assert_eq!(shown["mediaWarnings"], json!([]));
    assert_eq!((&shown["sources"][0]["width"], &shown["sources"][0]["height"]), (&json!(640), &json!(360)));
    let (kind, poster) = picture_at(&app, shown["previewImage"]["url"].as_str().unwrap()).await;
    assert_eq!((kind.as_str(), poster.width()), ("image/jpeg", 640));
    let document = "query($id: ID!) { product(id: $id) { media(first: 1) { nodes {
        previewImage { url(transform: { maxWidth: 320, preferredContentType: WEBP }) }
    } } } }";
    let reply = app.anonymous().ask_with(document, json!({ "id": product })).await.ok();
    let (kind, small) =
        picture_at(&app, reply["product.media.nodes.0.previewImage.url"].as_str().unwrap()).await;
    assert_eq!((kind.as_str(), small.width()), ("image/webp", 320));
}

both!(a_video_that_can_t_be_read_fails_with_a_word);
async fn a_video_that_can_t_be_read_fails_with_a_word(database: Database) {
    let app = TestApp::with(database, &[("FFMPEG", converter(true).as_str())]).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    give(&app.admin(), &product, &[("turning.mp4", &video())]).await.assert_ok();
    app.work().await;
    let seen = media_of(&app.admin(), &product).await;
    let failed = &seen["product.media.nodes.0"];
    assert_eq!((&failed["status"], &failed["sources"]), (&json!("FAILED"), &json!([])));
    let message = failed["mediaErrors"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("The video can't be read") && !message.contains("Invalid data"), "{message}");
}
