//! A member under an attacker's control against three honest ones.

use super::*;
use crate::{
    chain::bft::{codec::Message, hub::BFT_PROTOCOL, proposals::parts_of},
    codec,
    consensus::{
        Evidence, HeadedProposal,
        context::Account,
        messages::{Proposal, Vote, VoteKind},
    },
    network::{Frames, Network},
};
use arc_malachitebft_app_channel::app::types::core::NilOrVal;
use bytes::Bytes;

/// Holds the keys of the last of four members, has links to the others and says what the test wants.
struct Puppet {
    keys: NodeKeys,
    /// To each honest member.
    streams: Vec<Box<dyn Frames>>,
    _net: Arc<dyn Network>,
}

const HONEST: [usize; 3] = [0, 1, 2];
const PUPPET: usize = 3;

impl Puppet {
    /// A running cluster of three honest members with the puppet among them.
    async fn in_cluster(prepare: impl Fn(&mut ToyChain)) -> (Cluster, Self) {
        let mut cluster = Cluster::new(4, 0, |_, chain| prepare(chain));
        for i in HONEST {
            cluster.up(i).await;
        }
        let net: Arc<dyn Network> = cluster.net.join(cluster.peer(PUPPET));
        let mut streams = Vec::new();
        for i in HONEST {
            streams.push(link(net.as_ref(), cluster.peer(i)).await);
        }
        let keys = cluster.chains[PUPPET].keys.clone();
        (cluster, Self { keys, streams, _net: net })
    }

    /// Waits for the next height whose first proposer the puppet is, or is not.
    async fn turn(&self, chain: &ToyChain, mine: bool) -> Height {
        let mut tip = chain.tip.subscribe();
        let first = |tip: &Tip| rotation::proposer(&chain.committee, &tip.seed, tip.height + 1, 0);
        let found = tip.wait_for(|tip| (first(tip) == self.keys.address()) == mine);
        timeout(PATIENCE, found).await.expect("such a height comes").unwrap().height + 1
    }

    async fn say(&mut self, to: &[usize], message: &Message) {
        for i in to {
            self.streams[*i].send(message.encode()).await.unwrap();
        }
    }

    async fn send_parts(&mut self, to: &[usize], block: &Block) {
        for part in parts_of(block) {
            self.say(to, &Message::Part(part)).await;
        }
    }

    async fn propose(&mut self, to: &[usize], block: &Block, round: u32, pol_round: Option<u32>) {
        let (header, proposer) = (block.header.clone(), Account(self.keys.address()));
        let proposal = Proposal { height: header.height, round, pol_round, block: header.id(), proposer };
        let signature = self.keys.consensus.sign(&proposal.sign_bytes(CHAIN));
        let headed = Box::new(HeadedProposal { proposal, header });
        self.say(to, &Message::Proposal(headed, signature)).await;
    }

    async fn prevote(&mut self, to: &[usize], block: &Block, round: u32) {
        let (height, voter) = (block.header.height, Account(self.keys.address()));
        let vote = Vote { kind: VoteKind::Prevote, height, round, block: NilOrVal::Val(block.id()), voter };
        let signature = self.keys.consensus.sign(&vote.sign_bytes(CHAIN));
        self.say(to, &Message::Vote(vote, signature)).await;
    }

    /// A block of the puppet for `round` of the next height.
    fn block(&self, chain: &ToyChain, round: u32) -> Block {
        chain.build(&self.keys, round)
    }
}

/// A stream to `peer`, once it takes any.
async fn link(net: &dyn Network, peer: PeerId) -> Box<dyn Frames> {
    let mut attempts = tokio::time::interval(Duration::from_millis(1));
    let opened = async {
        loop {
            attempts.tick().await;
            if let Ok(stream) = net.open(peer, BFT_PROTOCOL).await {
                return stream;
            }
        }
    };
    timeout(PATIENCE, opened).await.expect("members take streams")
}

/// Without the attack the puppet's block is decided: what the other tests miss is not for want of a connection.
#[tokio::test]
async fn the_puppet_is_heard_whatever_comes_first() {
    let (cluster, mut puppet) = Puppet::in_cluster(|chain| chain.body_bytes = 600_000).await;
    let chain = cluster.chains[0].clone();
    for parts_first in [true, false] {
        let mut tries = 0;
        loop {
            let height = puppet.turn(&chain, true).await;
            let block = puppet.block(&chain, 0);
            if parts_first {
                puppet.send_parts(&HONEST, &block).await;
                puppet.propose(&HONEST, &block, 0, None).await;
            } else {
                puppet.propose(&HONEST, &block, 0, None).await;
                puppet.send_parts(&HONEST, &block).await;
            }
            chain.reached(height).await;
            if chain.block(height).unwrap().0.id() == block.id() {
                break;
            }
            // A busy machine may have let the turn pass.
            tries += 1;
            assert!(tries < 10, "the puppet's blocks are never decided");
        }
    }
    cluster.check_agreement();
}

#[tokio::test]
async fn a_block_of_a_later_turn_is_not_decided_in_an_earlier_one() {
    let (cluster, mut puppet) = Puppet::in_cluster(|_| ()).await;
    let chain = cluster.chains[0].clone();
    for parts_first in [true, false, true] {
        let height = puppet.turn(&chain, true).await;
        // With four members the fifth round is the puppet's again.
        let later = puppet.block(&chain, 4);
        if parts_first {
            puppet.send_parts(&HONEST, &later).await;
        }
        // A claim of earlier votes does not help.
        puppet.propose(&HONEST, &later, 4, None).await;
        puppet.propose(&HONEST, &later, 0, None).await;
        puppet.send_parts(&HONEST, &later).await;
        cluster.reached(&HONEST, height).await;
        let (decided, certificate) = chain.block(height).unwrap();
        assert_ne!(decided.id(), later.id());
        assert!(decided.header.round > 0 && decided.header.round <= certificate.round);
    }
    cluster.check_agreement();
}

#[tokio::test]
async fn a_block_from_the_future_is_not_decided_whatever_votes_it_claims() {
    let (cluster, mut puppet) = Puppet::in_cluster(|_| ()).await;
    let chain = cluster.chains[0].clone();
    for _ in 0..3 {
        let height = puppet.turn(&chain, true).await;
        let mut ahead = puppet.block(&chain, 0);
        ahead.header.time_ms = AHEAD_MAX_MS * 4;
        puppet.send_parts(&HONEST, &ahead).await;
        // In its next turn it would build on votes it claims for the first one.
        puppet.propose(&HONEST, &ahead, 4, Some(0)).await;
        puppet.propose(&HONEST, &ahead, 0, Some(0)).await;
        puppet.propose(&HONEST, &ahead, 0, None).await;
        cluster.reached(&HONEST, height).await;
        assert!(chain.block(height).unwrap().0.header.time_ms <= AHEAD_MAX_MS);
    }
    cluster.check_agreement();
}

#[tokio::test]
async fn blocks_nobody_proposed_keep_nobody_from_proposing() {
    let (cluster, mut puppet) = Puppet::in_cluster(|chain| chain.interval = Duration::from_millis(50)).await;
    let chain = cluster.chains[0].clone();
    let (mut at_once, mut height) = (0, 0);
    while at_once < 5 {
        assert!(height < 100, "{at_once} of {height} heights were decided in their first round");
        height = puppet.turn(&chain, false).await;
        for _ in 0..4 {
            let turn = (1..4).find(|round| chain.check(&puppet.block(&chain, *round)).is_ok());
            let (valid, mut bad) = (puppet.block(&chain, turn.unwrap_or(1)), puppet.block(&chain, 0));
            bad.header.parent = BlockId([0xbd; 32]);
            puppet.send_parts(&HONEST, &valid).await;
            puppet.send_parts(&HONEST, &bad).await;
            // Nor do proposals out of turn.
            puppet.propose(&HONEST, &bad, 0, None).await;
        }
        cluster.reached(&HONEST, height).await;
        at_once += u32::from(chain.block(height).unwrap().1.round == 0);
    }
    cluster.check_agreement();
}

#[tokio::test]
async fn a_proposer_of_two_blocks_is_convicted_and_stops_nobody() {
    let (cluster, mut puppet) = Puppet::in_cluster(|_| ()).await;
    let mut faults: Vec<_> =
        HONEST.iter().map(|i| cluster.processes[*i].as_ref().unwrap().node.bus.subscribe::<Misbehaviour>()).collect();
    let chain = cluster.chains[0].clone();
    let height = puppet.turn(&chain, true).await;
    let (one, other) = (puppet.block(&chain, 0), puppet.block(&chain, 0));
    puppet.send_parts(&[0], &one).await;
    puppet.send_parts(&[1, 2], &other).await;
    puppet.propose(&[0], &one, 0, None).await;
    puppet.propose(&[1, 2], &other, 0, None).await;
    puppet.propose(&[0], &other, 0, None).await;
    puppet.propose(&[1, 2], &one, 0, None).await;
    cluster.reached(&HONEST, height + 3).await;
    cluster.check_agreement();
    let fault = timeout(PATIENCE, faults[0].recv()).await.expect("it is noticed").unwrap();
    assert_eq!((fault.height, fault.account), (height, puppet.keys.address()));
    let evidence: Evidence = codec::decode(&fault.evidence[0]).unwrap();
    evidence.verify(CHAIN, &puppet.keys.consensus.public()).unwrap();
    faults.clear();
}

/// Two honest members lock on the puppet's block, the third has never seen it: it comes again, in a later round, by another
/// proposer, with its own round and proposer in the header.
#[tokio::test]
async fn a_block_that_was_voted_for_is_proposed_again() {
    let (cluster, mut puppet) = Puppet::in_cluster(|chain| chain.body_bytes = 600_000).await;
    let chain = cluster.chains[0].clone();
    let mut tries = 0;
    loop {
        let height = puppet.turn(&chain, true).await;
        let block = puppet.block(&chain, 0);
        puppet.send_parts(&[0, 1], &block).await;
        puppet.propose(&[0, 1], &block, 0, None).await;
        puppet.prevote(&HONEST, &block, 0).await;
        cluster.reached(&HONEST, height).await;
        let (decided, certificate) = chain.block(height).unwrap();
        if decided.id() == block.id() {
            assert!(decided.header.round == 0 && certificate.round > 0, "{certificate:?}");
            break;
        }
        // A busy machine may have let the turn pass.
        tries += 1;
        assert!(tries < 10, "the puppet's block never comes again");
    }
    cluster.check_agreement();
}

/// Frames that are no message at all end the link and nothing else.
#[tokio::test]
async fn garbage_ends_the_link_only() {
    let (cluster, mut puppet) = Puppet::in_cluster(|_| ()).await;
    for stream in &mut puppet.streams {
        stream.send(Bytes::from_static(&[2, 9, 9, 9])).await.unwrap();
    }
    let height = cluster.chains[0].height();
    cluster.reached(&HONEST, height + 3).await;
    cluster.check_agreement();
}
