//! Answers the engine: what to propose, whether a proposal is valid, where decisions go and when the next height begins.
//!
//! Owns the proposals in flight and the start of heights. Must not know sockets.
//! Invariants: a block is durable here before the engine may sign for it; for one height and round this node proposes one
//! block, restarts included; blocks are committed in order, each once.

use super::{
    BftConfig, Misbehaviour,
    app::{Application, Tip},
    catch_up::CatchUp,
    codec::{Message, SYNC_MAX_BLOCKS, SYNC_MAX_BYTES, certificate_of, engine_certificate},
    hub::Hub,
    offences::{conflicts_of, convicting},
    proposal_log::{ProposalLog, Stored},
    proposals::{Candidate, Proposals, parts_of},
    sync::{certifies, fetch_block},
};
use crate::{
    codec,
    consensus::{
        BLOCK_MAX_TXS, Block, Committee, check_round,
        context::{Account, BftContext, BlockHeight, Seats},
        messages::{Proposal, ProposalPart},
    },
    runtime::{Bus, Phase},
    types::{BlockId, ChainId, Height, params::BLOCK_MAX_BYTES},
};
use anyhow::{Context as _, bail, ensure};
use arc_malachitebft_app_channel::{
    AppMsg, Reply,
    app::{
        engine::host::{HeightParams, Next, SyncedValueOutcome},
        types::{
            LocallyProposedValue, MisbehaviorEvidence, ProposedValue,
            core::{CommitCertificate, Round, Validity},
            sync::RawDecidedValue,
        },
    },
};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::{ops::RangeInclusive, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

type EngineMsg = AppMsg<BftContext>;

/// Pause between two rounds of asking the committee for a block that is decided but missing here.
const REFETCH_PAUSE: Duration = Duration::from_secs(1);

/// The driver's state. One task owns it.
pub(super) struct Driver {
    pub app: Arc<dyn Application>,
    pub hub: Arc<Hub>,
    pub bus: Bus,
    pub chain_id: ChainId,
    pub me: Account,
    pub config: BftConfig,
    pub log: ProposalLog,
    pub proposals: Proposals,
    /// How the blocks the proposal log holds were proposed, until their height begins again.
    pub recovered: Vec<Proposal>,
    pub tip: Tip,
    /// Who decided the tip.
    pub deciders: Committee,
    /// Whether the tip came by sync: there is more where it came from, so that the next height begins at once.
    pub synced: bool,
    pub starting: Option<Start>,
}

/// A height that waits for its time.
pub(super) struct Start {
    seats: Seats,
    reply: StartReply,
    ready: BoxFuture<'static, ()>,
}

enum StartReply {
    First(Reply<(BlockHeight, HeightParams<BftContext>)>),
    Next(Reply<Next<BftContext>>),
}

impl Driver {
    /// Serves the engine until `stop`.
    pub async fn run(mut self, mut engine: mpsc::Receiver<EngineMsg>, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            let message = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = due(&mut self.starting) => {
                    self.start_height();
                    continue;
                }
                message = engine.recv() => message,
            };
            match message {
                Some(message) => self.answer(message).await?,
                None if stop.is_cancelled() => return Ok(()),
                None => bail!("the consensus engine stopped by itself"),
            }
        }
    }

    /// Height being decided.
    fn next(&self) -> Height {
        self.tip.height + 1
    }

    async fn answer(&mut self, message: EngineMsg) -> anyhow::Result<()> {
        // A reply nobody waits for means that the engine is stopping.
        match message {
            AppMsg::ConsensusReady { reply } => {
                self.catch_up().await?;
                self.plan_start(StartReply::First(reply));
            }
            AppMsg::StartedRound { height, round, reply_value, .. } => {
                drop(reply_value.send(self.started_round(height.0, round).await?));
            }
            AppMsg::GetValue { height, round, reply, .. } => {
                if let Some(value) = self.build(height.0, round).await? {
                    drop(reply.send(value));
                }
            }
            AppMsg::ReceivedProposalPart { from, part, reply, .. } => {
                let value = match part.content.into_data() {
                    Some(part) => self.received_part(from, &part).await?,
                    None => self.received_announcement().await?,
                };
                drop(reply.send(value));
            }
            AppMsg::RestreamProposal { height, value_id, .. } => self.restream(height.0, &value_id),
            AppMsg::Decided { certificate, reply, .. } => {
                self.decided(certificate).await?;
                let _ = reply.send(());
            }
            AppMsg::Finalized { certificate, evidence, reply, .. } => {
                self.report(certificate.height.0, &evidence);
                self.plan_start(StartReply::Next(reply));
            }
            AppMsg::GetDecidedValues { range, reply } => drop(reply.send(self.serve(range).await?)),
            AppMsg::GetHistoryMinHeight { reply } => drop(reply.send(BlockHeight(self.app.first().await?))),
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                drop(reply.send(self.synced_value(height.0, round, proposer, &value_bytes)));
            }
            AppMsg::ExtendVote { reply, .. } => drop(reply.send(None)),
            AppMsg::VerifyVoteExtensions { extensions, reply, .. } => {
                drop(reply.send(extensions.into_iter().map(|(account, ())| (account, Ok(()))).collect()));
            }
        }
        Ok(())
    }

    /// Commits what others have decided while this node was away.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        let phase = CatchUp::new(self.hub.net.clone(), self.app.clone(), self.chain_id);
        let stop = self.hub.tasks.stopping(Phase::Produce);
        match stop.run_until_cancelled(phase.run(self.tip.clone())).await {
            Some(reached) => self.tip = reached.context("catching up")?,
            None => return Ok(()),
        }
        self.hub.expect(&self.tip.upcoming);
        self.proposals.prune(self.next());
        Ok(())
    }

    /// Lets the next height begin when the chain wants it, or the others have begun, or there is a backlog.
    fn plan_start(&mut self, reply: StartReply) {
        let seats = Seats::new(self.next(), &self.tip.committee, self.tip.seed);
        let (app, hub, next, begun) = (self.app.clone(), self.hub.clone(), self.next(), seats.clone());
        let member = self.tip.committee.by_account(&self.me.0).is_some();
        let at_once = !member || std::mem::take(&mut self.synced);
        let first_wait = matches!(reply, StartReply::First(_)).then_some(self.config.quorum_wait);
        let ready = Box::pin(async move {
            if at_once {
                return;
            }
            let own_wish = async {
                if let Some(wait) = first_wait {
                    // Without a quorum the height cannot be decided anyway; starting late beats burning rounds.
                    let _ = tokio::time::timeout(wait, hub.quorum_connected()).await;
                }
                app.wait_to_start(next).await;
            };
            tokio::select! {
                () = own_wish => {}
                () = hub.pace.begun(&begun) => {}
            }
        });
        self.starting = Some(Start { seats, reply, ready });
    }

    fn start_height(&mut self) {
        let Some(Start { seats, reply, .. }) = self.starting.take() else { return };
        let height = BlockHeight(seats.height());
        let params = HeightParams::new(seats, self.config.timeouts(self.app.waiting_bytes()), None);
        match reply {
            StartReply::First(reply) => drop(reply.send((height, params))),
            StartReply::Next(reply) => drop(reply.send(Next::Start(height, params))),
        }
    }

    /// Blocks that survived a restart are judged when their height begins: their proposals were verified before they were kept.
    async fn started_round(&mut self, height: Height, round: Round) -> anyhow::Result<Vec<ProposedValue<BftContext>>> {
        if height != self.next() || round != Round::ZERO {
            return Ok(Vec::new());
        }
        let mut values = Vec::new();
        for proposal in std::mem::take(&mut self.recovered) {
            values.extend(self.offer(&proposal).await?);
        }
        Ok(values)
    }

    /// This node's block for `height` and `round`: the one it built before, if it did.
    async fn build(
        &mut self,
        height: Height,
        round: Round,
    ) -> anyhow::Result<Option<LocallyProposedValue<BftContext>>> {
        let number = round.as_u32().unwrap_or_default();
        if height != self.next() {
            return Ok(None);
        }
        let value = |header| Some(LocallyProposedValue::new(BlockHeight(height), round, header));
        if let Some(known) = self.proposals.built_by(height, number, &self.me) {
            self.stream(&known.block);
            return Ok(value(known.block.header.clone()));
        }
        let block = match self.app.propose(height, number).await.and_then(|block| self.check_own(block, height, number))
        {
            Ok(block) => block,
            Err(error) => {
                tracing::error!(height, round = number, error = format!("{error:#}"), "no block to propose");
                return Ok(None);
            }
        };
        self.stream(&block);
        let stored = Stored { round: number, pol_round: None, proposer: self.me, block };
        self.log.append(&stored).await.context("proposal log")?;
        let header = stored.block.header.clone();
        self.proposals.insert(Candidate::valid(stored.block));
        Ok(value(header))
    }

    fn check_own(&self, block: Block, height: Height, round: u32) -> anyhow::Result<Block> {
        let header = &block.header;
        ensure!(header.chain_id == self.chain_id, "built for chain {}", header.chain_id);
        ensure!(header.height == height && header.round == round, "built for {}/{}", header.height, header.round);
        ensure!(header.proposer == self.me.0, "built in the name of {}", header.proposer);
        let (bytes, txs) = (block.body_bytes(), block.txs.len());
        ensure!(bytes <= BLOCK_MAX_BYTES, "body is {bytes} B, the limit is {BLOCK_MAX_BYTES} B");
        ensure!(txs <= BLOCK_MAX_TXS, "it has {txs} transactions, the limit is {BLOCK_MAX_TXS}");
        Ok(block)
    }

    fn stream(&self, block: &Block) {
        for part in parts_of(block) {
            self.hub.say(&Message::Part(part));
        }
    }

    async fn received_part(
        &mut self,
        from: arc_malachitebft_sync::PeerId,
        part: &ProposalPart,
    ) -> anyhow::Result<Option<ProposedValue<BftContext>>> {
        match self.proposals.add_part(from, part, self.next()) {
            Ok(true) => match self.hub.announced.latest(part.height, &part.block) {
                Some(proposal) => self.offer(&proposal).await,
                None => Ok(None),
            },
            Ok(false) => Ok(None),
            Err(error) => {
                tracing::warn!(%from, %error, "proposal part refused");
                Ok(None)
            }
        }
    }

    /// The engine has verified a proposal, whose block may be here already.
    async fn received_announcement(&mut self) -> anyhow::Result<Option<ProposedValue<BftContext>>> {
        // There is an announcement for each, so that those behind the first block found are not forgotten.
        while let Some(proposal) = self.hub.announced.next() {
            if let Some(value) = self.offer(&proposal).await? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// The verdict on the block of a verified proposal, if the block is here. Given for each proposal of it, because the engine
    /// may have had no place for the value in the round before.
    async fn offer(&mut self, proposal: &Proposal) -> anyhow::Result<Option<ProposedValue<BftContext>>> {
        if proposal.height != self.next() {
            return Ok(None);
        }
        let Some(candidate) = self.proposals.get(proposal.height, &proposal.block).cloned() else { return Ok(None) };
        let valid = candidate.valid || self.judge(proposal, &candidate).await?;
        Ok(Some(ProposedValue {
            height: BlockHeight(proposal.height),
            round: Round::new(proposal.round),
            valid_round: Round::from(proposal.pol_round),
            proposer: proposal.proposer,
            value: candidate.block.header.clone(),
            validity: Validity::from_bool(valid),
        }))
    }

    /// Asks the application about a block of the next height and keeps it if it is valid, on disk too.
    async fn judge(&mut self, proposal: &Proposal, candidate: &Candidate) -> anyhow::Result<bool> {
        let Proposal { height, round, pol_round, block: id, proposer } = proposal.clone();
        let block = &candidate.block;
        let keep = async {
            match candidate.logged {
                true => Ok(()),
                false => self.log.append(&Stored { round, pol_round, proposer, block: (**block).clone() }).await,
            }
        };
        let (verdict, kept) = tokio::join!(self.app.validate(block), keep);
        kept.context("proposal log")?;
        if let Err(reason) = &verdict {
            tracing::warn!(height, round, %id, %proposer, %reason, "proposal refused");
        }
        self.proposals.judge(height, &id, verdict.is_ok());
        Ok(verdict.is_ok())
    }

    fn restream(&self, height: Height, id: &BlockId) {
        match self.proposals.get(height, id) {
            Some(candidate) => self.stream(&candidate.block),
            None => tracing::warn!(height, %id, "asked to repeat a block that is not here"),
        }
    }

    async fn decided(&mut self, certificate: CommitCertificate<BftContext>) -> anyhow::Result<()> {
        let certificate = certificate_of(certificate);
        let (height, id) = (certificate.height, certificate.block);
        ensure!(height == self.next(), "height {height} was decided while the tip is {}", self.tip.height);
        let block = match self.proposals.get(height, &id) {
            Some(candidate) => (*candidate.block).clone(),
            None => self.fetch(height, id).await,
        };
        let tip = self.app.commit(block, certificate).await.with_context(|| format!("commit of block {height}"))?;
        ensure!(tip.height == height, "the chain is at height {} after the commit of {height}", tip.height);
        self.hub.expect(&tip.upcoming);
        self.deciders = std::mem::replace(&mut self.tip, tip).committee;
        self.proposals.prune(self.next());
        Ok(())
    }

    /// Decided without its block, which only loss of the proposal log explains: somebody who committed it has it.
    async fn fetch(&mut self, height: Height, id: BlockId) -> Block {
        loop {
            let peers: Vec<_> = self.hub.view().others.keys().copied().collect();
            if let Some(block) = fetch_block(self.hub.net.as_ref(), &peers, self.chain_id, height, id).await {
                return block;
            }
            tracing::error!(height, %id, "block is decided but nobody has sent it yet");
            tokio::time::sleep(REFETCH_PAUSE).await;
        }
    }

    /// Publishes each validator's offences at a height that is decided.
    fn report(&self, height: Height, found: &MisbehaviorEvidence<BftContext>) {
        for (account, conflicts) in conflicts_of(found) {
            let pairs = conflicts.len();
            let evidence = convicting(self.chain_id, &self.deciders, &account, conflicts);
            let convicting = evidence.len();
            // `cess bench soak` looks for these words in the logs.
            tracing::error!(height, %account, pairs, convicting, "validator signed two messages for one round");
            if !evidence.is_empty() {
                self.bus.publish(Misbehaviour { height, account: account.0, evidence });
            }
        }
    }

    async fn serve(&mut self, range: RangeInclusive<BlockHeight>) -> anyhow::Result<Vec<RawDecidedValue<BftContext>>> {
        let (mut values, mut bytes) = (Vec::new(), 0usize);
        let heights = range.start().0..=range.end().0.min(self.tip.height);
        for height in heights.take(SYNC_MAX_BLOCKS) {
            let Some((block, certificate)) = self.app.decided(height).await? else { break };
            if !certifies(&certificate, &block) {
                bail!("stored certificate of height {height} is for another block");
            }
            let encoded = Bytes::from(codec::encode(&block));
            bytes += encoded.len();
            if bytes > SYNC_MAX_BYTES && !values.is_empty() {
                break;
            }
            values.push(RawDecidedValue::new(encoded, engine_certificate(&certificate)));
        }
        Ok(values)
    }

    /// A block whose certificate the engine has verified. It is final, whatever the application would say to it now.
    fn synced_value(
        &mut self,
        height: Height,
        round: Round,
        proposer: Account,
        bytes: &[u8],
    ) -> SyncedValueOutcome<BftContext> {
        if height != self.next() {
            return SyncedValueOutcome::LocalTransientError;
        }
        let block: Block = match codec::decode(bytes) {
            Ok(block) => block,
            Err(error) => {
                tracing::warn!(height, %error, "synced block is malformed");
                return SyncedValueOutcome::PeerFault;
            }
        };
        let id = block.id();
        if let Err(reason) = super::proposals::check_block(self.chain_id, height, id, bytes) {
            tracing::warn!(height, %reason, "synced block refused");
            return SyncedValueOutcome::PeerFault;
        }
        let (decided, header) = (round.as_u32().unwrap_or_default(), block.header.clone());
        if let Err(error) = check_round(&header, decided) {
            tracing::warn!(height, %error, "synced block refused");
            return SyncedValueOutcome::PeerFault;
        }
        self.proposals.insert(Candidate::valid(block));
        self.synced = true;
        SyncedValueOutcome::Verdict(ProposedValue {
            height: BlockHeight(height),
            round,
            valid_round: Round::Nil,
            proposer,
            value: header,
            validity: Validity::Valid,
        })
    }
}

/// Resolves when the height that waits may begin; never without one.
async fn due(starting: &mut Option<Start>) {
    match starting {
        Some(start) => start.ready.as_mut().await,
        None => std::future::pending().await,
    }
}
