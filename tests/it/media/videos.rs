//! Videos, with and without ffmpeg.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::{encode, fetch, fetch_image, media_of, path_of, pattern, upload};
use crate::support::{Database, TestApp, both, request, scratch};

/// A file with the header of an MP4, but without valid content.
fn video() -> Vec<u8> {
    let head = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom".to_vec();
    head.into_iter().chain((0..200_000_u32).map(|n| (n % 251) as u8)).collect()
}

/// Creates a stand-in for ffmpeg, which copies its input as the video, and has a poster. It can be
/// made to fail.
fn fake_ffmpeg(fails: bool) -> String {
    let folder = scratch::dir().join(format!("ffmpeg-{}", scratch::unique()));
    std::fs::create_dir(&folder).unwrap();
    let poster = folder.join("poster.png");
    std::fs::write(&poster, encode(pattern(640, 360), image::ImageFormat::Png)).unwrap();
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

both!(without_ffmpeg_videos_are_served_as_uploaded);
async fn without_ffmpeg_videos_are_served_as_uploaded(database: Database) {
    let app = TestApp::with(database, &[("FFMPEG", "off")]).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    let uploaded = upload(&app.admin(), &product, &[("turning.mp4", &video())]).await.ok();
    assert_eq!(uploaded["productMediaCreate.media.0.mediaContentType"], "VIDEO");
    assert_eq!(media_of(&app.anonymous(), &product).await["product.media.nodes"], json!([]));
    app.work().await;

    let seen = media_of(&app.anonymous(), &product).await;
    let shown = &seen["product.media.nodes.0"];
    assert_eq!((&shown["__typename"], &shown["status"]), (&json!("Video"), &json!("READY")));
    assert_eq!(shown["id"], uploaded["productMediaCreate.media.0.id"]);
    assert!(shown["previewImage"].is_null());
    assert!(shown["mediaWarnings"][0]["message"].as_str().unwrap().contains("no ffmpeg"));
    assert_eq!(seen["product.images.nodes"], json!([]), "a video is not an image");
    let source = &shown["sources"][0];
    assert_eq!((&source["format"], &source["mimeType"]), (&json!("mp4"), &json!("video/mp4")));

    // Players request videos in ranges.
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

both!(with_ffmpeg_videos_get_a_poster);
async fn with_ffmpeg_videos_get_a_poster(database: Database) {
    let app = TestApp::with(database, &[("FFMPEG", fake_ffmpeg(false).as_str())]).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    upload(&app.admin(), &product, &[("turning.mp4", &video())]).await.assert_ok();
    app.work().await;
    let seen = media_of(&app.anonymous(), &product).await;
    let shown = &seen["product.media.nodes.0"];
    assert_eq!(shown["mediaWarnings"], json!([]));
    assert_eq!((&shown["sources"][0]["width"], &shown["sources"][0]["height"]), (&json!(640), &json!(360)));
    let (kind, poster) = fetch_image(&app, shown["previewImage"]["url"].as_str().unwrap()).await;
    assert_eq!((kind.as_str(), poster.width()), ("image/jpeg", 640));
    let document = "query($id: ID!) { product(id: $id) { media(first: 1) { nodes {
        previewImage { url(transform: { maxWidth: 320, preferredContentType: WEBP }) }
    } } } }";
    let reply = app.anonymous().ask_with(document, json!({ "id": product })).await.ok();
    let (kind, small) =
        fetch_image(&app, reply["product.media.nodes.0.previewImage.url"].as_str().unwrap()).await;
    assert_eq!((kind.as_str(), small.width()), ("image/webp", 320));
}

both!(invalid_videos_fail_with_a_message);
async fn invalid_videos_fail_with_a_message(database: Database) {
    let app = TestApp::with(database, &[("FFMPEG", fake_ffmpeg(true).as_str())]).await;
    let product = app.create_product(json!({ "title": "Mug" })).await;
    upload(&app.admin(), &product, &[("turning.mp4", &video())]).await.assert_ok();
    app.work().await;
    let seen = media_of(&app.admin(), &product).await;
    let failed = &seen["product.media.nodes.0"];
    assert_eq!((&failed["status"], &failed["sources"]), (&json!("FAILED"), &json!([])));
    let message = failed["mediaErrors"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("The video can't be read") && !message.contains("Invalid data"), "{message}");
}
