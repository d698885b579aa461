//! Buckets, and listings of what is in them.

use super::{
    client::Ask,
    world::{ANN_ACCOUNT, World, config},
};
use crate::gateway::s3::{S3Config, policy::account_text};

#[tokio::test]
async fn buckets_come_and_go() {
    let world = World::new().await;
    assert_eq!(world.ann(Ask::get("/")).await.ok().elements("Bucket").len(), 0);
    let made = world.ann(Ask::put("/bkt", "")).await.ok();
    assert_eq!(made.header("location"), "/bkt");
    world.ann(Ask::put("/bkt", "")).await.ok();
    world.bob(Ask::put("/bkt", "")).await.refused(409, "BucketAlreadyExists");
    let listed = world.ann(Ask::get("/")).await.ok();
    assert_eq!(listed.element("Name"), "bkt");
    assert_eq!(listed.element("ID"), account_text(ANN_ACCOUNT));
    assert_eq!(world.bob(Ask::get("/")).await.ok().elements("Bucket").len(), 0);
    assert_eq!(world.ann(Ask::head("/bkt")).await.ok().header("x-amz-bucket-region"), "us-east-1");
    assert_eq!(world.ann(Ask::get("/bkt?location")).await.ok().element("LocationConstraint"), "");
    world.ann(Ask::put("/bkt/k", "x")).await.ok();
    world.ann(Ask::delete("/bkt")).await.refused(409, "BucketNotEmpty");
    world.ann(Ask::delete("/bkt/k")).await.ok();
    assert_eq!(world.ann(Ask::delete("/bkt")).await.status, 204);
    world.ann(Ask::get("/bkt")).await.refused(404, "NoSuchBucket");
    assert_eq!(world.ann(Ask::head("/bkt")).await.status, 404);
}

#[tokio::test]
async fn ones_own_bucket_is_not_made_again_outside_the_first_region() {
    let world = World::with(S3Config { region: "eu-1".to_owned(), ..config() }).await;
    world.ann(Ask::put("/bkt", "")).await.ok();
    world.ann(Ask::put("/bkt", "")).await.refused(409, "BucketAlreadyOwnedByYou");
}

#[tokio::test]
async fn names_and_regions_are_checked() {
    let world = World::new().await;
    for name in ["ab", "Upper", "a..b", "-ab", "192.168.0.1"] {
        world.ann(Ask::put(&format!("/{name}"), "")).await.refused(400, "InvalidBucketName");
    }
    let region = |name: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{name}</LocationConstraint></CreateBucketConfiguration>"
        )
    };
    world.ann(Ask::put("/bkt", region("mars-1"))).await.refused(400, "InvalidLocationConstraint");
    world.ann(Ask::put("/bkt", region("us-east-1"))).await.ok();
    let acl = Ask::put("/two", "").with("x-amz-acl", "public-read");
    world.ann(acl.clone()).await.refused(400, "InvalidBucketAclWithObjectOwnership");
    world.ann(acl.with("x-amz-object-ownership", "ObjectWriter")).await.ok();
}

#[tokio::test]
async fn bucket_lists_come_in_pages() {
    let world = World::new().await;
    for n in 0..5 {
        world.ann(Ask::put(&format!("/bkt-{n}"), "")).await.ok();
    }
    let page = world.ann(Ask::get("/?max-buckets=2&prefix=bkt-")).await.ok();
    assert_eq!(page.elements("Name"), ["bkt-0", "bkt-1"]);
    let token = page.element("ContinuationToken");
    let page = world.ann(Ask::get(&format!("/?continuation-token={token}&max-buckets=9"))).await.ok();
    assert_eq!(page.elements("Name"), ["bkt-2", "bkt-3", "bkt-4"]);
}

async fn filled() -> World {
    let world = World::with_bucket().await;
    for key in ["a", "b/1", "b/2", "b/c/3", "d e", "%C3%BC"] {
        world.ann(Ask::put(&format!("/bkt/{}", key.replace(' ', "%20")), "x")).await.ok();
    }
    world
}

#[tokio::test]
async fn listings_group_and_go_on() {
    let world = filled().await;
    let all = world.ann(Ask::get("/bkt?list-type=2")).await.ok();
    assert_eq!(all.elements("Key"), ["a", "b/1", "b/2", "b/c/3", "d e", "ü"]);
    assert_eq!((all.element("KeyCount").as_str(), all.element("IsTruncated").as_str()), ("6", "false"));
    assert_eq!(all.element("ETag"), "\"9dd4e461268c8034f5c8564e155c67a6\"");
    let grouped = world.ann(Ask::get("/bkt?delimiter=%2F&list-type=2")).await.ok();
    assert_eq!(grouped.elements("Key"), ["a", "d e", "ü"]);
    assert_eq!(grouped.elements("CommonPrefixes"), ["<Prefix>b/</Prefix>"]);
    let inside = world.ann(Ask::get("/bkt?delimiter=%2F&list-type=2&prefix=b%2F")).await.ok();
    assert_eq!(inside.elements("Key"), ["b/1", "b/2"]);
    assert_eq!(inside.elements("CommonPrefixes"), ["<Prefix>b/c/</Prefix>"]);
    let encoded = world.ann(Ask::get("/bkt?encoding-type=url&list-type=2")).await.ok();
    assert_eq!(encoded.elements("Key")[4..], ["d+e", "%C3%BC"]);
    let mut token = String::new();
    let mut keys = Vec::new();
    loop {
        let go_on = if token.is_empty() { String::new() } else { format!("continuation-token={token}&") };
        let page = world.ann(Ask::get(&format!("/bkt?{go_on}list-type=2&max-keys=2"))).await.ok();
        keys.extend(page.elements("Key"));
        token = page.element("NextContinuationToken").replace('=', "%3D").replace('/', "%2F").replace('+', "%2B");
        if page.element("IsTruncated") == "false" {
            break;
        }
    }
    assert_eq!(keys, all.elements("Key"));
    world.ann(Ask::get("/bkt?continuation-token=%21&list-type=2")).await.refused(400, "InvalidArgument");
    let none = world.ann(Ask::get("/bkt?list-type=2&max-keys=0")).await.ok();
    assert_eq!((none.elements("Key").len(), none.element("IsTruncated").as_str()), (0, "false"));
    let after = world.ann(Ask::get("/bkt?list-type=2&start-after=b%2F2")).await.ok();
    assert_eq!(after.elements("Key"), ["b/c/3", "d e", "ü"]);
}

#[tokio::test]
async fn the_first_version_of_listings_has_markers() {
    let world = filled().await;
    let page = world.ann(Ask::get("/bkt?max-keys=2")).await.ok();
    assert_eq!(page.elements("Key"), ["a", "b/1"]);
    assert_eq!(page.element("NextMarker"), "b/1");
    assert_eq!(page.elements("Owner").len(), 2);
    let page = world.ann(Ask::get("/bkt?marker=b%2F1")).await.ok();
    assert_eq!(page.elements("Key"), ["b/2", "b/c/3", "d e", "ü"]);
    world.ann(Ask::get("/bkt?encoding-type=base64")).await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn versions_are_listed_with_their_markers() {
    let world = World::with_bucket().await;
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(world.ann(Ask::get("/bkt?versioning")).await.ok().element("Status"), "");
    world.ann(Ask::put("/bkt?versioning", on)).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt?versioning")).await.ok().element("Status"), "Enabled");
    let first = world.ann(Ask::put("/bkt/k", "1")).await.ok().header("x-amz-version-id").to_owned();
    let second = world.ann(Ask::put("/bkt/k", "22")).await.ok().header("x-amz-version-id").to_owned();
    let deleted = world.ann(Ask::delete("/bkt/k")).await.ok();
    assert_eq!(deleted.header("x-amz-delete-marker"), "true");
    let marker = deleted.header("x-amz-version-id").to_owned();
    let gone = world.ann(Ask::get("/bkt/k")).await.refused(404, "NoSuchKey");
    assert_eq!((gone.header("x-amz-delete-marker"), gone.header("x-amz-version-id")), ("true", marker.as_str()));
    world.ann(Ask::get(&format!("/bkt/k?versionId={marker}"))).await.refused(405, "MethodNotAllowed");
    assert_eq!(world.ann(Ask::get(&format!("/bkt/k?versionId={first}"))).await.ok().text(), "1");
    let listed = world.ann(Ask::get("/bkt?versions")).await.ok();
    let mut ids = listed.elements("VersionId");
    ids.sort();
    assert_eq!(ids, [&first, &second, &marker].map(String::as_str));
    assert_eq!(listed.elements("DeleteMarker").len(), 1);
    let page = world.ann(Ask::get("/bkt?max-keys=1&versions")).await.ok();
    assert_eq!(page.element("NextKeyMarker"), "k");
    let next = page.element("NextVersionIdMarker");
    let page =
        world.ann(Ask::get(&format!("/bkt?key-marker=k&max-keys=1&version-id-marker={next}&versions"))).await.ok();
    assert_eq!(page.elements("VersionId"), [second.as_str()]);
    world.ann(Ask::get("/bkt?version-id-marker=x&versions")).await.refused(400, "InvalidArgument");
    world.ann(Ask::delete(&format!("/bkt/k?versionId={marker}"))).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt/k")).await.ok().text(), "22");
    world.ann(Ask::get("/bkt/k?versionId=nonsense")).await.refused(400, "InvalidArgument");
}
