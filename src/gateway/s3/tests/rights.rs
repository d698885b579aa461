//! Policies, lists, ownership and what is blocked.

use super::{
    client::Ask,
    world::{ANN_ACCOUNT, BOB_ACCOUNT, World},
};
use crate::gateway::s3::policy::account_text;

fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

async fn set(world: &World, statements: &str) {
    let status = world.ann(Ask::put("/bkt?policy", policy(statements))).await.ok().status;
    assert_eq!(status, 204);
}

async fn with_object() -> World {
    let world = World::with_bucket().await;
    world.ann(Ask::put("/bkt/pub/k", "open").with("x-amz-tagging", "shown=yes")).await.ok();
    world.ann(Ask::put("/bkt/k", "closed")).await.ok();
    world
}

const READ: &str = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/pub/*"}"#;

#[tokio::test]
async fn a_policy_opens_what_it_names() {
    let world = with_object().await;
    world.bob(Ask::get("/bkt/pub/k")).await.refused(403, "AccessDenied");
    world.anybody(Ask::get("/bkt/pub/k")).await.refused(403, "AccessDenied");
    world.ann(Ask::get("/bkt?policy")).await.refused(404, "NoSuchBucketPolicy");
    set(&world, READ).await;
    assert_eq!(world.ann(Ask::get("/bkt?policy")).await.ok().text(), policy(READ));
    assert_eq!(world.ann(Ask::get("/bkt?policyStatus")).await.ok().element("IsPublic"), "true");
    assert_eq!(world.anybody(Ask::get("/bkt/pub/k")).await.ok().text(), "open");
    assert_eq!(world.bob(Ask::head("/bkt/pub/k")).await.status, 200);
    world.anybody(Ask::get("/bkt/k")).await.refused(403, "AccessDenied");
    world.anybody(Ask::get("/bkt/pub/none")).await.refused(403, "AccessDenied");
    world.anybody(Ask::get("/bkt")).await.refused(403, "AccessDenied");
    world.bob(Ask::put("/bkt/pub/k", "mine")).await.refused(403, "AccessDenied");
    world.bob(Ask::get("/bkt?policy")).await.refused(403, "AccessDenied");
    let overridden = Ask::get("/bkt/pub/k?response-content-type=a%2Fb");
    world.anybody(overridden).await.refused(400, "InvalidRequest");
    let list = r#"{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bkt"}"#;
    set(&world, &format!("{READ},{list}")).await;
    world.anybody(Ask::get("/bkt/pub/none")).await.refused(404, "NoSuchKey");
    world.anybody(Ask::get("/bkt")).await.ok();
    assert_eq!(world.ann(Ask::delete("/bkt?policy")).await.status, 204);
    world.anybody(Ask::get("/bkt/pub/k")).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn a_policy_is_of_accounts_and_conditions() {
    let world = with_object().await;
    let bob = account_text(BOB_ACCOUNT);
    let write = format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{bob}:root"}},"Action":"s3:PutObject","Resource":"arn:aws:s3:::bkt/*","Condition":{{"StringEquals":{{"s3:x-amz-storage-class":"STANDARD_IA"}}}}}}"#
    );
    let tagged = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/*","Condition":{"StringEquals":{"s3:ExistingObjectTag/shown":"yes"}}}"#;
    let here = r#"{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bkt","Condition":{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"},"StringEquals":{"s3:prefix":"pub/"}}}"#;
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::bkt/k"}"#;
    set(&world, &format!("{write},{tagged},{here},{deny}")).await;
    world.bob(Ask::put("/bkt/b", "x")).await.refused(403, "AccessDenied");
    world.bob(Ask::put("/bkt/b", "x").with("x-amz-storage-class", "STANDARD_IA")).await.ok();
    assert_eq!(world.anybody(Ask::get("/bkt/pub/k")).await.ok().text(), "open");
    world.anybody(Ask::get("/bkt/k")).await.refused(403, "AccessDenied");
    world.anybody(Ask::get("/bkt?prefix=pub%2F")).await.ok();
    world.anybody(Ask::get("/bkt?prefix=")).await.refused(403, "AccessDenied");
    world.ann(Ask::delete("/bkt/k")).await.refused(403, "AccessDenied");
    let many = "<Delete><Object><Key>k</Key></Object><Object><Key>b</Key></Object></Delete>";
    let answer = world.ann(Ask::post("/bkt?delete", many)).await.ok();
    assert_eq!(answer.elements("Code"), ["AccessDenied"]);
    assert_eq!(answer.elements("Deleted"), ["<Key>b</Key>"]);
}

#[tokio::test]
async fn policies_that_are_not_understood_are_refused() {
    let world = World::with_bucket().await;
    for bad in [
        "{".to_owned(),
        policy(""),
        policy(
            &READ
                .replace("GetObject", "GetObject\",\"iam:*")
                .replace("\"s3:GetObject", "[\"s3:GetObject")
                .replace("iam:*\"", "iam:*\"]"),
        ),
        policy(&READ.replace("bkt", "other")),
        policy(&READ.replace("\"Effect\"", "\"Effekt\"")),
    ] {
        world.ann(Ask::put("/bkt?policy", bad)).await.refused(400, "MalformedPolicy");
    }
}

#[tokio::test]
async fn a_source_must_be_readable() {
    let world = with_object().await;
    world.bob(Ask::put("/bob", "")).await.ok();
    let copy = |key: &str| Ask::put("/bob/copy", "").with("x-amz-copy-source", &format!("/bkt/{key}"));
    world.bob(copy("pub/k")).await.refused(403, "AccessDenied");
    set(&world, READ).await;
    world.bob(copy("pub/k")).await.ok();
    world.bob(copy("k")).await.refused(403, "AccessDenied");
    assert_eq!(world.bob(Ask::get("/bob/copy")).await.ok().text(), "open");
}

#[tokio::test]
async fn an_expected_owner_must_be_the_owner() {
    let world = with_object().await;
    let ask = |account| Ask::get("/bkt/k").with("x-amz-expected-bucket-owner", &account_text(account));
    world.ann(ask(ANN_ACCOUNT)).await.ok();
    world.ann(ask(BOB_ACCOUNT)).await.refused(403, "AccessDenied");
}

async fn with_lists() -> World {
    let world = World::new().await;
    world.ann(Ask::put("/bkt", "").with("x-amz-object-ownership", "ObjectWriter")).await.ok();
    world
}

#[tokio::test]
async fn lists_have_no_effect_unless_asked_for() {
    let world = World::with_bucket().await;
    world
        .ann(Ask::put("/bkt/k", "x").with("x-amz-acl", "public-read"))
        .await
        .refused(400, "AccessControlListNotSupported");
    for harmless in ["private", "bucket-owner-full-control"] {
        world.ann(Ask::put("/bkt/k", "x").with("x-amz-acl", harmless)).await.ok();
    }
    world
        .ann(Ask::put("/bkt?acl", "").with("x-amz-acl", "public-read"))
        .await
        .refused(400, "AccessControlListNotSupported");
    world.ann(Ask::get("/bkt?ownershipControls")).await.refused(404, "OwnershipControlsNotFoundError");
    let got = world.ann(Ask::get("/bkt/k?acl")).await.ok();
    assert_eq!((got.element("Permission").as_str(), got.elements("Grant").len()), ("FULL_CONTROL", 1));
    let told = got.text();
    world.ann(Ask::put("/bkt/k?acl", told.as_str())).await.ok();
    // The grants come before the owner.
    let another = told.replacen(&account_text(ANN_ACCOUNT), &account_text(BOB_ACCOUNT), 1);
    world.ann(Ask::put("/bkt/k?acl", another.as_str())).await.refused(400, "AccessControlListNotSupported");
}

#[tokio::test]
async fn lists_open_buckets_and_objects() {
    let world = with_lists().await;
    world.ann(Ask::put("/bkt/k", "x").with("x-amz-acl", "public-read")).await.ok();
    assert_eq!(world.anybody(Ask::get("/bkt/k")).await.ok().text(), "x");
    world.anybody(Ask::get("/bkt")).await.refused(403, "AccessDenied");
    world.ann(Ask::put("/bkt?acl", "").with("x-amz-acl", "public-read-write")).await.ok();
    world.anybody(Ask::get("/bkt")).await.ok();
    world.bob(Ask::put("/bkt/bobs", "bob's")).await.ok();
    world.ann(Ask::get("/bkt/bobs")).await.refused(403, "AccessDenied");
    assert_eq!(world.bob(Ask::get("/bkt/bobs")).await.ok().text(), "bob's");
    let owner = world.bob(Ask::get("/bkt/bobs?acl")).await.ok().element("ID");
    assert_eq!(owner, account_text(BOB_ACCOUNT));
    world.bob(Ask::put("/bkt/bobs?acl", "").with("x-amz-acl", "bucket-owner-read")).await.ok();
    world.ann(Ask::get("/bkt/bobs")).await.ok();
    world.ann(Ask::delete("/bkt/bobs")).await.ok();
    let grant = format!("id=\"{}\"", account_text(BOB_ACCOUNT));
    world.ann(Ask::put("/bkt/k?acl", "").with("x-amz-grant-read", &grant)).await.ok();
    world.anybody(Ask::get("/bkt/k")).await.refused(403, "AccessDenied");
    world.bob(Ask::get("/bkt/k")).await.ok();
    let owner = account_text(ANN_ACCOUNT);
    let document = format!(
        "<AccessControlPolicy><Owner><ID>{owner}</ID></Owner><AccessControlList><Grant>\
         <Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\">\
         <URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>\
         </AccessControlList></AccessControlPolicy>"
    );
    world.ann(Ask::put("/bkt/k?acl", document.clone())).await.ok();
    world.anybody(Ask::get("/bkt/k")).await.ok();
    let unknown = document.replace("AllUsers", "Friends");
    world.ann(Ask::put("/bkt/k?acl", unknown)).await.refused(400, "InvalidArgument");
    world.ann(Ask::put("/bkt/k?acl", "").with("x-amz-acl", "open")).await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn blocking_public_access_wins() {
    let world = with_lists().await;
    world.ann(Ask::put("/bkt/k", "x").with("x-amz-acl", "public-read")).await.ok();
    world.ann(Ask::get("/bkt?publicAccessBlock")).await.refused(404, "NoSuchPublicAccessBlockConfiguration");
    let block =
        |what: &str| format!("<PublicAccessBlockConfiguration><{what}>true</{what}></PublicAccessBlockConfiguration>");
    world.ann(Ask::put("/bkt?publicAccessBlock", block("IgnorePublicAcls"))).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt?publicAccessBlock")).await.ok().element("IgnorePublicAcls"), "true");
    world.anybody(Ask::get("/bkt/k")).await.refused(403, "AccessDenied");
    world.ann(Ask::put("/bkt?publicAccessBlock", block("BlockPublicAcls"))).await.ok();
    world.anybody(Ask::get("/bkt/k")).await.ok();
    world.ann(Ask::put("/bkt/k", "x").with("x-amz-acl", "public-read")).await.refused(403, "AccessDenied");
    world.ann(Ask::put("/bkt?publicAccessBlock", block("BlockPublicPolicy"))).await.ok();
    let all = READ.replace("pub/*", "*");
    world.ann(Ask::put("/bkt?policy", policy(&all))).await.refused(403, "AccessDenied");
    assert_eq!(world.ann(Ask::delete("/bkt?publicAccessBlock")).await.status, 204);
    world.ann(Ask::put("/bkt/p", "x")).await.ok();
    set(&world, &all).await;
    world.anybody(Ask::get("/bkt/p")).await.ok();
    world.ann(Ask::put("/bkt?publicAccessBlock", block("RestrictPublicBuckets"))).await.ok();
    world.anybody(Ask::get("/bkt/p")).await.refused(403, "AccessDenied");
    world.ann(Ask::get("/bkt/p")).await.ok();
}

#[tokio::test]
async fn ownership_can_change() {
    let world = with_lists().await;
    let controls = |ownership: &str| {
        format!("<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>")
    };
    assert_eq!(world.ann(Ask::get("/bkt?ownershipControls")).await.ok().element("ObjectOwnership"), "ObjectWriter");
    world.ann(Ask::put("/bkt?acl", "").with("x-amz-acl", "public-read-write")).await.ok();
    world
        .ann(Ask::put("/bkt?ownershipControls", controls("BucketOwnerEnforced")))
        .await
        .refused(400, "InvalidBucketAclWithObjectOwnership");
    world.ann(Ask::put("/bkt?ownershipControls", controls("BucketOwnerPreferred"))).await.ok();
    world
        .bob(Ask::put("/bkt/given", "x").with("x-amz-acl", "bucket-owner-full-control"))
        .await
        .refused(403, "AccessDenied");
    let bob = account_text(BOB_ACCOUNT);
    let may = format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{bob}"}},"Action":["s3:PutObject","s3:PutObjectAcl"],"Resource":"arn:aws:s3:::bkt/*"}}"#
    );
    set(&world, &may).await;
    world.bob(Ask::put("/bkt/given", "x").with("x-amz-acl", "bucket-owner-full-control")).await.ok();
    world.ann(Ask::get("/bkt/given")).await.ok();
    world.ann(Ask::put("/bkt?ownershipControls", controls("Nobody"))).await.refused(400, "MalformedXML");
    world.ann(Ask::put("/bkt?acl", "").with("x-amz-acl", "private")).await.ok();
    world.ann(Ask::put("/bkt?ownershipControls", controls("BucketOwnerEnforced"))).await.ok();
    assert_eq!(world.ann(Ask::delete("/bkt?ownershipControls")).await.status, 204);
}
