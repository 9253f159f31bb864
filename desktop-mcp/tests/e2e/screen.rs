//! What is seen: sizes, parts, kinds of pictures, changes.

use serde_json::json;

use crate::stage::{Stage, picture, pixels};

#[tokio::test]
async fn a_picture_has_the_screens_size_and_keeps_it_when_that_changes() {
    let stage = Stage::sized(json!({"width": 800, "height": 600})).await;
    let size = async |stage: &Stage| {
        let answer = stage.server.call("screenshot", json!({})).await;
        let (kind, file) = picture(&answer).unwrap();
        assert!(kind == "image/png" && answer.0.structured_content.is_none());
        let (width, height, _) = pixels(&file);
        (width, height)
    };
    assert_eq!(size(&stage).await, (800, 600));
    let resized = stage.server.data("resize_desktop", json!({"width": 2000, "height": 1000})).await;
    assert_eq!((&resized["width"], &resized["picture_width"]), (&json!(2000), &json!(1568)));
    assert_eq!(size(&stage).await, (1568, 784), "as large as models take");
    stage.server.data("resize_desktop", json!({"width": 640, "height": 480})).await;
    assert_eq!(size(&stage).await, (640, 480));
    let problem = stage.server.problem("resize_desktop", json!({"width": 2561, "height": 480})).await;
    assert_eq!((&problem["code"], &problem["field"]), (&json!("invalid_argument"), &json!("width")));
    stage.finish().await;
}

#[tokio::test]
async fn parts_files_and_kinds_of_pictures() {
    let stage = Stage::sized(json!({"width": 2000, "height": 1000})).await;
    let part = stage.server.call("screenshot", json!({"region": [784, 392, 984, 492]})).await;
    let (width, height, _) = pixels(&picture(&part).unwrap().1);
    assert_eq!(
        (width, height),
        (256, 128),
        "places are given in pixels of the picture; parts are shown exactly"
    );
    assert!(
        part.text().contains("shows [784, 392, 985, 493]")
            || part.text().contains("shows [784, 392, 984, 492]"),
        "{}",
        part.text()
    );
    for (format, kind, start) in
        [("jpeg", "image/jpeg", &[0xff_u8, 0xd8][..]), ("webp", "image/webp", b"RIFF")]
    {
        let answer = stage.server.call("screenshot", json!({"format": format})).await;
        let (mime_type, file) = picture(&answer).unwrap();
        assert!(mime_type == kind && file.starts_with(start), "{format}");
    }
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("shot.png");
    let answer = stage.server.call("screenshot", json!({"file": path})).await;
    assert!(picture(&answer).is_none() && answer.text().contains("2000x1000"));
    let (width, height, _) = pixels(&std::fs::read(&path).unwrap());
    assert_eq!((width, height), (2000, 1000), "a file has every pixel");
    assert_eq!(stage.server.problem("screenshot", json!({"file": path})).await["code"], "already_exists");
    stage.finish().await;
}

#[tokio::test]
async fn a_screen_on_which_nothing_has_changed_is_not_shown_again() {
    let stage = Stage::new().await;
    stage.server.text("screenshot", json!({})).await;
    let same = stage.server.call("screenshot", json!({"only_changes": true})).await;
    assert!(picture(&same).is_none() && same.text().contains("Nothing"), "{same:?}");
    stage.finish().await;
}

#[tokio::test]
async fn what_is_not_on_the_screen_is_refused() {
    let stage = Stage::new().await;
    for (arguments, code, field) in [
        (json!({"region": [1280, 0, 1290, 10]}), "off_screen", None),
        (json!({"region": [10, 10, 10, 20]}), "invalid_argument", Some("region")),
        (json!({"region": [10, 10, 20]}), "invalid_argument", Some("region")),
        (json!({"region": [0, 0, 5, 5], "picture": 7}), "unknown_picture", Some("picture")),
        (json!({"window": "none"}), "unknown_window", Some("window")),
        (json!({"desktop": "d9"}), "unknown_desktop", Some("desktop")),
        (json!({"quality": 101}), "invalid_argument", Some("quality")),
        (json!({"format": "gif"}), "invalid_argument", Some("format")),
        (json!({"file": "/proc/nowhere/shot.png"}), "not_found", Some("file")),
    ] {
        let problem = stage.server.problem("screenshot", arguments.clone()).await;
        assert_eq!((&problem["code"], problem["field"].as_str()), (&json!(code), field), "{arguments}");
    }
    stage.finish().await;
}
