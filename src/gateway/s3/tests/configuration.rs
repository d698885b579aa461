//! Cross-origin rules, websites, encryption, lifecycle, and what is not there.

use super::{
    client::{Ask, Reply},
    world::World,
};
use axum::http::Method;

const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.example.org</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
    <AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <MaxAgeSeconds>30</MaxAgeSeconds></CORSRule></CORSConfiguration>";

fn preflight(origin: &str, method: &str) -> Ask {
    Ask::new(Method::OPTIONS, "/bkt/k").with("origin", origin).with("access-control-request-method", method)
}

#[tokio::test]
async fn browsers_are_told_what_they_may() {
    let world = World::with_bucket().await;
    let origin = "https://app.example.org";
    world.ann(Ask::get("/bkt?cors")).await.refused(404, "NoSuchCORSConfiguration");
    world.anybody(preflight(origin, "GET")).await.refused(403, "AccessForbidden");
    world.ann(Ask::put("/bkt?cors", CORS)).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt?cors")).await.ok().element("MaxAgeSeconds"), "30");
    let told = world.anybody(preflight(origin, "PUT").with("access-control-request-headers", "X-Amz-Date")).await.ok();
    assert_eq!(told.header("access-control-allow-origin"), origin);
    assert_eq!(told.header("access-control-allow-headers"), "x-amz-date");
    assert_eq!(told.header("access-control-max-age"), "30");
    world.anybody(preflight("https://evil.example.com", "GET")).await.refused(403, "AccessForbidden");
    world.anybody(preflight(origin, "DELETE")).await.refused(403, "AccessForbidden");
    world.anybody(Ask::new(Method::OPTIONS, "/bkt/k")).await.refused(400, "BadRequest");
    world.ann(Ask::put("/bkt/k", "x")).await.ok();
    let got = world.ann(Ask::get("/bkt/k").with("origin", origin)).await.ok();
    assert_eq!(got.header("access-control-allow-origin"), origin);
    assert_eq!(got.header("access-control-expose-headers"), "ETag");
    let refused = world.anybody(Ask::get("/bkt/k").with("origin", origin)).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, origin));
    assert_eq!(
        world.ann(Ask::get("/bkt/k").with("origin", "https://x.com")).await.header("access-control-allow-origin"),
        ""
    );
    let bad = CORS.replace("PUT", "PATCH");
    world.ann(Ask::put("/bkt?cors", bad)).await.refused(400, "InvalidRequest");
    assert_eq!(world.ann(Ask::delete("/bkt?cors")).await.status, 204);
}

async fn visit(world: &World, path: &str) -> Reply {
    world.anybody(Ask::get(path).host("bkt.s3-website.s3.test:80")).await
}

#[tokio::test]
async fn a_bucket_can_be_a_website() {
    let world = World::with_bucket().await;
    assert_eq!(visit(&world, "/").await.status, 404);
    let site = "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>oops.html</Key>\
        </ErrorDocument><RoutingRules><RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition><Redirect>\
        <ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>";
    world.ann(Ask::put("/bkt?website", site)).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt?website")).await.ok().element("Suffix"), "index.html");
    for (key, text) in [("index.html", "home"), ("docs/index.html", "docs"), ("oops.html", "oops"), ("page", "page")] {
        world.ann(Ask::put(&format!("/bkt/{key}"), text).with("content-type", "text/html")).await.ok();
    }
    world.ann(Ask::put("/bkt/moved", "").with("x-amz-website-redirect-location", "/page")).await.ok();
    assert_eq!(visit(&world, "/").await.status, 403);
    let open = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/*"},
        {"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bkt"}]}"#;
    world.ann(Ask::put("/bkt?policy", open)).await.ok();
    for (path, status, text) in
        [("/", 200, "home"), ("/docs/", 200, "docs"), ("/page", 200, "page"), ("/none", 404, "oops")]
    {
        let got = visit(&world, path).await;
        assert_eq!((got.status, got.text().as_str()), (status, text), "{path}");
        assert_eq!(got.header("content-type"), "text/html");
    }
    for (path, status, to) in [
        ("/docs", 302, "/docs/"),
        ("/old/a%20b", 301, "http://bkt.s3-website.s3.test:80/new/a%20b"),
        ("/moved", 301, "/page"),
    ] {
        let got = visit(&world, path).await;
        assert_eq!((got.status, got.header("location")), (status, to), "{path}");
    }
    let put = Ask::put("/page", "x").host("bkt.s3-website.s3.test");
    assert_eq!(world.ann(put).await.status, 405);
    let all = "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>example.org</HostName><Protocol>https</Protocol>\
        </RedirectAllRequestsTo></WebsiteConfiguration>";
    world.ann(Ask::put("/bkt?website", all)).await.ok();
    assert_eq!(visit(&world, "/x").await.header("location"), "https://example.org/x");
    world
        .ann(Ask::put("/bkt?website", "<WebsiteConfiguration></WebsiteConfiguration>"))
        .await
        .refused(400, "InvalidArgument");
    assert_eq!(world.ann(Ask::delete("/bkt?website")).await.status, 204);
    world.ann(Ask::get("/bkt?website")).await.refused(404, "NoSuchWebsiteConfiguration");
}

#[tokio::test]
async fn encryption_is_on_and_can_be_off() {
    let world = World::with_bucket().await;
    assert_eq!(world.ann(Ask::get("/bkt?encryption")).await.ok().element("SSEAlgorithm"), "AES256");
    let rule = |algorithm: &str| {
        format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}</SSEAlgorithm>\
             </ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        )
    };
    world.ann(Ask::put("/bkt?encryption", rule("aws:kms"))).await.refused(501, "NotImplemented");
    world.ann(Ask::put("/bkt?encryption", rule("none"))).await.ok();
    world.ann(Ask::get("/bkt?encryption")).await.refused(404, "ServerSideEncryptionConfigurationNotFoundError");
    assert_eq!(world.ann(Ask::put("/bkt/k", "x")).await.ok().header("x-amz-server-side-encryption"), "");
    assert_eq!(world.ann(Ask::head("/bkt/k")).await.ok().header("x-amz-server-side-encryption"), "");
    world.ann(Ask::delete("/bkt?encryption")).await.ok();
    assert_eq!(world.ann(Ask::put("/bkt/k", "x")).await.ok().header("x-amz-server-side-encryption"), "AES256");
}

#[tokio::test]
async fn lifecycle_rules_are_kept_and_told() {
    let world = World::with_bucket().await;
    world.ann(Ask::get("/bkt?lifecycle")).await.refused(404, "NoSuchLifecycleConfiguration");
    let rules = "<LifecycleConfiguration><Rule><ID>gone</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status>\
        <Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>";
    world.ann(Ask::put("/bkt?lifecycle", rules)).await.ok();
    assert_eq!(world.ann(Ask::get("/bkt?lifecycle")).await.ok().element("ID"), "gone");
    let put = world.ann(Ask::put("/bkt/tmp/k", "x")).await.ok();
    assert!(put.header("x-amz-expiration").ends_with("rule-id=\"gone\""), "{}", put.header("x-amz-expiration"));
    assert!(world.ann(Ask::head("/bkt/tmp/k")).await.ok().header("x-amz-expiration").starts_with("expiry-date="));
    assert_eq!(world.ann(Ask::put("/bkt/k", "x")).await.ok().header("x-amz-expiration"), "");
    world.ann(Ask::put("/bkt?lifecycle", rules.replace("<Days>1</Days>", ""))).await.refused(400, "MalformedXML");
    assert_eq!(world.ann(Ask::delete("/bkt?lifecycle")).await.status, 204);
    world.ann(Ask::get("/bkt?lifecycle")).await.refused(404, "NoSuchLifecycleConfiguration");
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let world = World::with_bucket().await;
    world.ann(Ask::post("/bkt/k?select&select-type=2", "x")).await.refused(501, "NotImplemented");
    world.ann(Ask::get("/bkt/k?torrent")).await.refused(501, "NotImplemented");
    world.ann(Ask::new(Method::PATCH, "/bkt/k")).await.refused(501, "NotImplemented");
    assert_eq!(world.ann(Ask::get("/bkt?requestPayment")).await.ok().element("Payer"), "BucketOwner");
    for empty in ["logging", "notification", "accelerate"] {
        world.ann(Ask::get(&format!("/bkt?{empty}"))).await.ok();
    }
    world.ann(Ask::get("/bkt?replication")).await.refused(404, "ReplicationConfigurationNotFoundError");
    world.ann(Ask::delete("/bkt?replication")).await.ok();
    for (query, off, on) in [
        (
            "requestPayment",
            "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
            "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
        ),
        (
            "logging",
            "<BucketLoggingStatus/>",
            "<BucketLoggingStatus><LoggingEnabled><TargetBucket>bkt</TargetBucket><TargetPrefix>l/</TargetPrefix></LoggingEnabled>\
             </BucketLoggingStatus>",
        ),
        (
            "notification",
            "<NotificationConfiguration/>",
            "<NotificationConfiguration><TopicConfiguration><Topic>arn:aws:sns:us-east-1:1:t</Topic><Event>s3:ObjectCreated:*</Event>\
             </TopicConfiguration></NotificationConfiguration>",
        ),
        (
            "accelerate",
            "<AccelerateConfiguration><Status>Suspended</Status></AccelerateConfiguration>",
            "<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>",
        ),
    ] {
        let path = format!("/bkt?{query}");
        world.ann(Ask::put(&path, off)).await.ok();
        world.ann(Ask::put(&path, on)).await.refused(501, "NotImplemented");
        world.bob(Ask::put(&path, off)).await.refused(403, "AccessDenied");
    }
    world
        .ann(Ask::put("/bkt?cors", "<CORSConfiguration><").with("content-type", "text/xml"))
        .await
        .refused(400, "MalformedXML");
}
