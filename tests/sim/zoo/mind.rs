//! What a liar makes of each message its node sends to a member.
//!
//! Owns the choice of lies and what it takes to stick to them. Invariant: the same message to the same peer becomes the same lie.

use super::{
    Vice,
    forge::{self, Forgery},
};
use crate::{cluster::CHAIN, machine::Dice, sometimes::Sometimes, witness::Witness, world::Temper};
use arc_malachitebft_app_channel::app::types::core::NilOrVal;
use bytes::Bytes;
use cess::{
    chain::bft::wire::{Message, Polka, Progress, RoundProof, RoundVote},
    codec,
    consensus::{
        Block, HeadedProposal,
        context::Account,
        messages::{Proposal, ProposalPart, Vote, VoteKind},
    },
    crypto::{NodeKeys, Signature, hash::content},
    network::PeerId,
    types::{BlockId, Height},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Heights whose blocks are remembered, for telling them again.
const REMEMBERED_HEIGHTS: u64 = 3;
/// Frames remembered, for the same reason.
const REMEMBERED_FRAMES: usize = 32;
/// Longest time a frame is held back, milliseconds.
const HELD_MAX_MILLIS: u64 = 4_000;

/// An answer too small to hold a block, which is passed on as it is.
const SMALL_ANSWER_BYTES: usize = 100;

/// What all liars of a run share: they are of one mind about whom they tell what.
pub struct Plot {
    seed: u64,
    liars: BTreeSet<PeerId>,
    witness: Arc<Witness>,
    memory: Mutex<Memory>,
}

/// A liar's mind. It outlives its node.
pub struct Mind {
    keys: NodeKeys,
    me: Account,
    temper: Temper,
    plot: Arc<Plot>,
}

#[derive(Default)]
struct Memory {
    /// What is proposed instead of a block of the own engine, and to whom.
    forged: BTreeMap<BlockId, Option<(Forgery, Audience)>>,
    /// Blocks that were proposed lately.
    blocks: BTreeMap<Height, BTreeMap<BlockId, Block>>,
    /// What was proposed in a round.
    proposed: BTreeMap<(Height, u32), BlockId>,
    /// What was voted instead, so that amnesia does not become two votes.
    voted: BTreeMap<(Height, u32, VoteKind), BlockId>,
    said: VecDeque<Bytes>,
    counted: BTreeSet<(Vice, Height, u32)>,
}

/// Who hears a lie. The others hear what the engine meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    All,
    Some(u64),
    /// Everybody hears both.
    Both,
}

impl Plot {
    /// Of the hosts `liars`.
    pub fn new(seed: u64, liars: BTreeSet<PeerId>, witness: Arc<Witness>) -> Arc<Self> {
        Arc::new(Self { seed, liars, witness, memory: Mutex::default() })
    }
}

impl Mind {
    /// The mind of the holder of `keys`.
    pub fn new(plot: Arc<Plot>, keys: NodeKeys, temper: Temper) -> Arc<Self> {
        let me = Account(keys.address());
        Arc::new(Self { keys, me, temper, plot })
    }

    /// Whether it forgets what it has signed.
    pub fn is_forgetful(&self) -> bool {
        self.has(Vice::Amnesia)
    }

    /// Takes note of what somebody proposes.
    pub fn hear(&self, frame: &Bytes) {
        match codec::decode(frame) {
            Ok(Message::Part(part)) => drop(self.plot.memory.lock().note_block(&part)),
            Ok(Message::Proposal(proposal, _)) => {
                self.plot.memory.lock().note_proposal(&proposal.proposal);
            }
            _ => {}
        }
    }

    /// What `peer` gets instead of `frame`, and when.
    pub fn instead_of(&self, peer: PeerId, frame: &Bytes) -> Vec<(Duration, Bytes)> {
        let Ok(message) = codec::decode::<Message>(frame) else { return vec![(Duration::ZERO, frame.clone())] };
        let (height, round) = place_of(&message);
        let is_status = matches!(message, Message::Status(_));
        if !is_status && self.is_silent(peer, &message, height) {
            return Vec::new();
        }
        let said = match message {
            Message::Part(part) => self.part(peer, part),
            Message::Proposal(proposal, signature) => self.proposal(peer, proposal, signature),
            Message::Vote(vote, signature) => self.vote(peer, &vote, signature),
            Message::Status(progress) => vec![Message::Status(self.progress(progress))],
            other => vec![other],
        };
        let frames: Vec<Bytes> = said.iter().map(Message::encode).collect();
        if is_status {
            return frames.into_iter().map(|frame| (Duration::ZERO, frame)).collect();
        }
        self.deliver(frames, height, round)
    }

    /// What is gossiped instead of the node's progress.
    pub fn gossip(&self, local: PeerId, data: Bytes) -> Bytes {
        let name = local.to_bytes();
        match data.strip_prefix(name.as_slice()).map(codec::decode::<Progress>) {
            Some(Ok(progress)) => [name, codec::encode(&self.progress(progress))].concat().into(),
            _ => data,
        }
    }

    /// What those that are behind get instead of decided blocks.
    pub fn answer(&self, truth: Bytes) -> Option<Bytes> {
        let mut dice = Dice::new(self.plot.seed, &hex::encode(content(&truth)));
        // It is seldom asked.
        if truth.len() < SMALL_ANSWER_BYTES || !self.has(Vice::FalseSync) || dice.chance(20) {
            return Some(truth);
        }
        self.confess(Vice::FalseSync, &format!("{} B", truth.len()));
        let mut lie = truth.to_vec();
        match dice.below(4) {
            0 => return None,
            1 => lie.truncate(dice.index(truth.len())),
            2 => lie[dice.index(SMALL_ANSWER_BYTES)] ^= 1 << dice.below(8),
            _ => lie[dice.index(truth.len())] ^= 1 << dice.below(8),
        }
        Some(lie.into())
    }

    /// Repeats and holds back.
    fn deliver(&self, frames: Vec<Bytes>, height: Height, round: u32) -> Vec<(Duration, Bytes)> {
        let mut out = Vec::new();
        for frame in frames {
            let mut dice = Dice::new(self.plot.seed, &hex::encode(content(&frame)));
            let delay = match self.does(Vice::Delay, height, round) && dice.chance(50) {
                true => dice.millis(0, HELD_MAX_MILLIS),
                false => Duration::ZERO,
            };
            let again = self.does(Vice::Echo, height, round).then(|| self.plot.memory.lock().recall(&frame, &mut dice));
            out.push((delay, frame));
            out.extend(again.into_iter().flatten().map(|frame| (Duration::ZERO, frame)));
        }
        out
    }

    fn is_silent(&self, peer: PeerId, message: &Message, height: Height) -> bool {
        if !self.does(Vice::Silence, height, 0) {
            return false;
        }
        let mut dice = self.dice("silence", height, 0);
        match dice.below(4) {
            0 => true,
            1 => self.side(peer, dice.next()),
            2 => matches!(message, Message::Vote(..)),
            _ => matches!(message, Message::Proposal(..) | Message::Part(_)),
        }
    }

    fn part(&self, peer: PeerId, part: ProposalPart) -> Vec<Message> {
        let block = self.plot.memory.lock().note_block(&part);
        let known = self.plot.memory.lock().forged.get(&part.block).cloned();
        let forged = known.unwrap_or_else(|| {
            let own = block.filter(|block| block.header.proposer == self.me.0);
            let forged = own.and_then(|block| self.forge(&block));
            self.plot.memory.lock().forged.insert(part.block, forged.clone());
            forged
        });
        let Some((forgery, audience)) = forged else { return vec![Message::Part(part)] };
        let lie = Message::Part(part_of(&forgery, part.height));
        self.choose(peer, audience, Message::Part(part), lie)
    }

    fn proposal(&self, peer: PeerId, headed: Box<HeadedProposal>, signature: Signature) -> Vec<Message> {
        self.plot.memory.lock().note_proposal(&headed.proposal);
        let forged = self.plot.memory.lock().forged.get(&headed.block()).cloned().flatten();
        let Some((forgery, audience)) = forged else { return vec![Message::Proposal(headed, signature)] };
        let Proposal { round, height, pol_round, .. } = headed.proposal;
        let lie = self.signed_proposal(&forgery, height, round, forgery.pol_round.or(pol_round));
        self.choose(peer, audience, Message::Proposal(headed, signature), lie)
    }

    fn vote(&self, peer: PeerId, vote: &Vote, signature: Signature) -> Vec<Message> {
        let (height, round) = (vote.height, vote.round);
        let meant = self.remembering_nothing(vote.clone());
        let meant = self.for_the_forgery(peer, meant);
        let mut said = vec![meant.clone()];
        if self.does(Vice::TwoVotes, height, round) {
            let mut dice =
                self.dice(if vote.kind == VoteKind::Prevote { "prevotes" } else { "precommits" }, height, round);
            let other = Vote { block: self.another(&meant, &mut dice), ..meant };
            match dice.below(3) {
                0 if self.side(peer, dice.next()) => said = vec![other],
                0 => {}
                1 => said.push(other),
                _ => said.insert(0, other),
            }
        }
        let mut out: Vec<Message> = said
            .into_iter()
            .map(|said| if said == *vote { Message::Vote(said, signature) } else { self.signed_vote(said) })
            .collect();
        out.extend(self.stale(height, round));
        out.extend(self.false_proofs(height, round, vote.kind));
        out
    }

    /// A vote for a block that `peer` was shown another one for.
    fn for_the_forgery(&self, peer: PeerId, vote: Vote) -> Vote {
        let NilOrVal::Val(id) = &vote.block else { return vote };
        let forged = self.plot.memory.lock().forged.get(id).cloned().flatten();
        match forged {
            Some((forgery, audience)) if audience != Audience::Both && self.hears(peer, audience) => {
                Vote { block: NilOrVal::Val(forgery.id), ..vote }
            }
            _ => vote,
        }
    }

    /// Votes as if no earlier vote had bound it: for whatever is proposed.
    fn remembering_nothing(&self, vote: Vote) -> Vote {
        let (height, round) = (vote.height, vote.round);
        if vote.block != NilOrVal::Nil || !self.does(Vice::Amnesia, height, round) {
            return vote;
        }
        let mut memory = self.plot.memory.lock();
        let Some(proposed) = memory.proposed.get(&(height, round)).copied() else { return vote };
        let block = *memory.voted.entry((height, round, vote.kind)).or_insert(proposed);
        Vote { block: NilOrVal::Val(block), ..vote }
    }

    /// Something else to vote for.
    fn another(&self, vote: &Vote, dice: &mut Dice) -> NilOrVal<BlockId> {
        let memory = self.plot.memory.lock();
        let known = memory.blocks.get(&vote.height).into_iter().flat_map(BTreeMap::keys).copied().map(NilOrVal::Val);
        let mut choices: Vec<_> = known.chain([NilOrVal::Nil, NilOrVal::Val(BlockId([0xee; 32]))]).collect();
        choices.retain(|choice| *choice != vote.block);
        choices.swap_remove(dice.index(choices.len()))
    }

    /// What is proposed instead of a block the engine has just built.
    fn forge(&self, block: &Block) -> Option<(Forgery, Audience)> {
        let (height, round) = (block.header.height, block.header.round);
        let mut dice = self.dice("forge", height, round);
        let audience = match dice.below(4) {
            0 => Audience::Some(dice.next()),
            _ => Audience::All,
        };
        if self.does(Vice::BadBlock, height, round) {
            return Some((forge::spoilt(block, &mut dice), audience));
        }
        if self.does(Vice::BadVrf, height, round) {
            return Some((forge::with_a_false_beacon(block, &self.keys, &mut dice), audience));
        }
        let old = self.plot.memory.lock().old_block(height, round, &mut dice);
        if let Some(old) = old
            && self.does(Vice::Stale, height, round)
        {
            let pol_round = dice.chance(50).then(|| u32::try_from(dice.below(u64::from(round) + 1)).unwrap_or(0));
            return Some((Forgery { pol_round, ..Forgery::of(&old) }, audience));
        }
        if self.does(Vice::TwoProposals, height, round) {
            let audience = if dice.chance(50) { Audience::Both } else { Audience::Some(dice.next()) };
            return Some((forge::twin(block), audience));
        }
        None
    }

    /// Old blocks again: out of turn, for rounds to come, under labels that are not theirs.
    fn stale(&self, height: Height, round: u32) -> Vec<Message> {
        if !self.has(Vice::Stale) {
            return Vec::new();
        }
        let mut dice = self.dice("stale", height, round);
        let Some(old) = self.plot.memory.lock().old_block(height, round + 1, &mut dice) else { return Vec::new() };
        if !self.does(Vice::Stale, height, round) {
            return Vec::new();
        }
        let near = |dice: &mut Dice| u32::try_from(dice.below(u64::from(round) + 3)).unwrap_or(0);
        let round = near(&mut dice);
        let pol_round = dice.chance(60).then(|| near(&mut dice));
        let forgery = Forgery { pol_round, ..Forgery::of(&old) };
        let part = Message::Part(part_of(&forgery, old.header.height));
        let claim = self.signed_proposal(&forgery, old.header.height, round, pol_round);
        match dice.below(3) {
            0 => vec![part],
            1 => vec![part, claim],
            _ => vec![claim, part],
        }
    }

    /// Certificates out of nothing but the own signature.
    fn false_proofs(&self, height: Height, round: u32, kind: VoteKind) -> Vec<Message> {
        if !self.does(Vice::FalseProof, height, round) {
            return Vec::new();
        }
        let proposed = self.plot.memory.lock().proposed.get(&(height, round)).copied();
        let block = proposed.unwrap_or(BlockId([0xee; 32]));
        let vote = Vote { kind, height, round, block: NilOrVal::Val(block), voter: self.me };
        let signature = self.keys.consensus.sign(&vote.sign_bytes(CHAIN));
        let polka = Polka { height, round, block, signatures: vec![(self.me, signature); 3] };
        let cast = RoundVote { kind, block: Some(block), voter: self.me, signature };
        let proof =
            RoundProof { height, round: round + 1, precommits: kind == VoteKind::Precommit, votes: vec![cast; 3] };
        vec![Message::Polka(polka), Message::Round(proof)]
    }

    fn progress(&self, progress: Progress) -> Progress {
        let Progress { tip, nonce, .. } = progress;
        let moment = u32::try_from(nonce % 1_000).unwrap_or(0);
        if !self.does(Vice::Boast, tip, moment) {
            return progress;
        }
        let mut dice = self.dice("boast", tip, moment);
        let claim = match dice.below(4) {
            0 => 0,
            1 => u64::MAX,
            2 => tip + 1,
            _ => tip + dice.below(1_000),
        };
        Progress { tip: claim, first: dice.below(3), settled: dice.chance(50), nonce }
    }

    fn choose(&self, peer: PeerId, audience: Audience, meant: Message, lie: Message) -> Vec<Message> {
        match audience {
            Audience::Both => vec![meant, lie],
            _ if self.hears(peer, audience) => vec![lie],
            _ => vec![meant],
        }
    }

    fn hears(&self, peer: PeerId, audience: Audience) -> bool {
        match audience {
            Audience::All | Audience::Both => true,
            Audience::Some(salt) => self.side(peer, salt),
        }
    }

    /// Which of two stories `peer` hears. Liars hear the one that is meant.
    fn side(&self, peer: PeerId, salt: u64) -> bool {
        !self.plot.liars.contains(&peer) && Dice::new(self.plot.seed ^ salt, &peer.to_string()).chance(50)
    }

    fn signed_vote(&self, vote: Vote) -> Message {
        let signature = self.keys.consensus.sign(&vote.sign_bytes(CHAIN));
        Message::Vote(vote, signature)
    }

    fn signed_proposal(&self, forgery: &Forgery, height: Height, round: u32, pol_round: Option<u32>) -> Message {
        let proposal = Proposal { height, round, pol_round, block: forgery.id, proposer: self.me };
        let signature = self.keys.consensus.sign(&proposal.sign_bytes(CHAIN));
        Message::Proposal(Box::new(HeadedProposal { proposal, header: forgery.header.clone() }), signature)
    }

    fn dice(&self, about: &str, height: Height, round: u32) -> Dice {
        Dice::new(self.plot.seed, &format!("{about} {height} {round}"))
    }

    fn has(&self, vice: Vice) -> bool {
        self.temper.vices.contains(&vice)
    }

    /// Whether it lies in this way now.
    fn does(&self, vice: Vice, height: Height, round: u32) -> bool {
        let does = self.has(vice) && self.dice(&format!("{vice:?}"), height, round).chance(self.temper.percent);
        if does && self.plot.memory.lock().counted.insert((vice, height, round)) {
            self.confess(vice, &format!("{height}/{round}"));
        }
        does
    }

    fn confess(&self, vice: Vice, place: &str) {
        self.plot.witness.count(Sometimes::Lied(vice));
        self.plot.witness.note(&format!("{vice:?} at {place}"));
    }
}

impl Memory {
    fn note_proposal(&mut self, proposal: &Proposal) {
        self.proposed.insert((proposal.height, proposal.round), proposal.block);
    }

    /// Keeps the block of a part that is a whole one.
    fn note_block(&mut self, part: &ProposalPart) -> Option<Block> {
        let block: Block = (part.count == 1).then(|| codec::decode(&part.bytes).ok()).flatten()?;
        let height = block.header.height;
        self.blocks.entry(height).or_default().insert(block.id(), block.clone());
        while self.blocks.first_key_value().is_some_and(|(old, _)| old + REMEMBERED_HEIGHTS < height) {
            self.blocks.pop_first();
        }
        Some(block)
    }

    /// A block of `height` built before `round`, or of the height before.
    fn old_block(&self, height: Height, round: u32, dice: &mut Dice) -> Option<Block> {
        let of = |height| self.blocks.get(&height).into_iter().flat_map(BTreeMap::values);
        let earlier = of(height).filter(|block| block.header.round < round);
        let old: Vec<&Block> = earlier.chain(of(height.saturating_sub(1))).collect();
        (!old.is_empty()).then(|| old[dice.index(old.len())].clone())
    }

    /// The frame again, and an old one.
    fn recall(&mut self, frame: &Bytes, dice: &mut Dice) -> Vec<Bytes> {
        let old = (!self.said.is_empty()).then(|| self.said[dice.index(self.said.len())].clone());
        self.said.push_back(frame.clone());
        if self.said.len() > REMEMBERED_FRAMES {
            self.said.pop_front();
        }
        old.into_iter().chain([frame.clone()]).collect()
    }
}

/// The height and round a message is about.
fn place_of(message: &Message) -> (Height, u32) {
    let round = match message {
        Message::Vote(vote, _) => vote.round,
        Message::Proposal(headed, _) => headed.proposal.round,
        Message::Polka(polka) => polka.round,
        Message::Round(proof) => proof.round,
        Message::Part(_) | Message::Status(_) => 0,
    };
    (message.height(), round)
}

fn part_of(forgery: &Forgery, height: Height) -> ProposalPart {
    ProposalPart { height, block: forgery.id, index: 0, count: forgery.parts, bytes: forgery.bytes.clone() }
}
