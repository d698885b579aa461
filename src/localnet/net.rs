//! A running localnet: its nodes as they are now, and what can be done to them.
//!
//! Invariant: the state of a node changes only here, under one lock a node, so that two commands cannot start it twice.

use super::{
    LocalnetError, NodePlan, Plan, PlannedKey, ReadyAccount, ReadyDocument, ReadyNode,
    control::Action,
    host::{Host, HostKind},
    ready::{NodeState, ReadyS3},
};
use crate::{
    client::{DevAccount, dev_accounts},
    types::Role,
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use tokio::sync::{Mutex, Notify};

/// A localnet with its nodes.
pub struct Localnet {
    dir: PathBuf,
    plan: Plan,
    kind: HostKind,
    nodes: BTreeMap<String, Mutex<Option<Host>>>,
    stop: Notify,
    endpoint: std::sync::OnceLock<Endpoint>,
    s3: std::sync::OnceLock<ReadyS3>,
}

struct Endpoint {
    control: String,
    token: String,
    ready: Duration,
}

impl Localnet {
    /// A localnet whose nodes are all stopped.
    pub(super) fn new(dir: PathBuf, plan: Plan, kind: HostKind) -> Self {
        let nodes = plan.nodes.iter().map(|n| (n.name.clone(), Mutex::new(None))).collect();
        let (endpoint, s3) = Default::default();
        Self { dir, plan, kind, nodes, stop: Notify::new(), endpoint, s3 }
    }

    /// The plan it was started from.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Records where the control port is and how long the start took.
    pub(super) fn set_endpoint(&self, control: String, token: String, ready: Duration) {
        // Set once at start; a second value could only come from a second start of the same object.
        let _ = self.endpoint.set(Endpoint { control, token, ready });
    }

    /// Records the S3 endpoint and its key once that works.
    pub(super) fn set_s3(&self, endpoint: String, key: &PlannedKey) {
        // Set once at start, as above.
        let _ = self.s3.set(ReadyS3 { endpoint, access_key: key.id.clone(), secret_key: key.secret.clone() });
    }

    /// Starts every node of a role at the same time.
    pub(super) async fn start_role(&self, role: Role) -> Result<(), LocalnetError> {
        let starts = self.plan.of(role).map(|node| self.act(Action::Start, &node.name));
        futures::future::try_join_all(starts).await.map(drop)
    }

    /// Does `action` to the node called `name`.
    pub async fn act(&self, action: Action, name: &str) -> Result<(), LocalnetError> {
        let (plan, slot) = self.node(name)?;
        let mut slot = slot.lock().await;
        if slot.as_mut().is_some_and(Host::has_ended) {
            *slot = None;
        }
        let wrong = |state: &str| LocalnetError::WrongState {
            name: name.to_owned(),
            state: state.to_owned(),
            action: action.name(),
        };
        match (action, slot.as_mut()) {
            (Action::Start, None) => *slot = Some(self.kind.start(plan, &plan.dir(&self.dir)).await?),
            (Action::Start, Some(_)) => return Err(wrong("running")),
            (_, None) => return Err(wrong("stopped")),
            (Action::Kill, Some(_)) => {
                if let Some(host) = slot.take() {
                    host.kill().await;
                }
            }
            (Action::Pause, Some(host)) => host.pause().await?,
            (Action::Resume, Some(host)) => host.resume()?,
        }
        Ok(())
    }

    /// Starts a stopped node's process and kills it after a while, however far its start has come by then.
    pub async fn start_and_kill(&self, name: &str, after: Duration) -> Result<(), LocalnetError> {
        let (plan, slot) = self.node(name)?;
        let mut slot = slot.lock().await;
        if slot.as_mut().is_some_and(|host| !host.has_ended()) {
            let (name, state) = (name.to_owned(), "running".to_owned());
            return Err(LocalnetError::WrongState { name, state, action: Action::Start.name() });
        }
        *slot = None;
        let host = self.kind.launch(plan, &plan.dir(&self.dir))?;
        tokio::time::sleep(after).await;
        host.kill().await;
        Ok(())
    }

    fn node(&self, name: &str) -> Result<(&NodePlan, &Mutex<Option<Host>>), LocalnetError> {
        let plan = self.plan.nodes.iter().find(|n| n.name == name);
        plan.zip(self.nodes.get(name)).ok_or_else(|| LocalnetError::UnknownNode {
            name: name.to_owned(),
            known: self.plan.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// The ready document with each node's present state.
    pub async fn document(&self) -> ReadyDocument {
        let mut nodes = Vec::with_capacity(self.plan.nodes.len());
        for plan in &self.plan.nodes {
            let mut slot = self.nodes[&plan.name].lock().await;
            if slot.as_mut().is_some_and(Host::has_ended) {
                *slot = None;
            }
            let (state, pid) = slot.as_ref().map_or((NodeState::Stopped, 0), |host| (host.state(), host.pid()));
            nodes.push(ReadyNode {
                name: plan.name.clone(),
                role: plan.role,
                pid,
                dir: plan.dir(&self.dir),
                listen: plan.listen(),
                account: plan.keys().address(),
                url: plan.url(),
                state,
            });
        }
        let url_of = |role| self.plan.of(role).next().map(NodePlan::url).unwrap_or_default();
        let account =
            |a: DevAccount| ReadyAccount { address: a.address, key: format!("0x{}", hex::encode(a.key.to_bytes())) };
        let endpoint = self.endpoint.get();
        ReadyDocument {
            rpc: url_of(Role::Consensus),
            gateway: url_of(Role::Gateway),
            control: endpoint.map(|e| e.control.clone()).unwrap_or_default(),
            control_token: endpoint.map(|e| e.token.clone()).unwrap_or_default(),
            dir: self.dir.clone(),
            ready_millis: endpoint.map_or(0, |e| u64::try_from(e.ready.as_millis()).unwrap_or(u64::MAX)),
            accounts: dev_accounts().into_iter().map(account).collect(),
            s3: self.s3.get().cloned(),
            nodes,
        }
    }

    /// Asks the process to stop the localnet in order.
    pub fn request_stop(&self) {
        self.stop.notify_one();
    }

    /// Resolves when somebody asked for a stop.
    pub(super) async fn stop_requested(&self) {
        self.stop.notified().await;
    }

    /// Stops gateways, then miners, then validators, each role at once and in order within a node.
    pub(super) async fn stop_all(&self) {
        for role in [Role::Gateway, Role::Tee, Role::Storage, Role::Consensus] {
            let stops = self.plan.of(role).map(|node| async {
                if let Some(host) = self.nodes[&node.name].lock().await.take() {
                    host.stop().await;
                }
            });
            futures::future::join_all(stops).await;
        }
    }
}
