//! Pages of objects, versions and uploads.

use super::*;
use crate::access::objects::request::{ListUploads, ListedVersion};

async fn filled(keys: &[&str]) -> World {
    let world = World::start().await;
    for key in keys {
        world.put(key, key.as_bytes()).await;
    }
    world
}

#[tokio::test]
async fn keys_come_in_order_of_their_bytes_whatever_the_page() {
    let world = filled(&["b", "a/2", "a", "a/1/x", "c/d", "é", "a\u{1}", "z"]).await;
    let all = ["a", "a\u{1}", "a/1/x", "a/2", "b", "c/d", "z", "é"];
    for max in [1, 2, 3, 1_000] {
        assert_eq!(world.keys("", None, max).await, (all.map(str::to_owned).to_vec(), vec![]));
        let (keys, prefixes) = world.keys("", Some("/"), max).await;
        assert_eq!((keys.join(" "), prefixes.join(" ")), ("a a\u{1} b z é".into(), "a/ c/".into()));
        let (keys, prefixes) = world.keys("a/", Some("/"), max).await;
        assert_eq!((keys.join(" "), prefixes.join(" ")), ("a/2".into(), "a/1/".into()));
        assert_eq!(world.keys("c", None, max).await.0, ["c/d"]);
        assert_eq!(world.keys("nothing", Some("/"), max).await, (vec![], vec![]));
    }
    let none = world.local.objects.list_objects(&world.bucket, ListObjects::default()).await.unwrap();
    assert_eq!((none.objects.len(), none.next), (0, None), "a page of 0 is empty and the last");
}

#[tokio::test]
async fn a_page_begins_after_a_key_and_after_a_common_prefix() {
    let world = filled(&["a/1", "a/2", "a/3", "b"]).await;
    let page = async |after: &str, delimiter: Option<&str>| {
        let (after, delimiter) = (Some(after.to_owned()), delimiter.map(str::to_owned));
        let ask = ListObjects { after, delimiter, max: 10, ..ListObjects::default() };
        let page = world.local.objects.list_objects(&world.bucket, ask).await.unwrap();
        let keys: Vec<String> = page.objects.into_iter().map(|object| object.key).collect();
        (keys.join(" "), page.prefixes.join(" "))
    };
    assert_eq!(page("a/2", None).await, ("a/3 b".into(), String::new()));
    assert_eq!(page("a/", Some("/")).await, ("b".into(), String::new()), "the prefix was returned before");
    assert_eq!(page("a/2", Some("/")).await, ("b".into(), "a/".into()));
    assert_eq!(page("zz", None).await, (String::new(), String::new()));
}

#[tokio::test]
async fn what_is_deleted_is_not_listed_nor_its_prefix() {
    let world = filled(&["a/1", "b/1", "b/2", "c"]).await;
    world.versioning(Versioning::Enabled).await;
    world.delete("a/1", None).await.unwrap();
    world.delete("b/1", None).await.unwrap();
    let (keys, prefixes) = world.keys("", Some("/"), 1).await;
    assert_eq!((keys, prefixes), (vec!["c".to_owned()], vec!["b/".to_owned()]));
}

#[tokio::test]
async fn versions_are_listed_under_prefixes_and_delimiters() {
    let world = World::start().await;
    world.versioning(Versioning::Enabled).await;
    for key in ["a", "d/1", "d/2", "e"] {
        world.put(key, b"1").await;
        world.put(key, b"2").await;
    }
    for max in [1, 3, 10] {
        let (mut keys, mut prefixes, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let ask = ListVersions { delimiter: Some("/".into()), after, max, ..ListVersions::default() };
            let page = world.local.objects.list_versions(&world.bucket, ask).await.unwrap();
            keys.extend(
                page.versions.into_iter().map(|ListedVersion { object, is_latest, .. }| (object.key, is_latest)),
            );
            prefixes.extend(page.prefixes);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected = [("a", true), ("a", false), ("e", true), ("e", false)];
        assert_eq!(keys, expected.map(|(key, latest)| (key.to_owned(), latest)));
        assert_eq!(prefixes, ["d/"]);
    }
    let whole_key = Some(("a".to_owned(), None));
    let ask = ListVersions { prefix: "".into(), after: whole_key, max: 1, ..ListVersions::default() };
    let page = world.local.objects.list_versions(&world.bucket, ask).await.unwrap();
    assert_eq!(page.versions[0].object.key, "d/1");
    let ask = ListVersions { prefix: "d/2".into(), max: 10, ..ListVersions::default() };
    let page = world.local.objects.list_versions(&world.bucket, ask).await.unwrap();
    assert_eq!(page.versions.len(), 2);
}

#[tokio::test]
async fn uploads_are_listed_by_key_and_age() {
    let world = World::start().await;
    let mut begun = Vec::new();
    for key in ["b", "a", "a", "d/1", "d/2"] {
        begun.push((key.to_owned(), world.begin(key).await));
    }
    let expected = [&begun[1], &begun[2], &begun[0]].map(Clone::clone);
    for max in [1, 2, 10] {
        let (mut uploads, mut prefixes, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let ask = ListUploads { delimiter: Some("/".into()), after, max, ..ListUploads::default() };
            let page = world.local.objects.list_uploads(&world.bucket, ask).await.unwrap();
            uploads.extend(page.uploads.into_iter().map(|upload| (upload.key, upload.upload)));
            prefixes.extend(page.prefixes);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((uploads, prefixes), (expected.to_vec(), vec!["d/".to_owned()]));
    }
    let ask = ListUploads { after: Some(("a".into(), None)), max: 10, ..ListUploads::default() };
    let page = world.local.objects.list_uploads(&world.bucket, ask).await.unwrap();
    assert_eq!(page.uploads[0].key, "b", "a key alone passes all of its uploads");
}
