//! Bulk streams.

use super::rig::{BULK, ECHO, Echo, Rig, assert_echo, next, soon, stream, until};
use crate::network::{FRAME_MAX_BYTES, NetError};
use bytes::Bytes;
use futures::{FutureExt, future::join_all};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

pub async fn frames_arrive_in_order_and_the_end_is_seen(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    let (mut ours, theirs) = stream(&a, &b).await;
    assert_eq!(ours.peer(), b.local_peer());
    assert_eq!(theirs.peer(), a.local_peer());
    let (mut their_sink, mut their_source) = theirs.split();
    let sizes = [0, 1, 16_379, 16_380, 16_381, 1 << 20, FRAME_MAX_BYTES, 3];
    let echo = tokio::spawn(async move {
        while let Some(frame) = their_source.recv().await.unwrap() {
            their_sink.send(frame).await.unwrap();
        }
    });
    for (i, size) in sizes.into_iter().enumerate() {
        let frame = Bytes::from(vec![u8::try_from(i).unwrap(); size]);
        ours.send(frame.clone()).await.unwrap();
        assert_eq!(soon("a frame", ours.recv()).await.unwrap(), Some(frame));
    }
    let (sink, mut source) = ours.split();
    drop(sink);
    assert_eq!(soon("the end", source.recv()).await.unwrap(), None);
    assert_eq!(source.recv().await.unwrap(), None);
    soon("the echo's end", echo).await.unwrap();
}

pub async fn oversize_frames_are_refused_without_harm(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    b.serve(ECHO, Arc::new(Echo));
    let (mut ours, mut theirs) = stream(&a, &b).await;
    let error = ours.send(Bytes::from(vec![0; FRAME_MAX_BYTES + 1])).await.unwrap_err();
    assert!(matches!(error, NetError::TooLarge { max: FRAME_MAX_BYTES, .. }), "{error}");
    ours.send(Bytes::from_static(b"still fine")).await.unwrap();
    assert_eq!(soon("a frame", theirs.recv()).await.unwrap().unwrap(), "still fine");
    assert_echo(&a, b.local_peer()).await;
}

pub async fn a_slow_reader_holds_the_sender_back(rig: &mut impl Rig) {
    const FRAME: usize = 1 << 20;
    const FRAMES: usize = 32;
    let (a, b) = rig.pair().await;
    b.serve(ECHO, Arc::new(Echo));
    let (mut ours, mut theirs) = stream(&a, &b).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let sender = tokio::spawn(async move {
        for _ in 0..FRAMES {
            ours.send(Bytes::from(vec![1; FRAME])).await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (mut last, mut since) = (0, Instant::now());
    until("the sender stalls", || {
        let now = sent.load(Ordering::SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(250)
    })
    .await;
    assert!(last * FRAME <= 24 << 20, "{last} MiB were taken from the sender");
    assert!(!sender.is_finished());
    assert_echo(&a, b.local_peer()).await;
    for _ in 0..FRAMES {
        assert_eq!(soon("a frame", theirs.recv()).await.unwrap().unwrap().len(), FRAME);
    }
    soon("the sender ends", sender).await.unwrap();
}

pub async fn a_hundred_streams_at_once(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    let mut accepted = b.accept(BULK);
    let acceptor = tokio::spawn(async move {
        let mut echoes = Vec::new();
        for _ in 0..100 {
            let mut frames = next(&mut accepted).await;
            echoes.push(tokio::spawn(async move {
                let frame = frames.recv().await.unwrap().unwrap();
                frames.send(frame).await.unwrap();
                assert_eq!(frames.recv().await.unwrap(), None);
            }));
        }
        for echo in echoes {
            echo.await.unwrap();
        }
    });
    let streams = (0u8..100).map(|i| {
        let (a, peer) = (a.clone(), b.local_peer());
        async move {
            let mut frames = a.open(peer, BULK).await.unwrap();
            let frame = Bytes::from(vec![i; 10_000]);
            frames.send(frame.clone()).await.unwrap();
            assert_eq!(frames.recv().await.unwrap(), Some(frame));
        }
    });
    soon("all streams", join_all(streams)).await;
    soon("all echoes", acceptor).await.unwrap();
}

pub async fn streams_without_acceptor_are_refused(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    let refused = |result: Result<_, NetError>| matches!(result.err(), Some(NetError::Refused { .. }));
    assert!(refused(a.open(b.local_peer(), BULK).await.map(drop)));
    let accepted = b.accept(BULK);
    let kept = a.open(b.local_peer(), BULK).await.unwrap();
    drop(accepted);
    assert!(refused(a.open(b.local_peer(), BULK).await.map(drop)));
    drop(kept);
    let _accepted = b.accept(BULK);
    let mut waiting = Vec::new();
    let full = loop {
        match a.open(b.local_peer(), BULK).await {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
        assert!(waiting.len() <= 1000, "the accept queue has no bound");
    };
    assert!(matches!(full, NetError::Refused { .. }), "{full}");
}

pub async fn a_later_acceptor_replaces_the_earlier(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    let mut first = b.accept(BULK);
    let mut second = b.accept(BULK);
    let _ours = a.open(b.local_peer(), BULK).await.unwrap();
    next(&mut second).await;
    assert!(soon("the first ends", first.recv()).await.is_none());
}

pub async fn a_cancelled_recv_loses_nothing(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    let (mut ours, mut theirs) = stream(&a, &b).await;
    let sender = tokio::spawn(async move {
        for i in 0u8..8 {
            ours.send(Bytes::from(vec![i; 300_000])).await.unwrap();
        }
    });
    for i in 0u8..8 {
        let mut got = None;
        until("a frame", || {
            // Each poll is a recv of its own, dropped when not ready.
            got = theirs.recv().now_or_never();
            got.is_some()
        })
        .await;
        let frame = got.unwrap().unwrap().unwrap();
        assert_eq!(frame, Bytes::from(vec![i; 300_000]));
    }
    sender.await.unwrap();
}

pub async fn a_stopped_host_breaks_its_streams(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    b.serve(ECHO, Arc::new(Echo));
    let (mut ours, _theirs) = stream(&a, &b).await;
    b.shutdown().await;
    let end = soon("the stream breaks", ours.recv()).await;
    assert!(matches!(end, Err(NetError::Closed(_))), "{end:?}");
    let error = a.request(b.local_peer(), ECHO, Bytes::new(), Duration::from_millis(300)).await.unwrap_err();
    assert!(!matches!(error, NetError::Refused { .. }), "{error}");
    let error = b.request(a.local_peer(), ECHO, Bytes::new(), Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error, NetError::Closed(_)), "{error}");
    assert!(b.open(a.local_peer(), BULK).await.is_err());
}

pub async fn a_host_streams_to_itself(rig: &mut impl Rig) {
    let a = rig.host(1).await;
    let (mut ours, mut theirs) = stream(&a, &a).await;
    ours.send(Bytes::from_static(b"there")).await.unwrap();
    assert_eq!(theirs.recv().await.unwrap().unwrap(), "there");
    theirs.send(Bytes::from_static(b"and back")).await.unwrap();
    assert_eq!(ours.recv().await.unwrap().unwrap(), "and back");
    drop(ours);
    assert_eq!(theirs.recv().await.unwrap(), None);
}
