//! Who a request is from, and when.

use super::{
    client::{Ask, Key, hmac_of, now, signing_key, stamps},
    world::{ANN, World},
};
use crate::gateway::s3::base64;

#[tokio::test]
async fn signatures_are_checked() {
    let world = World::with_bucket().await;
    let send = async |ask: Ask| world.client.send(ask).await;
    send(Ask::get("/bkt").by(ANN)).await.ok();
    send(Ask::get("/bkt").by(Key { id: "CESSNOBODYNOBODYNOBO", ..ANN })).await.refused(403, "InvalidAccessKeyId");
    send(Ask::get("/bkt").by(Key { secret: "wrong", ..ANN })).await.refused(403, "SignatureDoesNotMatch");
    send(Ask::get("/bkt")).await.refused(403, "AccessDenied");
    send(Ask::get("/")).await.refused(403, "AccessDenied");
    send(Ask::put("/new", "")).await.refused(403, "AccessDenied");
    for ahead in [-1_000, 1_000] {
        send(Ask::get("/bkt").by(ANN).ahead(ahead)).await.refused(403, "RequestTimeTooSkewed");
    }
    for ahead in [-800, 800] {
        send(Ask::get("/bkt").by(ANN).ahead(ahead)).await.ok();
    }
}

#[tokio::test]
async fn a_request_for_what_is_no_region_is_told_which_one_to_sign_for() {
    let world = World::with_bucket().await;
    let ask = |ask: Ask, region: &str| world.client.send(Ask { region: region.to_owned(), ..ask.by(ANN) });
    for region in ["us-east-1", "eu-west-7", "garage", ""] {
        ask(Ask::get("/bkt"), region).await.ok();
    }
    let refused = ask(Ask::get("/bkt"), "US").await.refused(400, "AuthorizationHeaderMalformed");
    assert!(refused.text().contains("<Region>us-east-1</Region>"), "{}", refused.text());
    ask(Ask::put("/bkt/k", "x"), "US").await.refused(400, "AuthorizationHeaderMalformed");
    let head = ask(Ask::head("/bkt"), "US").await;
    assert_eq!((head.status, head.header("x-amz-bucket-region")), (400, "us-east-1"));
    let link = Ask { region: "US".to_owned(), ..Ask::get("/bkt/k").link(ANN, 60) };
    world.client.send(link).await.refused(400, "AuthorizationHeaderMalformed");
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_noticed() {
    let world = World::with_bucket().await;
    let (mut request, _) = Ask::put("/bkt/k", "x").with("x-amz-meta-a", "1").by(ANN).signed();
    request.headers_mut().insert("x-amz-meta-a", "2".parse().unwrap());
    world.client.raw(request).await.refused(403, "SignatureDoesNotMatch");
    let (mut request, _) = Ask::put("/bkt/k", "x").by(ANN).signed();
    *request.uri_mut() = "/bkt/other".parse().unwrap();
    world.client.raw(request).await.refused(403, "SignatureDoesNotMatch");
    let mut ask = Ask::put("/bkt/k", "x").by(ANN);
    ask.unsigned_headers.push(("x-amz-acl".into(), "public-read".into()));
    world.client.send(ask).await.refused(403, "AccessDenied");
    world.ann(Ask::get("/bkt/k")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn a_revoked_key_is_unknown_at_once() {
    let world = World::with_bucket().await;
    world.keys.revoke(ANN.id);
    world.ann(Ask::get("/bkt")).await.refused(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn links_work_until_they_expire() {
    let world = World::with_bucket().await;
    world.client.send(Ask::put("/bkt/k", "linked").link(ANN, 60)).await.ok();
    let got = world.client.send(Ask::get("/bkt/k").link(ANN, 60)).await.ok();
    assert_eq!(got.text(), "linked");
    world.client.send(Ask::get("/bkt/k").link(ANN, 60).ahead(-30)).await.ok();
    world.client.send(Ask::get("/bkt/k").link(ANN, 60).ahead(-90)).await.refused(403, "AccessDenied");
    world.client.send(Ask::get("/bkt/k").link(ANN, 60).ahead(2_000)).await.refused(403, "RequestTimeTooSkewed");
    world
        .client
        .send(Ask::delete("/bkt/k").link(Key { secret: "wrong", ..ANN }, 60))
        .await
        .refused(403, "SignatureDoesNotMatch");
    let (mut request, _) = Ask::get("/bkt/k").link(ANN, 60).signed();
    *request.method_mut() = "DELETE".parse().unwrap();
    world.client.raw(request).await.refused(403, "SignatureDoesNotMatch");
    world.client.send(Ask::get("/bkt/k").link(ANN, 700_000)).await.refused(400, "AuthorizationQueryParametersError");
}

#[tokio::test]
async fn the_same_request_may_come_twice() {
    let world = World::with_bucket().await;
    let ask = Ask::get("/bkt").by(ANN);
    let (first, signature) = ask.clone().signed();
    let (second, again) = ask.signed();
    world.client.raw(first).await.ok();
    if signature == again {
        world.client.raw(second).await.ok();
    }
}

/// `Authorization: AWS id:signature` over the text of version 2.
fn version_two(method: &str, path: &str, date: &str) -> String {
    let text = format!("{method}\n\n\n{date}\n{path}");
    // HMAC-SHA1, which the version is made of.
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, ANN.secret.as_bytes());
    format!("AWS {}:{}", ANN.id, base64::encode(ring::hmac::sign(&key, text.as_bytes()).as_ref()))
}

#[tokio::test]
async fn version_two_is_understood_and_ages_too() {
    let world = World::with_bucket().await;
    for (ahead, status) in [(0, 200), (-1_000, 403), (1_000, 403)] {
        let date = crate::gateway::s3::time::http_date(u64::try_from((now() + ahead) * 1000).unwrap());
        let authorization = version_two("GET", "/bkt", &date);
        let ask = Ask::get("/bkt").with("date", &date).with("authorization", &authorization);
        let answer = world.client.send(ask).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let date = crate::gateway::s3::time::http_date(u64::try_from(now() * 1000).unwrap());
    let wrong = Ask::get("/bkt").with("date", &date).with("authorization", &version_two("PUT", "/bkt", &date));
    world.client.send(wrong).await.refused(403, "SignatureDoesNotMatch");
}

struct Form {
    policy: String,
    fields: Vec<(&'static str, String)>,
    file: &'static str,
}

fn form(conditions: &str, seconds: i64) -> Form {
    let (date, stamp) = stamps(now());
    let credential = format!("{}/{date}/us-east-1/s3/aws4_request", ANN.id);
    let (day, time) = stamps(now() + seconds);
    let (y, m, d) = (&day[..4], &day[4..6], &day[6..]);
    let (hh, mm, ss) = (&time[9..11], &time[11..13], &time[13..15]);
    let policy = format!(
        r#"{{"expiration":"{y}-{m}-{d}T{hh}:{mm}:{ss}.000Z","conditions":[{{"bucket":"bkt"}},["starts-with","$key","up/"],
        {{"x-amz-algorithm":"AWS4-HMAC-SHA256"}},{{"x-amz-credential":"{credential}"}},{{"x-amz-date":"{stamp}"}}{conditions}]}}"#
    );
    let encoded = base64::encode(policy.as_bytes());
    let signature = hex::encode(hmac_of(&signing_key(ANN.secret, &date, "us-east-1"), &encoded));
    let fields = vec![
        ("key", "up/${filename}".to_owned()),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("x-amz-credential", credential),
        ("x-amz-date", stamp),
        ("policy", encoded.clone()),
        ("x-amz-signature", signature),
    ];
    Form { policy: encoded, fields, file: "from a form" }
}

fn posted(form: &Form) -> Ask {
    let mut body = String::new();
    for (name, value) in &form.fields {
        body.push_str(&format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    body.push_str(&format!(
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\nContent-Type: text/plain\r\n\r\n{}\r\n--XX--\r\n",
        form.file
    ));
    Ask::post("/bkt", body).with("content-type", "multipart/form-data; boundary=XX")
}

#[tokio::test]
async fn forms_put_what_their_policy_allows() {
    let world = World::with_bucket().await;
    let good = form("", 600);
    assert_eq!(world.anybody(posted(&good)).await.status, 204);
    let got = world.ann(Ask::get("/bkt/up/f.txt")).await.ok();
    assert_eq!(got.text(), "from a form");
    let mut told = form(r#",{"success_action_status":"201"}"#, 600);
    told.fields.push(("success_action_status", "201".to_owned()));
    let told = world.anybody(posted(&told)).await;
    assert_eq!((told.status, told.element("Key").as_str()), (201, "up/f.txt"));
    let mut elsewhere = form("", 600);
    elsewhere.fields[0].1 = "other/k".to_owned();
    world.anybody(posted(&elsewhere)).await.refused(400, "InvalidPolicyDocument");
    world.anybody(posted(&form("", -600))).await.refused(403, "AccessDenied");
    assert_eq!(world.anybody(posted(&form(r#",["content-length-range",0,5]"#, 600))).await.code(), "EntityTooLarge");
    let mut forged = form("", 600);
    assert!(!forged.policy.is_empty());
    forged.fields.last_mut().unwrap().1 = "0".repeat(64);
    world.anybody(posted(&forged)).await.refused(403, "SignatureDoesNotMatch");
    let mut unsigned = form("", 600);
    unsigned.fields.truncate(1);
    world.anybody(posted(&unsigned)).await.refused(403, "AccessDenied");
}
