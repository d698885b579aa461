//! Requests and answers.

use super::rig::{ECHO, Echo, Rig, SOON, assert_echo};
use crate::network::{NetError, Protocol, REQUEST_MAX_BYTES};
use bytes::Bytes;
use futures::future::join_all;
use std::{sync::Arc, time::Duration};

pub async fn a_request_is_answered(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    a.serve(ECHO, Arc::new(Echo));
    b.serve(ECHO, Arc::new(Echo));
    assert_echo(&a, b.local_peer()).await;
    assert_echo(&b, a.local_peer()).await;
    let large = Bytes::from(vec![9; REQUEST_MAX_BYTES]);
    let answer = a.request(b.local_peer(), ECHO, large.clone(), SOON).await.unwrap();
    assert_eq!(answer, large);
    let empty = a.request(b.local_peer(), ECHO, Bytes::new(), SOON).await.unwrap();
    assert!(empty.is_empty());
}

pub async fn unknown_protocols_and_refusals_reach_the_caller(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    b.serve(ECHO, Arc::new(Echo));
    let unknown = a.request(b.local_peer(), Protocol("/cess/none/1"), Bytes::new(), SOON).await.unwrap_err();
    assert!(matches!(&unknown, NetError::Refused { reason, .. } if reason.contains("/cess/none/1")), "{unknown}");
    let refused = a.request(b.local_peer(), ECHO, Bytes::from_static(b"refuse"), SOON).await.unwrap_err();
    assert!(matches!(&refused, NetError::Refused { reason, .. } if reason == "not today"), "{refused}");
    assert_echo(&a, b.local_peer()).await;
}

pub async fn a_deadline_ends_the_wait_and_nothing_else(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    b.serve(ECHO, Arc::new(Echo));
    let short = Duration::from_millis(50);
    let error = a.request(b.local_peer(), ECHO, Bytes::from_static(b"hang"), short).await.unwrap_err();
    assert!(matches!(error, NetError::Timeout { millis: 50, .. }), "{error}");
    assert_echo(&a, b.local_peer()).await;
}

pub async fn oversize_bodies_are_refused_on_both_sides(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    b.serve(ECHO, Arc::new(Echo));
    let body = Bytes::from(vec![0; REQUEST_MAX_BYTES + 1]);
    let error = a.request(b.local_peer(), ECHO, body, SOON).await.unwrap_err();
    assert!(matches!(error, NetError::TooLarge { len, max: REQUEST_MAX_BYTES, .. } if len == REQUEST_MAX_BYTES + 1));
    let error = a.request(b.local_peer(), ECHO, Bytes::from_static(b"flood"), SOON).await.unwrap_err();
    assert!(matches!(&error, NetError::Refused { reason, .. } if reason.contains("over the limit")), "{error}");
    assert_echo(&a, b.local_peer()).await;
}

pub async fn a_panic_in_a_handler_is_a_refusal(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    b.serve(ECHO, Arc::new(Echo));
    let error = a.request(b.local_peer(), ECHO, Bytes::from_static(b"panic"), SOON).await.unwrap_err();
    assert!(matches!(&error, NetError::Refused { reason, .. } if reason.contains("panicked")), "{error}");
    assert_echo(&a, b.local_peer()).await;
}

pub async fn many_requests_at_once(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    b.serve(ECHO, Arc::new(Echo));
    let asked = (0u32..200).map(|i| {
        let (a, peer) = (a.clone(), b.local_peer());
        async move {
            let body = Bytes::copy_from_slice(&i.to_le_bytes());
            assert_eq!(a.request(peer, ECHO, body.clone(), SOON).await.unwrap(), body);
        }
    });
    join_all(asked).await;
}

pub async fn a_host_answers_itself(rig: &mut impl Rig) {
    let a = rig.host(1).await;
    a.serve(ECHO, Arc::new(Echo));
    assert_echo(&a, a.local_peer()).await;
    let error = a.request(a.local_peer(), Protocol("/cess/none/1"), Bytes::new(), SOON).await.unwrap_err();
    assert!(matches!(error, NetError::Refused { .. }));
}
