//! Gossip.

use super::rig::{Rig, connect, soon};
use crate::network::{GOSSIP_MAX_BYTES, NetError, Network, Topic};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

const NEWS: Topic = Topic("news");

/// A star: the publisher is a leaf, so that messages are forwarded.
pub async fn gossip_reaches_every_subscriber_once(rig: &mut impl Rig) {
    let mut hosts = Vec::new();
    for seed in 1..=4 {
        hosts.push(rig.host(seed).await);
    }
    let mut inboxes: Vec<_> = hosts.iter().map(|host| host.subscribe(NEWS)).collect();
    for leaf in &hosts[1..] {
        connect(leaf, &hosts[0]).await;
    }
    let publisher = &hosts[3];
    let mut others: Vec<_> = inboxes.drain(..3).collect();
    // Subscriptions spread in their own time: publish until one message has reached everyone.
    let mut round = 0u32;
    soon("gossip everywhere", async {
        for inbox in &mut others {
            loop {
                publish(publisher, format!("round {round}")).await;
                round += 1;
                if let Ok(message) = timeout(Duration::from_millis(50), inbox.recv()).await {
                    assert_eq!(message.unwrap().0, publisher.local_peer());
                    break;
                }
            }
        }
    })
    .await;
    for _ in 0..2 {
        publish(publisher, "the same".to_owned()).await;
    }
    publish(publisher, "last".to_owned()).await;
    for inbox in &mut others {
        let mut same = 0;
        let last = loop {
            let (_, data) = soon("the last message", inbox.recv()).await.unwrap();
            match &data[..] {
                b"the same" => same += 1,
                b"last" => break data,
                _ => {}
            }
        };
        assert_eq!(last, "last");
        assert!(same <= 1, "the same content came {same} times");
    }
}

async fn publish(host: &Arc<dyn Network>, text: String) {
    host.publish(NEWS, Bytes::from(text)).await.unwrap();
}

/// The publisher is a leaf again: the hub waits before it passes the message on, and then does.
pub async fn a_large_message_is_passed_on(rig: &mut impl Rig) {
    let hub = rig.host(1).await;
    let (publisher, listener) = (rig.host(2).await, rig.host(3).await);
    let mut inbox = listener.subscribe(NEWS);
    let _others = (hub.subscribe(NEWS), publisher.subscribe(NEWS));
    connect(&publisher, &hub).await;
    connect(&listener, &hub).await;
    let mut large = vec![7u8; 1 << 20];
    soon("the large message", async {
        loop {
            // Subscriptions spread in their own time, and equal content is news only once.
            large[0] = large[0].wrapping_add(1);
            publisher.publish(NEWS, Bytes::from(large.clone())).await.unwrap();
            if let Ok(message) = timeout(Duration::from_millis(300), inbox.recv()).await {
                let (author, data) = message.unwrap();
                assert_eq!((author, data.len(), data[1]), (publisher.local_peer(), 1 << 20, 7));
                break;
            }
        }
    })
    .await;
}

pub async fn an_oversize_message_is_refused(rig: &mut impl Rig) {
    let host = rig.host(1).await;
    let error = host.publish(NEWS, Bytes::from(vec![0; GOSSIP_MAX_BYTES + 1])).await.unwrap_err();
    assert!(matches!(error, NetError::TooLarge { max: GOSSIP_MAX_BYTES, .. }), "{error}");
    // Nobody listens: not an error of the publisher.
    host.publish(NEWS, Bytes::from_static(b"alone")).await.unwrap();
}
