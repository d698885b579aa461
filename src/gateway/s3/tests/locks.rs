//! Object lock.

use super::{
    client::{Ask, now},
    world::World,
};
use crate::gateway::s3::time::moment;
use s3s::dto::TimestampFormat;

fn date(days: i64) -> String {
    let mut text = Vec::new();
    let at = u64::try_from((now() + days * 86_400) * 1000).unwrap();
    moment(at).format(TimestampFormat::DateTime, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

async fn locked() -> World {
    let world = World::new().await;
    world.ann(Ask::put("/bkt", "").with("x-amz-bucket-object-lock-enabled", "true")).await.ok();
    world
}

fn retention(mode: &str, days: i64) -> String {
    format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>", date(days))
}

#[tokio::test]
async fn locked_versions_stay() {
    let world = locked().await;
    let put = Ask::put("/bkt/k", "x")
        .with("x-amz-object-lock-mode", "GOVERNANCE")
        .with("x-amz-object-lock-retain-until-date", &date(5));
    let version = world.ann(put).await.ok().header("x-amz-version-id").to_owned();
    let path = format!("/bkt/k?versionId={version}");
    assert_eq!(world.ann(Ask::head("/bkt/k")).await.ok().header("x-amz-object-lock-mode"), "GOVERNANCE");
    assert_eq!(world.ann(Ask::get("/bkt/k?retention")).await.ok().element("Mode"), "GOVERNANCE");
    world.ann(Ask::delete(&path)).await.refused(403, "AccessDenied");
    world.ann(Ask::put("/bkt/k?retention", retention("GOVERNANCE", 2))).await.refused(403, "AccessDenied");
    world.ann(Ask::put("/bkt/k?retention", retention("GOVERNANCE", 9))).await.ok();
    let marker = world.ann(Ask::delete("/bkt/k")).await.ok();
    assert_eq!(marker.header("x-amz-delete-marker"), "true");
    world.ann(Ask::delete(&path).with("x-amz-bypass-governance-retention", "true")).await.ok();
    world.ann(Ask::get(&path)).await.refused(404, "NoSuchVersion");
}

#[tokio::test]
async fn a_legal_hold_holds() {
    let world = locked().await;
    let version = world.ann(Ask::put("/bkt/k", "x").with("x-amz-object-lock-legal-hold", "ON")).await.ok();
    let path = format!("/bkt/k?versionId={}", version.header("x-amz-version-id"));
    assert_eq!(world.ann(Ask::get("/bkt/k?legal-hold")).await.ok().element("Status"), "ON");
    let bypass = Ask::delete(&path).with("x-amz-bypass-governance-retention", "true");
    world.ann(bypass).await.refused(403, "AccessDenied");
    world.ann(Ask::put("/bkt/k?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>")).await.ok();
    world.ann(Ask::delete(&path)).await.ok();
    world.ann(Ask::put("/bkt/k", "x")).await.ok();
    world.ann(Ask::get("/bkt/k?retention")).await.refused(404, "NoSuchObjectLockConfiguration");
    world
        .ann(Ask::put("/bkt/k?legal-hold", "<LegalHold><Status>MAYBE</Status></LegalHold>"))
        .await
        .refused(400, "MalformedXML");
}

#[tokio::test]
async fn a_bucket_has_a_default() {
    let world = locked().await;
    let rule = |inside: &str| {
        format!(
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>{inside}\
             </DefaultRetention></Rule></ObjectLockConfiguration>"
        )
    };
    world.ann(Ask::put("/bkt?object-lock", rule("<Mode>COMPLIANCE</Mode><Years>1</Years>"))).await.ok();
    let got = world.ann(Ask::get("/bkt?object-lock")).await.ok();
    assert_eq!(
        (got.element("Mode").as_str(), got.element("Years").as_str(), got.element("Days").as_str()),
        ("COMPLIANCE", "1", "")
    );
    world.ann(Ask::put("/bkt/k", "x")).await.ok();
    assert_eq!(world.ann(Ask::head("/bkt/k")).await.ok().header("x-amz-object-lock-mode"), "COMPLIANCE");
    for bad in [
        "<Mode>COMPLIANCE</Mode>",
        "<Mode>NONE</Mode><Days>1</Days>",
        "<Mode>COMPLIANCE</Mode><Days>1</Days><Years>1</Years>",
    ] {
        world.ann(Ask::put("/bkt?object-lock", rule(bad))).await.refused(400, "MalformedXML");
    }
    world
        .ann(Ask::put("/bkt?object-lock", rule("<Mode>COMPLIANCE</Mode><Days>0</Days>")))
        .await
        .refused(400, "InvalidArgument");
    let past = Ask::put("/bkt/k", "x")
        .with("x-amz-object-lock-mode", "COMPLIANCE")
        .with("x-amz-object-lock-retain-until-date", &date(-1));
    world.ann(past).await.refused(400, "InvalidArgument");
    let half = Ask::put("/bkt/k", "x").with("x-amz-object-lock-mode", "COMPLIANCE");
    world.ann(half).await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn buckets_without_lock_say_so() {
    let world = World::with_bucket().await;
    world.ann(Ask::put("/bkt/k", "x")).await.ok();
    world.ann(Ask::get("/bkt?object-lock")).await.refused(404, "ObjectLockConfigurationNotFoundError");
    world.ann(Ask::get("/bkt/k?retention")).await.refused(400, "InvalidRequest");
    world.ann(Ask::put("/bkt/k?retention", retention("GOVERNANCE", 1))).await.refused(400, "InvalidRequest");
    world.ann(Ask::put("/bkt/k", "x").with("x-amz-object-lock-legal-hold", "ON")).await.refused(400, "InvalidRequest");
}
