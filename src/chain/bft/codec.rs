//! The engine's messages on the wire and in the write-ahead log.
//!
//! Owns their encodings and caps. Invariant: whatever a peer sends decodes to a bounded value or is refused.

use crate::{
    codec::{self, CodecError, Wire},
    consensus::{
        Block, COMMITTEE_MAX_MEMBERS, Certificate, HEADER_MAX_BYTES, HeadedProposal, Header,
        context::{Account, BftContext, BlockHeight},
        messages::{PART_MAX_BYTES, ProposalPart, Vote, VoteKind},
    },
    crypto::Signature,
    network::FRAME_MAX_BYTES,
    types::{Address, BlockId, Height},
};
use arc_malachitebft_app_channel::app::types::{
    ProposedValue, SignedConsensusMsg,
    codec::{Codec, HasEncodedLen},
    core::{
        CommitCertificate, ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaCertificate,
        PolkaSignature, Round, RoundCertificate, RoundCertificateType, RoundSignature, SignedMessage, Validity,
        VoteType,
    },
    sync::{RawDecidedValue, Request, Response, Status},
};
use arc_malachitebft_sync::{PeerId, ValueRequest, ValueResponse};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;

/// Blocks one sync answer may carry.
pub(super) const SYNC_MAX_BLOCKS: usize = 64;
/// Encoded blocks one sync answer may carry: leaves room for the certificates within a frame.
pub(super) const SYNC_MAX_BYTES: usize = 6 << 20;

/// What committee members tell each other, one frame each.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Message {
    /// A vote with its voter's signature.
    Vote(Vote, Signature),
    /// A proposal with its block's header and its proposer's signature.
    Proposal(Box<HeadedProposal>, Signature),
    /// A piece of a proposed block.
    Part(ProposalPart),
    /// Why a block may be proposed again.
    Polka(Polka),
    /// Why a round is over.
    Round(RoundProof),
    /// How far the sender has come.
    Status(Progress),
}

/// Prevotes of two thirds for one block.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Polka {
    /// Height of the prevotes.
    pub height: Height,
    /// Their round.
    pub round: u32,
    /// Their block.
    pub block: BlockId,
    /// Who prevoted, with the signature of the prevote.
    pub signatures: Vec<(Account, Signature)>,
}

/// Votes that justify entering a round.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundProof {
    /// Height of the votes.
    pub height: Height,
    /// Their round.
    pub round: u32,
    /// Whether they are precommits of two thirds, rather than any votes of a third.
    pub precommits: bool,
    /// The votes.
    pub votes: Vec<RoundVote>,
}

/// A vote of a [`RoundProof`].
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RoundVote {
    /// Which step.
    pub kind: VoteKind,
    /// The block, or nil.
    pub block: Option<BlockId>,
    /// Who voted.
    pub voter: Account,
    /// The voter's signature.
    pub signature: Signature,
}

/// How far a node has come.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Progress {
    /// Last decided height.
    pub tip: Height,
    /// First height it can serve.
    pub first: Height,
    /// Whether the tip has stood for a while, so that a node one block behind is not merely a moment late.
    pub settled: bool,
    /// Distinguishes repeated statements, which gossip would otherwise drop.
    pub nonce: u64,
}

impl Wire for Message {
    const NAME: &'static str = "consensus message";
    const VERSION: u8 = 3;
    const MAX_BYTES: usize = PART_MAX_BYTES + 1024;
}

// The largest certificate is smaller than the largest part.
const _: () = assert!(COMMITTEE_MAX_MEMBERS * 128 < PART_MAX_BYTES);

impl Wire for Progress {
    const NAME: &'static str = "node progress";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

impl Message {
    /// The height it speaks of.
    pub fn height(&self) -> Height {
        match self {
            Message::Vote(vote, _) => vote.height,
            Message::Proposal(proposal, _) => proposal.proposal.height,
            Message::Part(part) => part.height,
            Message::Polka(polka) => polka.height,
            Message::Round(proof) => proof.height,
            Message::Status(progress) => progress.tip,
        }
    }

    /// One frame.
    pub fn encode(&self) -> Bytes {
        codec::encode(self).into()
    }
}

impl From<SignedConsensusMsg<BftContext>> for Message {
    fn from(message: SignedConsensusMsg<BftContext>) -> Self {
        match message {
            SignedConsensusMsg::Vote(vote) => Message::Vote(vote.message, vote.signature),
            SignedConsensusMsg::Proposal(proposal) => Message::Proposal(Box::new(proposal.message), proposal.signature),
        }
    }
}

impl From<PolkaCertificate<BftContext>> for Polka {
    fn from(polka: PolkaCertificate<BftContext>) -> Self {
        Self {
            height: polka.height.0,
            round: polka.round.as_u32().unwrap_or_default(),
            block: polka.value_id,
            signatures: polka.polka_signatures.into_iter().map(|s| (s.address, s.signature)).collect(),
        }
    }
}

impl From<Polka> for PolkaCertificate<BftContext> {
    fn from(polka: Polka) -> Self {
        Self {
            height: BlockHeight(polka.height),
            round: Round::new(polka.round),
            value_id: polka.block,
            polka_signatures: polka.signatures.into_iter().map(|(a, s)| PolkaSignature::new(a, s)).collect(),
        }
    }
}

impl From<RoundCertificate<BftContext>> for RoundProof {
    fn from(proof: RoundCertificate<BftContext>) -> Self {
        let vote = |s: RoundSignature<BftContext>| RoundVote {
            kind: match s.vote_type {
                VoteType::Prevote => VoteKind::Prevote,
                VoteType::Precommit => VoteKind::Precommit,
            },
            block: match s.value_id {
                NilOrVal::Nil => None,
                NilOrVal::Val(id) => Some(id),
            },
            voter: s.address,
            signature: s.signature,
        };
        Self {
            height: proof.height.0,
            round: proof.round.as_u32().unwrap_or_default(),
            precommits: proof.cert_type == RoundCertificateType::Precommit,
            votes: proof.round_signatures.into_iter().map(vote).collect(),
        }
    }
}

impl From<RoundProof> for RoundCertificate<BftContext> {
    fn from(proof: RoundProof) -> Self {
        let signature = |v: RoundVote| {
            let kind = match v.kind {
                VoteKind::Prevote => VoteType::Prevote,
                VoteKind::Precommit => VoteType::Precommit,
            };
            RoundSignature::new(kind, v.block.map_or(NilOrVal::Nil, NilOrVal::Val), v.voter, v.signature)
        };
        Self {
            height: BlockHeight(proof.height),
            round: Round::new(proof.round),
            cert_type: if proof.precommits { RoundCertificateType::Precommit } else { RoundCertificateType::Skip },
            round_signatures: proof.votes.into_iter().map(signature).collect(),
        }
    }
}

/// Our form of the engine's certificate, signatures in the order of accounts.
pub(super) fn certificate_of(certificate: CommitCertificate<BftContext>) -> Certificate {
    let mut signatures: Vec<(Address, Signature)> =
        certificate.commit_signatures.into_iter().map(|s| (s.address.0, s.signature)).collect();
    signatures.sort_by_key(|(account, _)| *account);
    Certificate {
        height: certificate.height.0,
        round: certificate.round.as_u32().unwrap_or_default(),
        block: certificate.value_id,
        signatures,
    }
}

/// The engine's form of our certificate.
pub(super) fn engine_certificate(certificate: &Certificate) -> ExtendedCommitCertificate<BftContext> {
    let sign =
        |(account, signature): &(Address, Signature)| ExtendedCommitSignature::new(Account(*account), *signature, None);
    ExtendedCommitCertificate {
        height: BlockHeight(certificate.height),
        round: Round::new(certificate.round),
        value_id: certificate.block,
        commit_signatures: certificate.signatures.iter().map(sign).collect(),
    }
}

/// A range of heights somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct SyncRequest {
    start: Height,
    end: Height,
}

/// Decided blocks in order.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct SyncResponse {
    start: Height,
    blocks: Vec<SyncBlock>,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct SyncBlock {
    block: Vec<u8>,
    certificate: Certificate,
}

impl Wire for SyncRequest {
    const NAME: &'static str = "sync request";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 32;
}

impl Wire for SyncResponse {
    const NAME: &'static str = "sync response";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = FRAME_MAX_BYTES;
}

// One block of the largest size always fits an answer.
const _: () = assert!(Block::MAX_BYTES <= SYNC_MAX_BYTES);
const _: () = assert!(SYNC_MAX_BYTES + SYNC_MAX_BLOCKS * (Certificate::MAX_BYTES + 16) + 64 <= FRAME_MAX_BYTES);

/// Entries of the write-ahead log that are not messages.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct WalValue {
    height: Height,
    round: Option<u32>,
    valid_round: Option<u32>,
    proposer: Account,
    header: Header,
    valid: bool,
}

impl Wire for WalValue {
    const NAME: &'static str = "proposed value";
    const VERSION: u8 = 3;
    const MAX_BYTES: usize = HEADER_MAX_BYTES + 64;
}

/// Encodes for the engine's log and its sync actor.
#[derive(Debug, Clone, Copy)]
pub(super) struct EngineCodec;

fn malformed(name: &'static str, reason: &str) -> CodecError {
    CodecError::Malformed { name, reason: reason.to_owned() }
}

impl Codec<SignedConsensusMsg<BftContext>> for EngineCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<SignedConsensusMsg<BftContext>, CodecError> {
        match codec::decode::<Message>(&bytes)? {
            Message::Vote(vote, signature) => Ok(SignedConsensusMsg::Vote(SignedMessage::new(vote, signature))),
            Message::Proposal(proposal, signature) => {
                Ok(SignedConsensusMsg::Proposal(SignedMessage::new(*proposal, signature)))
            }
            _ => Err(malformed(Message::NAME, "it is neither a vote nor a proposal")),
        }
    }

    fn encode(&self, message: &SignedConsensusMsg<BftContext>) -> Result<Bytes, CodecError> {
        Ok(Message::from(message.clone()).encode())
    }
}

impl Codec<PolkaCertificate<BftContext>> for EngineCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<PolkaCertificate<BftContext>, CodecError> {
        match codec::decode::<Message>(&bytes)? {
            Message::Polka(polka) => Ok(polka.into()),
            _ => Err(malformed(Message::NAME, "it is not a polka certificate")),
        }
    }

    fn encode(&self, polka: &PolkaCertificate<BftContext>) -> Result<Bytes, CodecError> {
        Ok(Message::Polka(polka.clone().into()).encode())
    }
}

impl Codec<ProposedValue<BftContext>> for EngineCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<ProposedValue<BftContext>, CodecError> {
        let value: WalValue = codec::decode(&bytes)?;
        Ok(ProposedValue {
            height: BlockHeight(value.height),
            round: value.round.into(),
            valid_round: value.valid_round.into(),
            proposer: value.proposer,
            value: value.header,
            validity: Validity::from_bool(value.valid),
        })
    }

    fn encode(&self, value: &ProposedValue<BftContext>) -> Result<Bytes, CodecError> {
        let value = WalValue {
            height: value.height.0,
            round: value.round.as_u32(),
            valid_round: value.valid_round.as_u32(),
            proposer: value.proposer,
            header: value.value.clone(),
            valid: value.validity.is_valid(),
        };
        Ok(codec::encode(&value).into())
    }
}

impl Codec<Status<BftContext>> for EngineCodec {
    type Error = CodecError;

    /// Unused by this transport, which names the peer itself.
    fn decode(&self, bytes: Bytes) -> Result<Status<BftContext>, CodecError> {
        let (peer, progress) = bytes.split_at_checked(bytes.len().saturating_sub(26)).unwrap_or_default();
        let progress: Progress = codec::decode(progress)?;
        let peer_id = PeerId::from_bytes(peer).map_err(|e| malformed(Progress::NAME, &e.to_string()))?;
        Ok(Status { peer_id, tip_height: BlockHeight(progress.tip), history_min_height: BlockHeight(progress.first) })
    }

    fn encode(&self, status: &Status<BftContext>) -> Result<Bytes, CodecError> {
        let progress =
            Progress { tip: status.tip_height.0, first: status.history_min_height.0, settled: false, nonce: 0 };
        Ok([status.peer_id.to_bytes(), codec::encode(&progress)].concat().into())
    }
}

impl Codec<Request<BftContext>> for EngineCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<Request<BftContext>, CodecError> {
        let request: SyncRequest = codec::decode(&bytes)?;
        Ok(Request::ValueRequest(ValueRequest::new(BlockHeight(request.start)..=BlockHeight(request.end))))
    }

    fn encode(&self, request: &Request<BftContext>) -> Result<Bytes, CodecError> {
        let Request::ValueRequest(request) = request;
        Ok(codec::encode(&SyncRequest { start: request.range.start().0, end: request.range.end().0 }).into())
    }
}

impl Codec<Response<BftContext>> for EngineCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<Response<BftContext>, CodecError> {
        let response: SyncResponse = codec::decode(&bytes)?;
        if response.blocks.len() > SYNC_MAX_BLOCKS {
            return Err(malformed(SyncResponse::NAME, "it has too many blocks"));
        }
        let value = |b: SyncBlock| RawDecidedValue::new(b.block.into(), engine_certificate(&b.certificate));
        let values = response.blocks.into_iter().map(value).collect();
        Ok(Response::ValueResponse(ValueResponse::new(BlockHeight(response.start), values)))
    }

    fn encode(&self, response: &Response<BftContext>) -> Result<Bytes, CodecError> {
        let Response::ValueResponse(response) = response;
        let block = |value: &RawDecidedValue<BftContext>| SyncBlock {
            block: value.value_bytes.to_vec(),
            certificate: certificate_of(value.certificate.trim_vote_extensions()),
        };
        let blocks = response.values.iter().map(block).collect();
        Ok(codec::encode(&SyncResponse { start: response.start_height.0, blocks }).into())
    }
}

impl HasEncodedLen<Response<BftContext>> for EngineCodec {
    /// An upper bound, without encoding whole blocks just to measure them.
    fn encoded_len(&self, response: &Response<BftContext>) -> Result<usize, CodecError> {
        let Response::ValueResponse(response) = response;
        let len = |value: &RawDecidedValue<BftContext>| {
            value.value_bytes.len() + 64 + value.certificate.commit_signatures.len() * 84
        };
        Ok(16 + response.values.iter().map(len).sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chain::bft::proposal_log::Stored, codec::golden, consensus::messages::Proposal, types::Address};
    use proptest::prelude::*;

    fn account(byte: u8) -> Account {
        Account(Address::repeat_byte(byte))
    }

    fn signature(byte: u8) -> Signature {
        Signature([byte; 64])
    }

    fn round_trip<T: Clone + PartialEq + std::fmt::Debug>(value: T)
    where
        EngineCodec: Codec<T, Error = CodecError>,
    {
        let bytes = EngineCodec.encode(&value).unwrap();
        assert_eq!(Codec::<T>::decode(&EngineCodec, bytes), Ok(value));
    }

    #[test]
    fn engine_types_round_trip() {
        let block = NilOrVal::Val(BlockId([7; 32]));
        let vote = Vote { kind: VoteKind::Precommit, height: 4, round: 2, block, voter: account(1) };
        round_trip(SignedConsensusMsg::Vote(SignedMessage::new(vote.clone(), signature(2))));
        let nil = Vote { kind: VoteKind::Prevote, block: NilOrVal::Nil, ..vote };
        round_trip(SignedConsensusMsg::Vote(SignedMessage::new(nil, signature(2))));
        round_trip(SignedConsensusMsg::Proposal(SignedMessage::new(proposal(2, Some(1)), signature(3))));
        round_trip(PolkaCertificate::<BftContext> {
            height: BlockHeight(3),
            round: Round::new(1),
            value_id: BlockId([1; 32]),
            polka_signatures: vec![PolkaSignature::new(account(1), signature(1))],
        });
        round_trip(ProposedValue::<BftContext> {
            height: BlockHeight(3),
            round: Round::new(1),
            valid_round: Round::Nil,
            proposer: account(4),
            value: header(),
            validity: Validity::Invalid,
        });
        round_trip(Status::<BftContext> {
            peer_id: PeerId::from_bytes(&[[0, 32].as_slice(), &[9; 32]].concat()).unwrap(),
            tip_height: BlockHeight(9),
            history_min_height: BlockHeight(1),
        });
        round_trip(Request::<BftContext>::ValueRequest(ValueRequest::new(BlockHeight(3)..=BlockHeight(9))));
        let certificate = Certificate {
            height: 3,
            round: 0,
            block: BlockId([5; 32]),
            signatures: vec![(account(1).0, signature(1))],
        };
        let value = RawDecidedValue::new(Bytes::from_static(b"block"), engine_certificate(&certificate));
        let response = Response::<BftContext>::ValueResponse(ValueResponse::new(BlockHeight(3), vec![value]));
        let len = EngineCodec.encode(&response).unwrap().len();
        assert!(EngineCodec.encoded_len(&response).unwrap() >= len);
        round_trip(response);
    }

    fn header() -> Header {
        Stored::sample(4, 2, vec![]).block.header
    }

    fn proposal(round: u32, pol_round: Option<u32>) -> HeadedProposal {
        let header = header();
        let proposal = Proposal { height: 4, round, pol_round, block: header.id(), proposer: account(1) };
        HeadedProposal { proposal, header }
    }

    fn part(bytes: Vec<u8>) -> ProposalPart {
        ProposalPart { height: 7, block: BlockId([2; 32]), index: 0, count: 1, bytes: bytes.into() }
    }

    #[test]
    fn bytes_are_golden() {
        golden::check(&Message::Part(part(vec![1, 2, 3])));
        golden::check(&Progress { tip: 9, first: 1, settled: true, nonce: 5 });
        golden::check(&SyncRequest { start: 3, end: 9 });
        let certificate = Certificate {
            height: 3,
            round: 0,
            block: BlockId([5; 32]),
            signatures: vec![(account(1).0, signature(1))],
        };
        golden::check(&SyncResponse { start: 3, blocks: vec![SyncBlock { block: vec![1, 2], certificate }] });
        let (proposer, header) = (account(4), header());
        golden::check(&WalValue { height: 3, round: Some(1), valid_round: None, proposer, header, valid: true });
    }

    #[test]
    fn kinds_of_messages_keep_their_numbers() {
        let vote = Vote { kind: VoteKind::Prevote, height: 4, round: 2, block: NilOrVal::Nil, voter: account(1) };
        let polka = Polka { height: 1, round: 0, block: BlockId([7; 32]), signatures: vec![] };
        let proof = RoundProof { height: 1, round: 0, precommits: true, votes: vec![] };
        let messages = [
            Message::Vote(vote, signature(1)),
            Message::Proposal(Box::new(proposal(2, None)), signature(1)),
            Message::Part(part(vec![])),
            Message::Polka(polka),
            Message::Round(proof),
            Message::Status(Progress { tip: 1, first: 1, settled: false, nonce: 0 }),
        ];
        for (number, message) in (0u8..).zip(messages) {
            let bytes = message.encode();
            assert_eq!(bytes[..2], [Message::VERSION, number]);
            assert_eq!(codec::decode(&bytes), Ok(message));
        }
    }

    #[test]
    fn round_certificates_round_trip() {
        let votes = vec![
            RoundSignature::new(VoteType::Prevote, NilOrVal::Nil, account(1), signature(1)),
            RoundSignature::new(VoteType::Precommit, NilOrVal::Val(BlockId([1; 32])), account(2), signature(2)),
        ];
        for cert_type in [RoundCertificateType::Skip, RoundCertificateType::Precommit] {
            let proof = RoundCertificate::<BftContext> {
                height: BlockHeight(3),
                round: Round::new(1),
                cert_type,
                round_signatures: votes.clone(),
            };
            let message = Message::Round(proof.clone().into());
            let Message::Round(decoded) = codec::decode(&message.encode()).unwrap() else { panic!("another kind") };
            assert_eq!(RoundCertificate::from(decoded), proof);
        }
    }

    #[test]
    fn the_largest_part_fits() {
        let mut part = part(vec![1; PART_MAX_BYTES]);
        part.height = u64::MAX;
        let message = Message::Part(part);
        assert_eq!(codec::decode::<Message>(&message.encode()), Ok(message));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let bytes = Bytes::from(bytes);
            let _ = codec::decode::<Message>(&bytes);
            let _: Result<Request<BftContext>, _> = EngineCodec.decode(bytes.clone());
            let _: Result<Response<BftContext>, _> = EngineCodec.decode(bytes.clone());
            let _: Result<Status<BftContext>, _> = EngineCodec.decode(bytes.clone());
            let _: Result<ProposedValue<BftContext>, _> = EngineCodec.decode(bytes);
        }
    }
}
