//! One conformance suite of the network port, run on TCP, on QUIC and on the in-memory twin.

mod bulk;
mod gossip;
mod peers;
pub(super) mod rig;
mod small;

macro_rules! conformance {
    ($($suite:ident :: { $($case:ident),+ $(,)? })+) => {
        mod tcp {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$suite::$case(&mut super::rig::HostRig::tcp()).await;
            })+)+
        }
        mod quic {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$suite::$case(&mut super::rig::HostRig::quic()).await;
            })+)+
        }
        mod memory {
            $($(#[tokio::test]
            async fn $case() {
                super::$suite::$case(&mut super::rig::MemoryRig::new()).await;
            })+)+
        }
    };
}

conformance! {
    small::{
        a_request_is_answered,
        unknown_protocols_and_refusals_reach_the_caller,
        a_deadline_ends_the_wait_and_nothing_else,
        oversize_bodies_are_refused_on_both_sides,
        a_panic_in_a_handler_is_a_refusal,
        many_requests_at_once,
        a_host_answers_itself,
    }
    bulk::{
        frames_arrive_in_order_and_the_end_is_seen,
        oversize_frames_are_refused_without_harm,
        a_slow_reader_holds_the_sender_back,
        a_hundred_streams_at_once,
        streams_without_acceptor_are_refused,
        a_later_acceptor_replaces_the_earlier,
        a_cancelled_recv_loses_nothing,
        a_stopped_host_breaks_its_streams,
        a_host_streams_to_itself,
    }
    gossip::{
        gossip_reaches_every_subscriber_once,
        a_large_message_is_passed_on,
        an_oversize_message_is_refused,
    }
    peers::{
        both_sides_see_peers_come_and_go,
        a_disconnected_peer_is_reached_again,
        one_connection_serves_concurrent_callers,
        the_connection_limit_holds,
    }
}

// Over QUIC an absent peer is silent, and silence takes its seconds.
mod absent {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_absent_peer_is_unreachable_over_tcp() {
        super::peers::an_absent_peer_is_unreachable(&mut super::rig::HostRig::tcp()).await;
    }

    #[tokio::test]
    async fn an_absent_peer_is_unreachable_in_memory() {
        super::peers::an_absent_peer_is_unreachable(&mut super::rig::MemoryRig::new()).await;
    }
}
